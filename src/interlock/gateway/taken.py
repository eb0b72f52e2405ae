"""The state of one relayed stream: what has been read so far, so that it can be billed, settled when it breaks off, continued elsewhere, and cached.

Above: stream. Below: call, continuation, exchange, once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import cast

from msgspec import UNSET, structs

from interlock.core.chat import ChatResponse, Chunk, Finish, ToolCall, ToolCallDelta
from interlock.core.errors import DeadlineMissed, InterlockError, OutputInvalid, UpstreamCut, UpstreamError
from interlock.core.money import Usage
from interlock.core.ports import Tap

from . import continuation, escalate
from .call import Answer, Call
from .desk import Desk
from .exchange import Exchange, Opened, hear_out
from .once import blame, end_answered, end_broken
from .through import Through, text_inside


class Taken:
    """One relay."""

    __slots__ = (
        "_before",
        "_call",
        "_checked",
        "_chunks",
        "_desk",
        "_exchange",
        "_finish",
        "_id",
        "_model",
        "_more",
        "_opened",
        "_rung",
        "_seam",
        "_since",
        "_text",
        "_times",
        "_tools",
        "held",
        "plain",
        "plain_raw",
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
        self._more = False
        """More than a text has been seen."""
        self._times = 0
        """How often the answer broke off and was gone on with by somebody else."""
        self._since = 0
        """Pieces of the text that earlier deployments wrote."""
        self._seam: str | None = None
        """White space at the end of what they wrote, until the next piece has come."""
        self._before = Usage()
        """What they used."""
        self._checked = bool(call.request.output_schema or call.request.json_mode)
        self.held: list[Chunk] = []
        """With a schema the end is held back until the whole was checked, so that nothing malformed ever ends well."""
        self._chunks: list[Chunk] | None = [] if desk.settings.caching.exact or call.flight else None
        self.plain: list[bytes] = []
        self.plain_raw: list[bytes] | None = [] if self._chunks is not None or call.flight else None

    def add(self, chunk: Chunk) -> None:
        """Notes a piece that is about to be relayed."""
        self._read_plain()
        self._note(chunk)

    def _note(self, chunk: Chunk) -> None:
        if chunk.finish is not None:
            self._finish = chunk.finish
        self._opened.trial.saw(chunk, ended=self._finish is not None)
        if chunk.text:
            self._text.append(chunk.text)
        for delta in chunk.tool_calls:
            self._tools.setdefault(delta.index, []).append(delta)
        if chunk.thoughts or chunk.others or chunk.refusal:
            self._more = True
        if not self._call.first_token_us and (chunk.text or chunk.tool_calls):
            self._call.first_token_us = self._call.elapsed_us()
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id
        if self._checked and (self._finish is not None or self.held):
            self.held.append(chunk)
        if self._chunks is not None:
            self._chunks.append(chunk)

    def began(self) -> None:
        """The first of the plain pieces is about to be relayed."""
        if not self._call.first_token_us:
            self._call.first_token_us = self._call.elapsed_us()

    def _read_plain(self) -> None:
        """Takes in what was put, as one piece."""
        texts, raw = self.plain.copy(), b"".join(self.plain_raw or ())
        if texts:
            self.plain.clear()  # a tap goes on writing into these
            if self.plain_raw is not None:
                self.plain_raw.clear()
            dialect = self._call.request.raw_dialect if raw else ""
            chunk = Chunk(text_inside(texts), raw=raw, raw_dialect=dialect, parts=len(texts))
            self._note(chunk)
            if self._call.flight is not None:
                self._call.flight.add(chunk)

    async def next(self, tap: Tap | None = None) -> Chunk | None:
        """The next piece, or `None` after the last; plain ones go through `tap`, where there is one, and are not returned.

        Raises:
            DeadlineMissed. UpstreamError: the answer broke off; `UpstreamCut` also where it ended without saying why it did.
        """
        if self._opened.deadline.passed(self._desk.parts.clock):
            raise DeadlineMissed(
                f"the call's deadline of {self._opened.deadline.total_s:g} s passed during the answer."
            )
        try:
            chunk = await self._following(tap)
            return chunk if self._times == 0 else self._fitted(chunk)
        except StopAsyncIteration:
            if self._finish is not None:
                return None
            name = self._opened.trial.candidate.name
            return await self._go_on(UpstreamCut(f"{name} ended its stream without a finish."))
        except UpstreamError as error:
            return await self._go_on(error)

    async def _following(self, tap: Tap | None) -> Chunk:
        pieces = self._opened.pieces
        if tap is None or self._checked or self._times or not isinstance(pieces, AsyncGenerator):
            return await anext(pieces)
        return await cast("AsyncGenerator[Chunk, Tap]", pieces).asend(Through(self, tap, self._call.flight))

    async def _go_on(self, error: UpstreamError) -> Chunk | None:
        """The next piece from somebody else. Raises `error` where nobody can go on."""
        call, trial = self._call, self._opened.trial
        if self._finish is not None:
            call.note(f"{trial.candidate.name} broke off after the end of its answer: {error.message}")
            return None
        await self.broken(error)
        seen = continuation.Seen("".join(self._text), bool(self._tools), self._more)
        verdict = continuation.judge(call.request, seen, self._times)
        if not self._desk.settings.continuing or verdict.do == "give_up":
            call.note(f"not continued: {verdict.why or 'switched off'}")
            raise error
        try:
            opened = await continuation.resume(self._desk, self._exchange, call, seen, verdict)
        except InterlockError as other:
            call.note(f"not continued: {other.message}")
            raise error from other
        if opened is None:
            call.note("not continued: no model of the plan goes on with an unfinished answer")
            raise error
        call.note(
            f"{trial.candidate.name} broke off ({error.code}); {opened.trial.candidate.name} went on: {verdict.do}"
        )
        self._before = self._before + call.attempts[-1].usage
        self._opened, self._times, self._since = opened, self._times + 1, len(self._text)
        self._seam = seen.text[len(seen.text.rstrip()) :] if verdict.do == "continue" else None
        return self._fitted(opened.first)

    def _fitted(self, chunk: Chunk) -> Chunk:
        """A piece of somebody else's, as one of the same answer."""
        text = chunk.text
        if text and self._seam is not None:
            text, self._seam = continuation.joined(self._seam, text), None
        return structs.replace(chunk, text=text, raw=b"", raw_dialect="", id=self._id, model=self._model)

    def whole(self) -> Answer:
        """Counts the answer now that it is whole.

        Raises:
            OutputInvalid: it does not satisfy the output schema.
        """
        request = self._call.request
        answer = end_answered(self._desk, self._call, self._opened.trial, self._last_part())
        if self._times:
            usage = self._before + answer.response.usage
            answer = structs.replace(answer, response=structs.replace(self.response, usage=usage))
        value, faults = escalate.content_of(request, answer.response)
        if request.output_schema is not None and value is not UNSET and not faults:
            faults = self._exchange.validate(request.output_schema, value)
        if faults:
            self._call.violations += 1
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
        self._read_plain()
        trial = self._opened.trial
        try:
            if not trial.over and (isinstance(error, DeadlineMissed) or not isinstance(error, InterlockError)):
                await hear_out(self._opened.pieces, self.add)
            await self._opened.close()
        finally:  # also where it is cancelled once more meanwhile: what is known by then is counted
            if not trial.over:
                if isinstance(error, UpstreamError):
                    error.deployment = error.deployment or trial.candidate.name
                blame(self._desk, trial, error)
                end_broken(self._desk, self._call, trial, error)

    def _last_part(self) -> ChatResponse:
        """What the deployment that ended the answer wrote of it; the whole but for answers that were gone on with."""
        response = self.response
        return structs.replace(response, text="".join(self._text[self._since :])) if self._times else response

    @property
    def response(self) -> ChatResponse:
        """What has come so far, as one answer."""
        self._read_plain()
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
        name=next((each.name for each in deltas if each.name), ""),
        arguments="".join(each.arguments for each in deltas) or "{}",
    )
