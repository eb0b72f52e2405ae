"""Where guards (personal data, injections, moderation) act on a call: on the request before routing, on the answer before it is cached, on what its caller reads.

Above: begin, chat, stream, embed. Below: call, tokens, `core.guards`. Without guards none of it is called.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from msgspec import structs

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChoiceDelta, Chunk, Message, ToolCallDelta
from interlock.core.embed import EmbedRequest
from interlock.core.errors import InterlockError, UpstreamRefused
from interlock.core.guards import Guards, Seen, Uncover
from interlock.core.ports import ChatReply, Tap

from . import tokens
from .call import Answer, Call

MAX_TEXTS = 256
"""Texts of one streamed answer that are restored apart; those after it are given out as they come."""


def enter(guards: Guards, call: Call) -> None:
    """Puts what a model may see in the place of what was asked. Raises ContentRefused."""
    if not call.request.user and _untouched(guards, call.request):
        return
    request, seen = guards.enter(call.caller, call.request)
    if request is not call.request:
        call.request = request
        call.input_tokens = tokens.of_request(request)
    call.seen = seen
    for signal in seen.signals:
        call.note(f"signal: {signal}")


async def admit(guards: Guards, call: Call) -> None:
    """Has moderators look at what is asked. Raises ContentRefused."""
    seen = await guards.admit(call.caller, call.request, call.deadline)
    call.seen = _both(call.seen, seen)
    for signal in seen.signals:
        call.note(f"signal: {signal}")


async def leave(guards: Guards, call: Call, answer: Answer) -> Answer:
    """The answer as it may be kept, recorded and given out. Raises ContentRefused."""
    response, seen = await guards.leave(call.caller, answer.response, call.deadline)
    call.seen = _both(call.seen, seen)
    for signal in seen.signals:
        call.note(f"signal in the answer: {signal}")
    # The pieces of a stream hold what the model wrote; what is kept is the covered whole.
    return answer if response is answer.response else structs.replace(answer, response=response, chunks=())


def cleaned(redact: Callable[[str], str] | None, error: InterlockError) -> None:
    """A vendor's words about a call may repeat what it was sent, our credential among it: taken out before anybody reads or keeps them."""
    if redact is None:
        return
    error.message = redact(error.message)
    error.args = (error.message,)
    if isinstance(error, UpstreamRefused):
        error.body = redact(error.body)


def restored(guards: Guards, call: Call, reply: ChatReply) -> ChatReply:
    """The answer as its caller may see it. A task under a lease goes on with tokens: its tools are told what they may be."""
    if call.fence:
        return reply
    return structs.replace(reply, response=guards.restored(call.caller, reply.response))


def inputs(guards: Guards, caller: Caller, request: EmbedRequest) -> EmbedRequest:
    """The texts as an embedding model may see them."""
    given, _ = guards.given(caller.tenant, list(request.inputs))
    return structs.replace(request, inputs=tuple(given)) if given != list(request.inputs) else request


def nothing_to_restore(guards: Guards, request: ChatRequest) -> bool:
    """Whether a streamed answer can go out as it comes: what is asked is plain text in which nothing was covered and no token stands, so
    the model has seen none that it could repeat, and nobody looks at the answer before it goes.
    """
    if guards.holds_answers or guards.holds_words:
        return False
    return _untouched(guards, request)


def _untouched(guards: Guards, request: ChatRequest) -> bool:
    """What is asked is plain text in which nothing was found."""
    return all(_plain(each) for each in request.messages) and guards.passes(request.messages)


def _plain(message: Message) -> bool:
    said_otherwise = message.tool_calls or message.thoughts or message.refusal or message.name
    return isinstance(message.content, str) and not said_otherwise


async def stream(
    guards: Guards, caller: Caller, pieces: AsyncGenerator[Chunk | ChatReply, Tap | None], fence: int
) -> AsyncGenerator[Chunk | ChatReply, Tap | None]:
    """A relay's pieces as their caller may see them; all of them at its end, where answers are judged as a whole."""
    restoring = None if fence else _Restoring(guards, caller)
    held: list[Chunk] = []
    try:
        async for piece in pieces:
            if isinstance(piece, Chunk):
                shown = piece if restoring is None else restoring.next(piece)
                if guards.holds_answers:
                    held.append(shown)
                else:
                    yield shown
                continue
            for shown in held:
                yield shown
            lone = restoring is not None
            response = guards.restored(caller, piece.response) if lone else piece.response
            yield structs.replace(piece, response=response)
    finally:
        await pieces.aclose()


class _Restoring:
    """The texts of one streamed answer, each with what of it is held back."""

    def __init__(self, guards: Guards, caller: Caller) -> None:
        self._guards, self._caller = guards, caller
        self._texts: dict[tuple[str, int, int], Uncover] = {}

    def next(self, chunk: Chunk) -> Chunk:
        """The piece as it may be read; itself where nothing in it had to be changed."""
        ends = chunk.finish is not None
        text = self._fed(("text", 0, 0), chunk.text, end=ends or bool(chunk.tool_calls))
        refusal = self._fed(("refusal", 0, 0), chunk.refusal, end=ends)
        calls = self._calls(0, chunk.tool_calls, end=ends)
        others = tuple(self._other(each) for each in chunk.others)
        same = text == chunk.text and refusal == chunk.refusal and _same(calls, chunk.tool_calls)
        if same and _same(others, chunk.others):
            return chunk
        return structs.replace(
            chunk,
            text=text,
            refusal=refusal,
            tool_calls=calls,
            others=others,
            raw=b"",
            raw_dialect="",
        )

    def _other(self, choice: ChoiceDelta) -> ChoiceDelta:
        ends = choice.finish is not None
        text = self._fed(("text", choice.index, 0), choice.text, end=ends)
        refusal = self._fed(("refusal", choice.index, 0), choice.refusal, end=ends)
        calls = self._calls(choice.index, choice.tool_calls, end=ends)
        if text == choice.text and refusal == choice.refusal and _same(calls, choice.tool_calls):
            return choice
        return structs.replace(choice, text=text, refusal=refusal, tool_calls=calls)

    def _calls(self, choice: int, deltas: Sequence[ToolCallDelta], *, end: bool) -> tuple[ToolCallDelta, ...]:
        """Arguments are JSON text; what is held back of one call goes out with the next call, or with the end."""
        made = [self._call(choice, each) for each in deltas]
        begun = {each.index for each in deltas}
        open_ones = [key for key in self._texts if key[:2] == ("call", choice)]
        over = [key for key in open_ones if end or (begun and key[2] not in begun)]
        tails = [(key[2], self._texts.pop(key).end()) for key in over]
        return (*made, *(ToolCallDelta(index=index, arguments=tail) for index, tail in tails if tail))

    def _call(self, choice: int, delta: ToolCallDelta) -> ToolCallDelta:
        arguments = self._fed(("call", choice, delta.index), delta.arguments)
        return delta if arguments == delta.arguments else structs.replace(delta, arguments=arguments)

    def _fed(self, key: tuple[str, int, int], text: str, *, end: bool = False) -> str:
        known = self._texts.get(key)
        if known is None:
            if "[" not in text and not self._guards.holds_words:
                return text
            if not text or len(self._texts) >= MAX_TEXTS:
                return text
            known = self._texts[key] = self._guards.restoring(self._caller, inside_json=key[0] == "call")
        shown = known.feed(text)
        if end:
            shown += self._texts.pop(key).end()
        return shown


def _same(made: Sequence[object], given: Sequence[object]) -> bool:
    return len(made) == len(given) and all(new is old for new, old in zip(made, given, strict=True))


def _both(one: Seen, other: Seen) -> Seen:
    if not other:
        return one
    private = dict(one.private)
    for kind, count in other.private.items():
        private[kind] = private.get(kind, 0) + count
    return Seen(private, tuple(sorted({*one.signals, *other.signals})))
