"""What a relay has taken in so far: enough to count it, to settle it when it breaks off, and to keep it.

Above: stream. Below: attempt, call, exchange.
"""

from __future__ import annotations

from msgspec import UNSET

from interlock.core.chat import ChatResponse, Chunk, Finish, ToolCall, ToolCallDelta
from interlock.core.errors import DeadlineMissed, OutputInvalid, UpstreamCut, UpstreamError
from interlock.core.money import Usage

from . import escalate
from .call import Answer, Call
from .desk import Desk
from .exchange import Exchange, Opened


from .once import blame, end_answered, end_broken
class Taken:
    """One relay."""

    __slots__ = (
        "_call",
        "_checked",
        "_chunks",
        "_desk",
        "_exchange",
        "_finish",
        "_id",
        "_model",
        "_opened",
        "_rung",
        "_text",
        "_tools",
        "held",
    )

    def __init__(self, desk: Desk, exchange: Exchange, call: Call, opened: Opened, rung: str) -> None:
        self._desk = desk
        self._exchange = exchange
        self._call = call
        self._opened = opened
        self._rung = rung
        self._finish: Finish | None = None
        self._model = ""
        self._id = ""
        self._text: list[str] = []
        self._tools: dict[int, list[ToolCallDelta]] = {}
        self._checked = bool(call.request.output_schema or call.request.json_mode)
        self.held: list[Chunk] = []
        """With a schema the end is held back until the whole was checked, so that nothing malformed ever ends well."""
        self._chunks: list[Chunk] | None = [] if desk.settings.caching.exact or call.flight else None

    def add(self, chunk: Chunk) -> None:
        """Notes a piece that is about to be relayed."""
        trial = self._opened.trial
        if chunk.text:
            self._text.append(chunk.text)
            trial.text_seen.append(chunk.text)
        for delta in chunk.tool_calls:
            self._tools.setdefault(delta.index, []).append(delta)
            trial.text_seen.append(delta.arguments)
        if chunk.usage is not None:
            trial.usage_seen = chunk.usage
        if chunk.finish is not None:
            self._finish = chunk.finish
        if not self._call.first_token_us and (chunk.text or chunk.tool_calls):
            self._call.first_token_us = self._call.elapsed_us()
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id
        if self._checked and (self._finish is not None or self.held):
            self.held.append(chunk)
        if self._chunks is not None:
            self._chunks.append(chunk)

    async def next(self) -> Chunk | None:
        """The next piece, or `None` after the last.

        Raises:
            DeadlineMissed. UpstreamError: the answer broke off; `UpstreamCut` also where it ended without saying why it did.
        """
        if self._opened.deadline.passed(self._desk.parts.clock):
            raise DeadlineMissed(
                f"the call's deadline of {self._opened.deadline.total_s:g} s passed during the answer."
            )
        try:
            return await anext(self._opened.pieces)
        except StopAsyncIteration:
            if self._finish is None:
                raise UpstreamCut(f"{self._opened.trial.candidate.name} ended its stream without a finish.") from None
            return None

    def whole(self) -> Answer:
        """Counts the answer now that it is whole.

        Raises:
            OutputInvalid: it does not satisfy the output schema.
        """
        request = self._call.request
        answer = end_answered(self._desk, self._call, self._opened.trial, self.response)
        value, faults = escalate.content_of(request, answer.response)
        if request.output_schema is not None and value is not UNSET and not faults:
            faults = self._exchange.validate(request.output_schema, value)
        if faults:
            self._call.note(f"schema_violation: {'; '.join(faults[:3])}")
            raise OutputInvalid(f"{answer.deployment} did not keep to the output schema: {'; '.join(faults[:3])}.")
        return Answer(
            response=answer.response,
            deployment=answer.deployment,
            tier=answer.tier,
            candidate=answer.candidate,
            price=answer.price,
            chunks=tuple(self._chunks or ()),
            degraded=self._rung or ("best_effort" if answer.cut_to else ""),
            confidence=escalate.confidence_of(request, answer.response, value),
        )

    async def broken(self, error: BaseException) -> None:
        """Cuts the vendor off and counts what was used, where that has not been done yet."""
        trial = self._opened.trial
        await self._opened.close()
        if trial.over:
            return
        breaker = self._desk.health.deployment(trial.candidate.name).breaker
        if isinstance(error, UpstreamError):
            error.deployment = error.deployment or trial.candidate.name
        blame(self._desk, trial, error)
        end_broken(self._desk, self._call, trial, error)

    @property
    def response(self) -> ChatResponse:
        """What has come so far, as one answer."""
        trial = self._opened.trial
        return ChatResponse(
            model=self._model or trial.candidate.deployment.model,
            text="".join(self._text),
            tool_calls=tuple(_joined(deltas) for _, deltas in sorted(self._tools.items())),
            finish=self._finish or "error",
            usage=trial.usage_seen or Usage(),
            id=self._id,
            simulated=trial.candidate.deployment.simulated,
        )


def _joined(deltas: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        id=next((each.id for each in deltas if each.id), ""),
def _billed_beside(chunk: Chunk) -> Iterator[str]:
    """What a chunk holds beside the answer's text and calls, and a vendor bills like them: thoughts, a refusal, further answers."""
    yield from [thought.text for thought in chunk.thoughts if thought.text]
    if chunk.refusal:
        yield chunk.refusal
    for other in chunk.others:
        yield from [text for text in (other.text, other.refusal) if text]
        yield from [call.arguments for call in other.tool_calls if call.arguments]
        yield from [thought.text for thought in other.thoughts if thought.text]


        name=next((each.name for each in deltas if each.name), ""),
        arguments="".join(each.arguments for each in deltas) or "{}",
    )
