"""The fold: the same records give the same state, every prefix folds and decides, and no order of settlements matters."""

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.agents.actions import CallModel, CallTools
from interlock.agents.contract import Contract
from interlock.agents.decide import decide
from interlock.agents.state import State, apply, fold
from interlock.core.budget import Limits
from interlock.core.errors import ToolError
from interlock.core.events import Record, Settled
from tests.agents.kit import NO_MODEL, World, contract, make, says, wants

PLAIN = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def act(n: int) -> int:
    if n == 3:
        raise ToolError("no", "three is refused")
    if n == 4:
        raise ConnectionError("who knows")
    return n


TOOLS = {
    "read": make(act, name="read", effect="none"),
    "write": make(act, name="write", effect="idempotent", reversible_by="unwrite"),
    "send": make(act, name="send", effect="once"),
    "unwrite": make(act, name="unwrite", effect="idempotent"),
}
call = st.tuples(st.sampled_from(["read", "write", "send", "nothing"]), st.fixed_dictionaries({"n": st.integers(0, 5)}))
answer = st.one_of(
    st.lists(call, min_size=1, max_size=3).map(lambda calls: wants(*calls)),
    st.sampled_from(["Done.", ""]).map(says),
    st.just(NO_MODEL),
)
limit = st.one_of(st.none(), st.integers(0, 6))


def made(**limits: Any) -> Contract:
    listed = [TOOLS[name] for name in ("read", "write", "send")]
    return contract(*listed, undo=[TOOLS["unwrite"]], limits=limits, approvals={"write": True})


async def history(declared: Contract, answers: list[Any], decisions: list[str]) -> list[Record]:
    """The log of a task that a script led through whatever it asked."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        agents = world.agents(declared, answers)
        result = await agents.run("support", {"text": "go"})
        for decision in decisions:
            questions = await agents.questions(result.task)
            if not questions:
                break
            word: Any = decision if questions[0].kind == "approval" else {"approve": "done", "deny": "skip"}[decision]
            await agents.decide(result.task, questions[0].step, word, who="pat")
            again = await agents.resume(result.task)
            result = again or result
        records = await world.log.records(result.task)
        await world.close()
        return records


@PLAIN
@given(st.lists(answer, max_size=5), st.lists(st.sampled_from(["approve", "deny"]), max_size=4))
def test_every_prefix_of_a_log_folds_and_has_a_next_action(answers: list[Any], decisions: list[str]):
    declared = made()
    records = asyncio.run(history(declared, answers, decisions))
    state = State()
    for index, record in enumerate(records):
        state = apply(state, record)
        prefix = fold(records[: index + 1])
        assert prefix == state
        action = decide(state, declared, record.at_ns)
        assert action == decide(prefix, declared, record.at_ns)
        assert state.next_seq > record.seq


@PLAIN
@given(st.lists(answer, max_size=4), st.randoms(use_true_random=False))
def test_the_order_in_which_parallel_calls_settle_does_not_matter(answers: list[Any], rng: random.Random):
    records = asyncio.run(history(made(), answers, ["approve"] * 3))
    assert fold(shuffled(records, rng)) == fold(records)


def shuffled(records: list[Record], rng: random.Random) -> list[Record]:
    """The same log with each run of neighbouring settlements in any order."""
    mixed: list[Record] = []
    group: list[Record] = []
    for record in [*records, None]:
        if record is not None and isinstance(record.event, Settled):
            group.append(record)
            continue
        rng.shuffle(group)
        mixed += group
        group = []
        if record is not None:
            mixed.append(record)
    return mixed


@PLAIN
@given(
    st.lists(answer, max_size=6),
    st.fixed_dictionaries({"max_steps": limit, "max_model_calls": limit, "max_tool_calls": limit}),
    st.lists(st.sampled_from(["approve", "deny"]), max_size=3),
)
def test_no_limit_is_ever_exceeded(answers: list[Any], limits: dict[str, int | None], decisions: list[str]):
    records = asyncio.run(history(made(**limits), answers, decisions))
    state = fold(records)
    undone = sum(1 for action in state.actions if action.compensates)
    for name, maximum in limits.items():
        used = getattr(state.spent, name.removeprefix("max_")) - (undone if name != "max_model_calls" else 0)
        assert maximum is None or used <= maximum, (name, records)


def test_a_state_says_nothing_before_its_first_record():
    state = fold([])
    assert (state.next_seq, state.spent.steps, state.finished) == (0, 0, None)
    assert isinstance(decide(state, made(), 0), CallModel | CallTools)
    assert Limits() == made().limits
