"""The tool walk: validated before it runs, bounded while it runs, settled whatever way it ends."""

import asyncio
import threading
from typing import Any

import pytest

from interlock.core.budget import Budget, Limits
from interlock.core.errors import LedgerFull, LimitReached, ToolError
from interlock.tools.call import Grant, ToolRequest
from interlock.tools.define import ToolContext, make
from tests.tools.kit import CALLER, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


class Flaky:
    """Fails as often as it is told to."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def run(self, n: int = 0) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return n + self.calls


async def test_a_call_settles_once_with_its_result_and_its_place(bench: Bench):
    def add(a: int, b: int) -> int:
        return a + b

    reply = await bench.call(make(add, effect="none"), {"a": 1, "b": 2})
    assert reply.content == {"arguments": {"a": 1, "b": 2}, "result": 3}
    assert bench.ledger.settled == [reply.settled]
    settled = reply.settled
    assert (settled.kind, settled.name, settled.status, settled.caller) == ("tool", "add", "ok", CALLER)
    assert [attempt.status for attempt in settled.attempts] == ["ok"]
    assert not bench.ledger.open_slots


@pytest.mark.requirement("TL-01")
async def test_bad_arguments_never_run_the_function(bench: Bench):
    tried = Flaky(0, ValueError())
    tool = make(tried.run, name="run")
    for arguments in ({"n": "x"}, {"m": 1}, "{not json", None):
        reply = await bench.call(tool, arguments if arguments is not None else [])
        assert (reply.settled.status, reply.settled.error) == ("refused", "invalid_arguments")
        assert reply.content["error"]["hint"] == "Correct these and call again."
    assert tried.calls == 0
    assert len(bench.ledger.settled) == 4


async def test_a_tool_that_the_contract_does_not_list_does_not_exist(bench: Bench):
    reply = await bench.desk.call(CALLER, ToolRequest("payments.refund", {}, "k"), {})
    assert (reply.settled.status, reply.content["error"]["hint"]) == ("refused", "Available: none.")


@pytest.mark.requirement("TL-01")
async def test_every_refusal_says_what_may_be_done_instead(bench: Bench):
    def away(n: int) -> int:
        if n == 1:
            raise ToolError("gone", "it is not there any more")
        raise RuntimeError("broken")

    tool = make(away, name="away", effect="none")
    spent = Budget(Limits(max_tool_calls=0))
    replies = [
        await bench.desk.call(CALLER, ToolRequest("unknown", {}, "k1"), {"away": Grant(tool)}),
        await bench.call(tool, {"n": "x"}),
        await bench.call(tool, {"n": 1}),
        await bench.call(tool, {"n": 2}),
        await bench.desk.call(CALLER, ToolRequest("away", {"n": 1}, "k2"), {"away": Grant(tool)}, budget=spent),
        await bench.desk.call(
            CALLER, ToolRequest("away", {"n": 1}, "k3"), {"away": Grant(tool, credentials=("none",))}
        ),
    ]

    errors = [each.content["error"] for each in replies]
    codes = ["unknown_tool", "invalid_arguments", "gone", "unexpected_error", "limit_reached", "credential_unavailable"]
    assert [each["code"] for each in errors] == codes
    assert [each["code"] for each in errors if not each["hint"]] == []


@pytest.mark.parametrize(
    ("effect", "calls", "status"),
    [("none", 3, "ok"), ("idempotent", 3, "ok"), ("once", 1, "error"), ("reconcile", 1, "error")],
)
async def test_retries_are_made_only_where_they_do_no_harm(bench: Bench, effect: Any, calls: int, status: str):
    flaky = Flaky(2, ConnectionError("gone"))
    reconcile = (lambda n=0: None) if effect == "reconcile" else None
    tool = make(flaky.run, name="run", effect=effect, reconcile=reconcile)
    reply = await bench.call(tool, {}, retries=2)
    assert (flaky.calls, reply.settled.status, len(reply.settled.attempts)) == (calls, status, calls)
    assert reply.settled.error == ("" if status == "ok" else "unexpected_error")


@pytest.mark.requirement("TL-09")
async def test_every_try_of_a_call_has_the_same_key(bench: Bench):
    keys: list[str] = []

    def pay(ctx: ToolContext) -> None:
        keys.append(f"{ctx.idempotency_key} {ctx.tenant} {ctx.task} {ctx.workspace}")
        if len(keys) < 3:
            raise ConnectionError

    await bench.call(make(pay, effect="idempotent"), retries=5)
    assert keys == ["tsk_1:4 acme tsk_1 /shop"] * 3


async def test_a_tool_that_says_no_is_not_asked_again_unless_it_says_that_helps(bench: Bench):
    final, passing = (
        Flaky(9, ToolError("not_found", "no such order")),
        Flaky(1, ToolError("busy", "later", retryable=True)),
    )
    no = await bench.call(make(final.run, name="a", effect="none"), retries=3)
    yes = await bench.call(make(passing.run, name="b", effect="none"), retries=3)
    assert (final.calls, no.settled.error, no.content["error"]["message"]) == (1, "not_found", "no such order")
    assert (passing.calls, yes.settled.status) == (2, "ok")


@pytest.mark.requirement("TL-09")
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_call_past_its_time_is_cut_off(bench: Bench, kind: str):
    release = threading.Event()

    def hang() -> None:
        release.wait(60)

    async def hang_too() -> None:
        await asyncio.Event().wait()

    reply = await bench.call(
        make(hang if kind == "sync" else hang_too, name="hang", effect="none"), timeout_s=0.02, retries=1
    )
    release.set()
    assert (reply.settled.status, reply.settled.error) == ("timeout", "timeout")
    assert [attempt.status for attempt in reply.settled.attempts] == ["timeout", "timeout"]
    assert reply.content["error"]["retryable"] is True


async def test_a_timeout_of_the_tools_own_is_not_taken_for_ours(bench: Bench):
    def slow_line() -> None:
        raise TimeoutError("the database took too long")

    reply = await bench.call(make(slow_line, effect="once"))
    assert (reply.settled.status, reply.settled.error) == ("error", "unexpected_error")


async def test_sync_tools_run_beside_the_loop_and_beside_each_other(bench: Bench):
    together = threading.Barrier(3, timeout=60)

    def meet() -> str:
        together.wait()
        return threading.current_thread().name

    replies = await asyncio.gather(*[bench.call(make(meet, effect="none")) for _ in range(3)])
    assert {reply.content["result"] for reply in replies} == {"interlock-tool"}


async def test_tools_that_hang_never_pile_up_beyond_the_bound():
    bench, release, started = Bench(max_threads=2), threading.Event(), []

    def hang() -> None:
        started.append(1)
        release.wait(60)

    replies = await asyncio.gather(*[bench.call(make(hang, effect="none"), timeout_s=0.5) for _ in range(6)])
    assert {reply.settled.status for reply in replies} == {"timeout"}
    assert len(started) == 2
    release.set()


async def test_a_result_too_large_is_cut_and_labelled(bench: Bench):
    def talk() -> list[str]:
        return ["word"] * 1_000

    reply = await bench.call(make(talk, effect="none"), max_output_bytes=100)
    assert reply.content["labels"] == ["truncated"]
    assert reply.content["result"]["total_bytes"] == 7_001
    assert len(reply.content["result"]["beginning"]) == 100
    assert reply.settled.reasons == ("truncated: 7001 bytes of result cut to 100",)


async def test_a_result_that_json_cannot_carry_becomes_text(bench: Bench):
    def strange() -> Any:
        return {1: object, "self": complex(1, 2)}

    reply = await bench.call(make(strange, effect="once"))
    assert reply.settled.status == "ok"
    assert "(1+2j)" in str(reply.content["result"])


async def test_a_cancelled_call_settles_as_gone(bench: Bench):
    began = asyncio.Event()

    async def hang() -> None:
        began.set()
        await asyncio.Event().wait()

    running = asyncio.ensure_future(bench.call(make(hang, effect="once")))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [(s.status, s.error) for s in bench.ledger.settled] == [("client_gone", "cancelled")]
    assert not bench.ledger.open_slots


async def test_a_budget_without_room_refuses_before_the_function_runs(bench: Bench):
    tried = Flaky(0, ValueError())
    tool, budget = make(tried.run, name="run", effect="none"), Budget(Limits(max_tool_calls=1))
    grants = {"run": Grant(tool)}
    first = await bench.desk.call(CALLER, ToolRequest("run", {}, "k"), grants, budget=budget)
    second = await bench.desk.call(CALLER, ToolRequest("run", {}, "k"), grants, budget=budget)
    assert (first.settled.status, second.settled.status, second.settled.error) == ("ok", "refused", "limit_reached")
    assert (tried.calls, budget.spent.tool_calls) == (1, 1)


async def test_a_full_ledger_lets_no_tool_run(bench: Bench):
    tried = Flaky(0, ValueError())
    bench.ledger.room = 0
    with pytest.raises(LedgerFull):
        await bench.call(make(tried.run, name="run"))
    assert tried.calls == 0


async def test_what_may_have_happened_is_asked_for_first(bench: Bench):
    tried = Flaky(0, ValueError())
    for known, calls, reason in ((41, 0, "it had happened"), (None, 1, "it had not happened")):
        tool = make(tried.run, name="run", effect="reconcile", reconcile=lambda n=0, known=known: known)
        reply = await bench.call(tool, ask_first=True)
        assert (tried.calls, reply.content["result"]) == (calls, known or 1)
        assert reply.settled.reasons == (f"asked the tool: {reason}",)


async def test_a_limit_that_something_inside_the_tool_ran_into_is_not_the_tasks_own(bench: Bench):
    def nested() -> None:
        raise LimitReached("max_cost", used=1, asked=1, maximum=1)

    reply = await bench.call(make(nested, effect="once"))
    assert (reply.settled.status, reply.settled.error) == ("error", "unexpected_error")
    assert "max_cost would be exceeded" in reply.settled.message
