"""Whether a deterministic agent is answered the same: each answer beside the first one that was given to the same words, under the same versions.

Above: `run`. Below: state. A seed and temperature 0 make models repeat themselves mostly, not always (platform.openai.com/docs/advanced-usage, "Reproducible outputs"); so
what differs is said, never hidden.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from interlock.core.chat import ChatRequest
from interlock.core.events import Noted
from interlock.core.ports import ChatReply

from .actions import arguments_hash
from .contract import Contract
from .state import State

ANSWER_DIFFERS = "answer_differs"
"""Name of the note: the same words were answered otherwise before."""
Answered = Callable[[str, str, str], Awaitable[str]]
"""(tenant, key, text): the text that stands there, which is this one where there was none."""


class Answer(Struct, frozen=True):
    """What is kept of one: no words."""

    digest: str
    deployment: str
    task: str
    step: int


async def compared(
    answered: Answered, state: State, contract: Contract, step: int, request: ChatRequest, reply: ChatReply
) -> Noted | None:
    """A note where the first answer to this request was another one."""
    said = reply.response
    calls = [(call.name, call.arguments) for call in said.tool_calls]
    now = Answer(arguments_hash([said.text, calls]), reply.settled.deployment, state.task, step)
    key = hashlib.sha256(msgspec.json.encode(contract.versions) + words(request)).hexdigest()
    first = msgspec.json.decode(
        await answered(state.tenant, f"{contract.workflow}:{key}", msgspec.json.encode(now).decode()), type=Answer
    )
    if first.digest == now.digest:
        return None
    made = (
        f"by {now.deployment}" if first.deployment == now.deployment else f"by {now.deployment}, not {first.deployment}"
    )
    return Noted(ANSWER_DIFFERS, f"step {step}: answered {made}, otherwise than step {first.step} of {first.task}")


def words(request: ChatRequest) -> bytes:
    """Everything that is asked; ids of calls, which vendors draw anew each time, as their numbers."""
    text = msgspec.json.encode(request, order="sorted")
    ids = [call.id for message in request.messages for call in message.tool_calls]
    for number, drawn in enumerate(dict.fromkeys(ids)):
        text = text.replace(msgspec.json.encode(drawn), b'"#%d"' % number)
    return text


async def unkept(_tenant: str, _key: str, text: str) -> str:
    """Where nothing is kept, nothing differs."""
    return text
