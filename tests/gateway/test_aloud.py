"""An answer that somebody hears while it is written is the one that would have come whole, and what is told in the end is that answer."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from interlock.core.chat import ChatRequest, ChatResponse, Chunk, OutputSchema, TokenLogprob, ToolCall, ToolCallDelta
from interlock.core.errors import UpstreamCut, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment
from interlock.core.time import Deadline
from interlock.gateway.assembled import Assembled
from interlock.gateway.settings import Caching, Settings
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache
from interlock.testing.clock import FakeClock

from .kit import Bench, ask, reply, unsure

SCHEMA = OutputSchema("Answer", {"type": "object", "required": ["answer"]})
USED = Usage(input=20, output=10)
NONE = Usage()


class Follower:
    """`core.live.Ear`: what each try was told as."""

    def __init__(self) -> None:
        self.tries: list[dict[str, Any]] = []

    def begins(self, why: str, *, provisional: bool, held: str = "") -> None:
        self.tries.append({"why": why, "provisional": provisional, "held": held, "pieces": [], "calls": {}})

    def text(self, piece: str) -> None:
        assert piece
        self.tries[-1]["pieces"].append(piece)

    def call(self, place: int, name: str, arguments: str) -> None:
        known = self.tries[-1]["calls"].setdefault(place, ["", ""])
        known[0] = known[0] or name
        known[1] += arguments

    @property
    def told(self) -> str:
        return "".join(self.tries[-1]["pieces"])

    @property
    def calls(self) -> list[list[str]]:
        return [each for _, each in sorted(self.tries[-1]["calls"].items())]


class Writes:
    """A vendor that gives the same scripted answers whole or in pieces: `("text", "cut")` breaks off in the middle."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.streamed: list[bool] = []

    def _next(self, request: ChatRequest, *, streamed: bool) -> tuple[ChatResponse, bool]:
        self.streamed.append(streamed)
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, BaseException):
            raise said
        return said if isinstance(said, tuple) else (said, False)

    async def chat(self, target: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        said, cut = self._next(request, streamed=False)
        if cut:
            raise UpstreamCut("cut in the middle.")
        return said

    async def stream(
        self, target: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncIterator[Chunk]:
        said, cut = self._next(request, streamed=True)
        for at in range(0, len(said.text), 3):
            if cut and at:
                raise UpstreamCut("cut in the middle.")
            yield Chunk(text=said.text[at : at + 3])
        for at, call in enumerate(said.tool_calls):
            yield Chunk(tool_calls=(ToolCallDelta(at, call.id, call.name),))
            yield Chunk(tool_calls=(ToolCallDelta(at, arguments=call.arguments),))
        yield Chunk(finish=said.finish, usage=said.usage, confidence=said.confidence, model=said.model)


def same(event: Any) -> Any:
    """An event without what no two calls share: ids, instants, durations; and what a broken answer has shown of itself by then."""
    shown = any(each.status != "ok" for each in event.attempts)
    attempts = tuple(
        replace(
            each, started_ns=0, duration_us=0, **({} if each.status == "ok" else {"usage": NONE, "cost_nano_usd": 0})
        )
        for each in event.attempts
    )
    sums: dict[str, Any] = {"usage": NONE, "cost_nano_usd": 0} if shown else {}
    caller = replace(event.caller, task="")
    zero: dict[str, Any] = {"call": "", "started_ns": 0, "duration_us": 0, "first_token_us": 0, "reasons": ()}
    return replace(event, caller=caller, attempts=attempts, **zero, **sums)


CASES: dict[str, tuple[tuple[Any, ...], Settings, dict[str, Any]]] = {
    "plain": ((reply("m", "Your order has shipped."),), Settings(), {}),
    "calls": (
        (
            ChatResponse(
                "m",
                "let me look",
                tool_calls=(ToolCall("c1", "look", '{"a": 1}'), ToolCall("c2", "go", "{}")),
                finish="tool_calls",
                usage=USED,
            ),
        ),
        Settings(),
        {},
    ),
    "broken off": (((reply("m", "Your ord"), True), reply("m", "Your order has shipped.")), Settings(), {}),
    "refused": ((UpstreamRefused("no", upstream_status=500), reply("m", "at last")), Settings(), {}),
    "not sure enough": (
        (reply("m", "perhaps", 0.4), reply("m", "for sure", 0.95)),
        Settings(rules=(unsure("premium"),)),
        {},
    ),
    "wrapped": ((reply("m", 'Here: ```json\n{"answer": 1}\n```'),), Settings(), {"output_schema": SCHEMA}),
    "repaired": ((reply("m", "no json"), reply("m", '{"answer": 2}')), Settings(), {"output_schema": SCHEMA}),
}


@pytest.mark.requirement("AG-09")
@pytest.mark.parametrize("name", CASES)
async def test_route_price_and_answer_are_those_of_a_whole_call_and_what_was_told_last_is_the_answer(name: str):
    answers, settings, fields = CASES[name]
    whole, told, ear = Bench(Writes(*answers), settings), Bench(Writes(*answers), settings), Follower()
    one = await whole.chat(ask(**fields))
    other = await told.chat(ask(**fields), ear=ear)
    assert replace(other.response, model="") == replace(one.response, model="")
    assert same(told.event) == same(whole.event)
    assert whole.provider.streamed == [False] * len(whole.provider.streamed)
    assert all(told.provider.streamed)
    assert ear.told == other.response.text
    assert ear.calls == [[each.name, each.arguments] for each in other.response.tool_calls]


@pytest.mark.requirement("AG-09")
async def test_whoever_follows_is_told_that_the_text_begins_anew_and_that_another_answer_may_come():
    ear = Follower()
    sure = Bench(Writes(reply("m", "perhaps", 0.4), reply("m", "for sure", 0.95)), Settings(rules=(unsure("premium"),)))
    await sure.chat(ear=ear)
    assert [(each["why"], each["provisional"], "".join(each["pieces"])) for each in ear.tries] == [
        ("", True, "perhaps"),
        ("the answer was not good enough", True, "for sure"),
    ]
    ear = Follower()
    await Bench(Writes((reply("m", "Your ord"), True), reply("m", "Your order."))).chat(ear=ear)
    assert [each["why"] for each in ear.tries] == ["", "fake/small: upstream_cut"]
    assert ear.tries[0]["pieces"] == ["You"]


@pytest.mark.requirement("AG-09")
async def test_a_kept_answer_is_told_in_one_piece():
    ear, vendor = Follower(), Writes(reply("m", "Your order has shipped."))
    kept = FrontedCache(FakeClock(), MemoryCache())
    bench = Bench(vendor, Settings(caching=Caching(exact=True)), answers=kept)
    first = await bench.chat()
    again = await bench.chat(ear=ear)
    assert again.settled.cache == "exact"
    assert ear.tries[0]["pieces"] == [first.response.text]
    assert len(vendor.streamed) == 1


async def test_a_call_that_is_given_up_in_the_middle_is_counted_and_its_stream_closed():
    class Stuck(Writes):
        closed = False

        async def stream(
            self, target: Deployment, request: ChatRequest, deadline: Deadline, key: str
        ) -> AsyncIterator[Chunk]:
            try:
                yield Chunk(text="Your ")
                began.set()
                await asyncio.Event().wait()
            finally:
                self.closed = True

    began, ear = asyncio.Event(), Follower()
    bench = Bench(Stuck(reply("m")))
    call = asyncio.ensure_future(bench.chat(ear=ear))
    await began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert bench.provider.closed
    assert bench.event.status == "client_gone"
    assert bench.event.attempts[0].usage.output_total > 0
    assert ear.told == "Your "


TEXTS = st.text(max_size=30)
CALLS = st.lists(st.tuples(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3)), max_size=3)


@given(TEXTS, CALLS, TEXTS, st.randoms(use_true_random=False))
def test_pieces_cut_anywhere_make_up_the_whole_answer(text: str, calls: list[tuple[str, Any]], refusal: str, rng: Any):
    made = tuple(ToolCall(f"id{at}", name, json.dumps(each)) for at, (name, each) in enumerate(calls))
    words = tuple(TokenLogprob(each, -0.5) for each in text[:3])
    finish = "tool_calls" if made else "stop"
    whole = ChatResponse("m", text, made, finish, USED, "r1", refusal, logprobs=words)
    pieces = [Chunk(text=each) for each in _cut(text, rng)] + [Chunk(refusal=each) for each in _cut(refusal, rng)]
    pieces += [Chunk(logprobs=(each,)) for each in words]
    for at, call in enumerate(made):
        pieces.append(Chunk(tool_calls=(ToolCallDelta(at, call.id, call.name),)))
        pieces += [Chunk(tool_calls=(ToolCallDelta(at, arguments=each),)) for each in _cut(call.arguments, rng)]
    assembled = Assembled()
    for piece in [*pieces, Chunk(finish="stop", usage=USED, id="r1")]:
        assembled.add(piece)
    assert assembled.response(ask(), "m", simulated=False) == whole
    assert assembled.response(ask(logprobs=True), "m", simulated=False).mean_logprob == (-0.5 if words else None)


def _cut(text: str, rng: Any) -> list[str]:
    places = sorted({0, len(text), *(rng.randint(0, len(text)) for _ in range(4))})
    return [text[one:other] for one, other in itertools.pairwise(places)]
