"""OpenAI's Responses, reply side: the response object and its output items.

What a vendor of the same dialect sent is handed on as it came, but for the two fields that the gateway keeps itself.
Source: the API reference for the response object (platform.openai.com/docs/api-reference/responses/object), 2026-11.

Above: responses, responses_stream. Below: responses_items, msgspec, `core`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from interlock.core.chat import ChatResponse, Finish, Thought, TokenLogprob, ToolCall
from interlock.core.errors import InterlockError, RateLimited
from interlock.core.money import Usage

from .responses_items import sealed_of
from .responses_read import DIALECT

Item = dict[str, Any]
NewId = Callable[[str], str]
KEPT_HERE = ("store", "previous_response_id")
"""Fields of which a vendor's answer says something else than is true here, since the gateway keeps the conversation itself."""
_INCOMPLETE: dict[Finish, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Reply(Struct, frozen=True):
    """One response as it goes out and as it is kept."""

    id: str
    status: str
    body: bytes
    output: bytes
    """The output items alone, a JSON array; the next turn begins with them."""


class _Native(Struct, frozen=True):
    id: str
    status: str = "completed"
    output: Raw = Raw(b"[]")


def whole(response: ChatResponse, repeated: Mapping[str, Any], new_id: NewId, created_s: int) -> Reply:
    """The response object of an answer that is not streamed."""
    if response.raw and response.raw_dialect == DIALECT:
        return native(response.raw, repeated)
    items = items_of(response, new_id)
    status, incomplete = status_of(response)
    return made(new_id("resp"), created_s, response.model, repeated, status, items, response.usage, incomplete)


def native(body: bytes, repeated: Mapping[str, Any]) -> Reply:
    """A vendor's own response object, saying of storage what is true here."""
    known = msgspec.json.decode(body, type=_Native)
    fields = msgspec.json.decode(body, type=dict[str, Raw])
    for name in KEPT_HERE:
        fields[name] = Raw(msgspec.json.encode(repeated[name]))
    return Reply(known.id, known.status, msgspec.json.encode(fields), bytes(known.output))


def made(
    response_id: str,
    created_s: int,
    model: str,
    repeated: Mapping[str, Any],
    status: str,
    items: Sequence[Item],
    usage: Usage | None = None,
    incomplete: str = "",
    error: InterlockError | None = None,
) -> Reply:
    """A response object made here."""
    output = msgspec.json.encode(items)
    body = {
        "id": response_id,
        "object": "response",
        "created_at": created_s,
        "status": status,
        "error": None if error is None else error_of(error),
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "model": model,
        "output": Raw(output),
        "usage": None if usage is None else usage_of(usage),
        **repeated,
    }
    return Reply(response_id, status, msgspec.json.encode(body), output)


def status_of(response: ChatResponse) -> tuple[str, str]:
    """(status, why it is incomplete). A refusal that says so is an answer."""
    reason = "" if response.refusal else _INCOMPLETE.get(response.finish, "")
    return "incomplete" if reason else "completed", reason


def items_of(response: ChatResponse, new_id: NewId) -> list[Item]:
    """The output items of a whole answer, in the order in which they come: reasoning, message, function calls."""
    items = [reasoning_item(thought, thought.id or new_id("rs")) for thought in response.thoughts]
    if response.text or response.refusal or not response.tool_calls:
        content: list[Item] = []
        if response.text or not response.refusal:
            content.append(text_part(response.text, response.logprobs))
        if response.refusal:
            content.append(refusal_part(response.refusal))
        status = "incomplete" if response.finish == "length" else "completed"
        items.append(message_item(new_id("msg"), content, status))
    items.extend(call_item(call, new_id("fc")) for call in response.tool_calls)
    return items


def reasoning_item(thought: Thought, item_id: str, status: str = "completed") -> Item:
    summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
    item: Item = {"id": item_id, "type": "reasoning", "summary": summary, "status": status}
    if sealed := sealed_of(thought):
        item["encrypted_content"] = sealed
    return item


def message_item(item_id: str, content: list[Item], status: str = "completed") -> Item:
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}


def call_item(call: ToolCall, item_id: str, status: str = "completed") -> Item:
    return {
        "id": item_id,
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": status,
    }


def text_part(text: str, logprobs: Sequence[TokenLogprob] = ()) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": [logprob_of(each) for each in logprobs]}


def logprob_of(token: TokenLogprob) -> Item:
    top = [{"token": text, "logprob": value, "bytes": list(text.encode())} for text, value in token.top]
    return {
        "token": token.token,
        "logprob": token.logprob,
        "bytes": list(token.token.encode()),
        "top_logprobs": top,
    }


def refusal_part(text: str) -> Item:
    return {"type": "refusal", "refusal": text}


def usage_of(usage: Usage) -> Item:
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input_total + usage.output_total,
    }


def error_of(error: InterlockError) -> Item:
    """The `error` of a failed response; `type` holds the gateway's own code."""
    limited = isinstance(error, RateLimited) or error.status == 429
    return {
        "code": "rate_limit_exceeded" if limited else "server_error",
        "message": str(error),
        "type": error.code,
        "param": getattr(error, "param", "") or None,
    }
