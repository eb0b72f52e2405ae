"""The fault matrix: whatever goes wrong with a tool, by what repeating it would do. Each cell says what has to come of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from interlock.app.sandbox import answer
from interlock.config.conditions import parse_condition
from interlock.core.errors import ToolError
from interlock.core.events import Effect
from interlock.core.sandbox import RunOutcome
from interlock.testing.clock import FakeClock
from interlock.tools.call import Grant, ToolReply, ToolRequest
from interlock.tools.define import Tool, make
from interlock.tools.verdict import Rule
from tests.tools.kit import CALLER, Bench

pytestmark = pytest.mark.requirement("TL-09")

EFFECTS: tuple[Effect, ...] = ("none", "idempotent", "reconcile", "once")
SAFE, HARMFUL = EFFECTS[:2], EFFECTS[2:]
Doing = Callable[[int, FakeClock], Awaitable[Any]]
"""What a tool does at its nth call."""


@dataclass(frozen=True)
class Want:
    """What has to come of a call."""

    status: str
    error: str = ""
    tries: tuple[str, ...] = ()
    """Status of each try of the tool itself."""
    stood_in: tuple[str, ...] = ()
    """Status of each try of the one that stands in."""
    left_alone: bool = False
    """Whether the tool's circuit is open afterwards."""
    result: Any = None
    told: str = ""
    """Part of what the model reads."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong, on which terms, and what is wanted, by effect."""

    doing: Doing
    want: dict[Effect, Want]
    terms: dict[str, Any] = field(default_factory=dict[str, Any])
    fallback: Doing | None = None
    before: str = ""
    """`open`: the circuit is; `full`: every place is taken; `doubt`: an earlier try may have happened."""
    rules: tuple[Rule, ...] = ()
    """Of the one that stands in."""


async def hangs(_: int, __: FakeClock) -> Any:
    await asyncio.Event().wait()


async def raises(_: int, __: FakeClock) -> Any:
    raise OSError("the line was cut")


async def declines(_: int, __: FakeClock) -> Any:
    raise ToolError("declined", "the bank declined it")


async def busy(_: int, __: FakeClock) -> Any:
    raise ToolError("busy", "come back later", retryable=True)


async def garbage(_: int, __: FakeClock) -> Any:
    return {1: object, "half": complex(1, 2)}


async def too_much(_: int, __: FakeClock) -> Any:
    return "x" * 500


async def dies(_: int, __: FakeClock) -> Any:
    return answer("act", RunOutcome("exited", "namespaces", exit_code=-9))


async def slow(_: int, clock: FakeClock) -> Any:
    clock.advance(4)
    return "done"


async def recovers(nth: int, clock: FakeClock) -> Any:
    return await raises(nth, clock) if nth == 1 else "done"


async def hangs_then_declines(nth: int, clock: FakeClock) -> Any:
    return await (hangs if nth == 1 else declines)(nth, clock)


async def works(_: int, __: FakeClock) -> Any:
    return "done"


def alike(want: Want, effects: tuple[Effect, ...] = EFFECTS) -> dict[Effect, Want]:
    return dict.fromkeys(effects, want)


def tried(status: str, error: str, told: str, **rest: Any) -> dict[Effect, Want]:
    """A failure that may pass: three tries where that does no harm, one where it does."""
    return {
        **alike(Want(status, error, (status,) * 3, told=told, **rest), SAFE),
        **alike(Want(status, error, (status,), told=told, **rest), HARMFUL),
    }


OK, DOUBT = Want("ok", tries=("ok",), result="done"), ("timeout", "timeout")
RULED = (Rule(parse_condition("n > 0"), "deny", because="not for the likes of these"),)
FAULTS: dict[str, Fault] = {
    "times out": Fault(hangs, tried("timeout", "timeout", "did not finish", left_alone=True)),
    "raises": Fault(raises, tried("error", "unexpected_error", "the line was cut", left_alone=True)),
    "says no": Fault(declines, alike(Want("error", "declined", ("error",), told="the bank declined it"))),
    "says not now": Fault(busy, tried("error", "busy", "come back later", left_alone=True)),
    "returns garbage": Fault(garbage, alike(Want("ok", tries=("ok",), told="(1+2j)"))),
    "returns too much": Fault(
        too_much,
        alike(Want("ok", tries=("ok",), result={"truncated": True, "total_bytes": 502, "beginning": "x" * 100})),
        {"max_output_bytes": 100},
    ),
    "dies in the sandbox": Fault(dies, tried("error", "unexpected_error", "exit status -9", left_alone=True)),
    "is slow but within its time": Fault(slow, alike(OK)),
    "recovers": Fault(
        recovers,
        {
            **alike(Want("ok", tries=("error", "ok"), result="done"), SAFE),
            **alike(Want("error", "unexpected_error", ("error",), left_alone=True, told="cut"), HARMFUL),
        },
    ),
    "circuit open": Fault(
        works, alike(Want("refused", "circuit_open", left_alone=True, told="left alone")), before="open"
    ),
    "circuit open, another stands in": Fault(
        works, alike(Want("ok", stood_in=("ok",), left_alone=True, result="done")), fallback=works, before="open"
    ),
    "no place": Fault(works, alike(Want("refused", "tool_busy", told="were taken")), before="full"),
    "no place, another stands in": Fault(
        works, alike(Want("ok", stood_in=("ok",), result="done")), fallback=works, before="full"
    ),
    "says no, another stands in": Fault(
        declines, alike(Want("ok", tries=("error",), stood_in=("ok",), result="done")), fallback=works
    ),
    "times out, another may stand in": Fault(
        hangs,
        {
            "none": Want("ok", tries=("timeout",) * 3, stood_in=("ok",), left_alone=True, result="done"),
            "idempotent": Want(*DOUBT, ("timeout",) * 3, left_alone=True),
            **alike(Want(*DOUBT, ("timeout",), left_alone=True), HARMFUL),
        },
        fallback=works,
    ),
    "times out, then says no, another may stand in": Fault(
        hangs_then_declines,
        {
            "none": Want("ok", tries=("timeout", "error"), stood_in=("ok",), result="done"),
            "idempotent": Want("error", "declined", ("timeout", "error"), told="declined"),
            **alike(Want(*DOUBT, ("timeout",), left_alone=True), HARMFUL),
        },
        fallback=works,
    ),
    "the one that stands in says no": Fault(
        declines,
        alike(Want("error", "declined", ("error",), stood_in=("error",), told="the bank declined it")),
        fallback=busy,
    ),
    "the one that stands in hangs": Fault(
        declines,
        {
            "none": Want("error", "declined", ("error",), stood_in=("timeout",), told="the bank declined it"),
            **alike(Want(*DOUBT, ("error",), stood_in=("timeout",)), EFFECTS[1:]),
        },
        fallback=hangs,
    ),
    "the one that stands in is forbidden": Fault(
        declines, alike(Want("error", "declined", ("error",), told="declined")), fallback=works, rules=RULED
    ),
    "in doubt, and the circuit is open": Fault(
        works,
        {"reconcile": Want("error", "reconcile_failed", left_alone=True, told="may have happened already")},
        fallback=works,
        before="open doubt",
    ),
    "in doubt, and there is no place": Fault(
        works,
        {"reconcile": Want("error", "reconcile_failed", told="may have happened already")},
        fallback=works,
        before="full doubt",
    ),
}
CELLS = [(name, effect) for name, fault in FAULTS.items() for effect in fault.want]


class Played:
    """One cell: the desk, a tool called `act`, and how often each was performed."""

    def __init__(self, fault: Fault, effect: Effect) -> None:
        self.fault, self.bench = fault, Bench()
        self.effect: Effect = effect
        self.done: dict[str, int] = {"act": 0, "mirror": 0}
        other = Grant(self._tool("mirror", fault.fallback), 0.005, rules=fault.rules) if fault.fallback else None
        terms: dict[str, Any] = {"timeout_s": 0.005, "retries": 2, "breaker_failures": 1, "max_concurrency": 1}
        self.grant = Grant(self._tool("act", fault.doing), **{**terms, **fault.terms}, fallback=other)

    def _tool(self, name: str, doing: Doing) -> Tool:
        async def act(n: int = 1) -> Any:
            self.done[name] += 1
            return await doing(self.done[name], self.bench.clock)

        known = (lambda n=1: None) if self.effect == "reconcile" else None
        return make(act, name=name, effect=self.effect, reconcile=known)

    async def call(self, *, doubt: bool = False) -> ToolReply:
        request = ToolRequest("act", {"n": 1}, "tsk_1:4", ask_first=doubt)
        return await self.bench.desk.call(CALLER, request, {"act": self.grant})

    async def beside(self, doing: Doing) -> ToolReply:
        """A call of the same tool, doing something else, by a contract that names nobody to stand in."""

        async def act() -> Any:
            return await doing(1, self.bench.clock)

        grant = Grant(make(act, effect="none"), 5.0, breaker_failures=1, max_concurrency=1)
        return await self.bench.desk.call(CALLER, ToolRequest("act", {}, "tsk_2:1"), {"act": grant})

    async def play(self) -> ToolReply:
        before = self.fault.before
        if "open" in before:
            await self.beside(raises)
        if "full" not in before:
            return await self.call(doubt="doubt" in before)
        began, go = asyncio.Event(), asyncio.Event()

        async def occupy(_: int, __: FakeClock) -> Any:
            began.set()
            await go.wait()

        holder = asyncio.create_task(self.beside(occupy))
        await began.wait()
        reply = await self.call(doubt="doubt" in before)
        go.set()
        await holder
        return reply


@pytest.mark.parametrize(("name", "effect"), CELLS, ids=[f"{name} ({effect})" for name, effect in CELLS])
async def test_whatever_fails_comes_to_what_its_effect_allows(name: str, effect: Effect):
    fault = FAULTS[name]
    want, cell = fault.want[effect], Played(fault, effect)
    reply = await cell.play()
    settled, events = reply.settled, [each for each in cell.bench.ledger.settled if each.call == reply.settled.call]

    assert (settled.status, settled.error) == (want.status, want.error)
    of = {each: tuple(a.status for a in settled.attempts if a.deployment == each) for each in ("act", "mirror")}
    assert of == {"act": want.tries, "mirror": want.stood_in}
    assert cell.done == {"act": len(want.tries), "mirror": len(want.stood_in)}, "what is said to have run is what ran"
    assert any("fallback: act failed" in each for each in settled.reasons) is (
        bool(want.stood_in) or bool(fault.rules)
    ), "the record says who stood in"
    assert events == [settled]
    assert not cell.bench.ledger.open_slots
    told = reply.content.get("error") or {"code": "", "hint": "-", "message": str(reply.content.get("result"))}
    assert (told["code"], bool(told["hint"])) == (want.error, True)
    assert want.told in told["message"]
    if want.result is not None:
        assert reply.content["result"] == want.result
    if effect == "once":
        perhaps = [a for a in settled.attempts if a.status != "ok" and a.error in ("timeout", "unexpected_error")]
        happened = sum(a.status == "ok" for a in settled.attempts) + len(perhaps)
        assert happened <= 1, "nothing that may have happened is done twice"

    after = await cell.beside(works)
    assert (after.settled.error == "circuit_open") is want.left_alone
