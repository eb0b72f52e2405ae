"""One store for several tenants, and one worker for many tasks: nobody takes another's, and no task holds up the rest."""

import pytest

from interlock.agents.batch import Line, run_batch
from tests.agents.kit import Said, World, contract, make, says, wants


async def waiting(world: World, tenant: str) -> str:
    """A task whose question has been answered, so that it is due."""
    pay = contract(make(lambda: "paid", name="pay", effect="idempotent"), approvals={"pay": True}, tenant=tenant)
    agents = world.agents(pay, [wants(("pay", {}))])
    result = await agents.run("support", {"text": "go"})
    [question] = await agents.questions(result.task)
    await agents.decide(result.task, question.step, "approve", who="ann")
    return result.task


def paying(world: World, tenant: str, *answers: Said):
    pay = contract(make(lambda: "paid", name="pay", effect="idempotent"), approvals={"pay": True}, tenant=tenant)
    return world.agents(pay, [*answers])


async def test_a_worker_leaves_the_tasks_of_another_tenant_with_a_workflow_of_the_same_name(world: World):
    task = await waiting(world, "acme")
    assert await paying(world, "zenith", says("Done.")).work_off() == []
    [result] = await paying(world, "acme", says("Done.")).work_off()
    assert (result.task, result.outcome) == (task, "resolved")


async def test_a_file_that_another_tenant_has_run_is_run_for_this_one_too(world: World):
    tasks: list[str] = []
    for tenant in ("acme", "zenith"):
        agents = world.agents(contract(tenant=tenant), [says("ok")])
        [done] = [each async for each in run_batch(agents, "support", [Line(1, {"text": "go"})], batch="b")]
        assert done.result is not None
        assert (done.result.outcome, done.before) == ("resolved", False)
        tasks.append(done.result.task)
    assert tasks[0] != tasks[1]


async def test_a_task_that_cannot_be_worked_on_keeps_no_other_one_from_its_turn(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    broken, good = await waiting(world, "acme"), await waiting(world, "acme")
    agents = paying(world, "acme", says("Done."))
    resume = agents.resume

    async def failing(task: str):
        if task == broken:
            raise RuntimeError("a defect")
        return await resume(task)

    monkeypatch.setattr(agents, "resume", failing)
    [result] = await agents.work_off()
    assert (result.task, result.outcome) == (good, "resolved")
    assert f"task {broken} could not be worked on" in caplog.text
