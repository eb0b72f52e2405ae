"""Cache keys: under which key an answer is cached, and whether it may be cached at all.

Above: cache. Below: call, settings. A key holds the tenant, the workflow, the labels and the versions of contract, route, prompt and policy, so that
no change of them, no other tenant and no caller below a label ever sees an earlier answer.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.core.answers import KEY_BYTES
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse

from .call import Call
from .settings import Caching

NOT_ASKED: dict[str, Any] = {"user": "", "traceparent": "", "call": "", "tenant": "", "raw": b""}
"""What of a request does not change its answer; the tenant stands in the key by itself."""
FORMAT = 2
"""Of what is kept (`shelf`): versions of this code that read another one, beside us on one store, do not find ours."""
_encoder = msgspec.msgpack.Encoder()
_unbounded = msgspec.json.Encoder()
_NO_MSGPACK = b"\xc1"
"""A byte with which no msgpack value begins."""


def exact_key(call: Call, labels: tuple[str, ...] | None = None) -> bytes:
    """SHA-256 (FIPS 180-4), cut to `KEY_BYTES`, over everything that an answer depends on, and over the form in which the caller takes it.

    The caller's own bytes stand for the request where it has any, so that nothing in them can be overlooked; bytes that name a user
    are read instead, since who asks does not change the answer. `labels` in place of the caller's: what is kept for callers below it.
    """
    caller, request = call.caller, call.request
    if labels is not None:
        caller = structs.replace(caller, labels=labels)
    if request.raw and not request.user:
        return digest(beginning(caller, request), request.raw)
    asked = structs.replace(request, **NOT_ASKED)
    return digest(_whole((caller.tenant, caller.workflow, caller.versions, caller.labels, asked)), b"")


def beginning(caller: Caller, request: ChatRequest) -> bytes:
    """All but the caller's own bytes of what an answer to them depends on; the same from call to call of one caller."""
    way = (FORMAT, request.raw_dialect, request.raw_headers, request.facts)
    return _whole((caller.tenant, caller.workflow, caller.versions, caller.labels, way))


def digest(begun: bytes, raw: bytes) -> bytes:
    """The key of both. `begun` is one value (`_whole`) and says itself where it ends, so no two pairs run into the same bytes.

    Processors have instructions for SHA-256, by which it takes half of BLAKE2b's time: 1.1 µs for a request of a kilobyte.
    """
    return sha256(begun + raw).digest()[:KEY_BYTES]


class Question(Struct, frozen=True):
    """What the semantic cache is asked."""

    scope: str
    """Workflow and model by name, and with them tenant and versions: what evidence about the error rate is gathered about."""
    space: str
    """Everything but the last user message, system prompt, earlier turns and schema included: answers are shared inside it only."""
    text: str


def question(call: Call) -> Question | None:
    """The question to look for like ones of; `None` where sharing an answer would be careless."""
    request = call.request
    last = request.messages[-1] if request.messages else None
    if request.tools or request.temperature or request.n > 1:
        return None
    if last is None or last.role != "user" or not isinstance(last.content, str) or not last.content.strip():
        return None
    rest = structs.replace(request, messages=request.messages[:-1], **NOT_ASKED)
    caller = call.caller
    scope = (caller.tenant, caller.workflow, caller.versions, request.model)
    space = (caller.tenant, caller.workflow, caller.versions, caller.labels, rest)
    named = f"{caller.workflow or '-'} {request.model} {_digest(scope)[:12]}"
    return Question(named, _digest(space), last.content)


def _digest(values: object) -> str:
    return blake2b(_whole(values), digest_size=16).hexdigest()


def _whole(values: object) -> bytes:
    """One value that says itself where it ends. A schema of the caller's may hold numbers beyond msgpack's 64 bits."""
    try:
        return _encoder.encode(values)
    except OverflowError:
        return _NO_MSGPACK + _unbounded.encode(values)


def unusable(request: ChatRequest, caching: Caching) -> str:
    """Why no kept answer may serve this call and its own is not kept; empty where nothing speaks against it."""
    if not (caching.exact or caching.coalesce):
        return "off"
    if request.temperature and not caching.sampled:
        return "the caller asks for variety (temperature > 0)"
    if request.n > 1:
        return "the caller asks for several answers"
    return ""


def wants_the_same(request: ChatRequest) -> bool:
    """The caller asks for the same answer each time: a seed, and no variety."""
    return request.seed is not None and not request.temperature


def worth_keeping(response: ChatResponse, caching: Caching, *, calls: bool = False) -> bool:
    """Whether an answer may serve others: whole, said on purpose, no refusal unless the policy keeps those, and no call of a tool without `calls`."""
    if response.finish == "content_filter" or response.refusal:
        return caching.refusals
    if response.tool_calls:
        return calls and response.finish in ("stop", "tool_calls")
    return response.finish == "stop"
