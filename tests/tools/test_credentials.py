"""Credentials are lent to tools and to nobody else."""

import json
from pathlib import Path
from typing import Any

import pytest

from interlock.app import Interlock
from interlock.config.load import load
from interlock.core.caller import Secret
from interlock.core.errors import ToolError
from interlock.testing.clock import FakeClock
from interlock.testing.upstream import Answer, Upstream, in_turn
from interlock.tools.credentials import Broker, Lent, hidden
from interlock.tools.define import ToolContext, make
from tests.tools.kit import Bench

CANARY = "canary-7f3a9c51d2"


def lending(*secrets: str, life_s: float = float("inf")) -> tuple[Broker, list[str], FakeClock]:
    """A broker that gives one secret after the other, what it gave, and its clock."""
    clock, given = FakeClock(), list[str]()

    async def issue() -> Lent:
        given.append(secrets[min(len(given), len(secrets) - 1)])
        return Lent(Secret(given[-1]), life_s)

    return Broker({"crm": issue}, clock), given, clock


@pytest.mark.requirement("TL-08")
async def test_a_tool_gets_what_its_contract_lends_it_and_nothing_else():
    seen: list[Any] = []

    def find(ctx: ToolContext) -> str:
        seen.append(dict(ctx.credentials))
        return "found"

    broker, _, _ = lending(CANARY)
    bench = Bench(broker=broker)
    tool = make(find, effect="none")
    await bench.call(tool, credentials=("crm",))
    await bench.call(tool)
    missing = await bench.call(tool, credentials=("other",))

    assert [{name: secret.reveal() for name, secret in each.items()} for each in seen] == [{"crm": CANARY}, {}]
    assert missing.settled.error == "credential_unavailable"


@pytest.mark.requirement("TL-08")
async def test_what_a_tool_returns_or_raises_is_searched_for_what_it_was_lent():
    def tell(how: str, ctx: ToolContext) -> Any:
        secret = ctx.credentials["crm"].reveal()
        if how == "raise":
            raise ToolError("denied", f"401 for Bearer {secret}", hint=f"the token was {secret}")
        if how == "crash":
            raise RuntimeError(secret)
        return {"headers": [{"authorization": f"Bearer {secret}"}], secret: 1}

    broker, _, _ = lending(CANARY)
    bench = Bench(broker=broker)
    tool = make(tell, effect="none")
    replies = [await bench.call(tool, {"how": how}, credentials=("crm",)) for how in ("return", "raise", "crash")]

    assert all(CANARY not in f"{reply.content} {reply.settled}" for reply in replies)
    assert replies[0].content["result"]["headers"] == [{"authorization": "Bearer [credential crm]"}]


@pytest.mark.requirement("TL-05", "TL-08")
async def test_egress_and_tools_borrow_from_one_broker_and_a_rotated_file_is_used_without_a_restart(tmp_path: Path):
    (tmp_path / "crm.token").write_text("token-of-yesterday")
    (tmp_path / "interlock.yaml").write_text(
        "credentials: {crm: {file: crm.token, life_s: 60}}\n"
        "egress: {allow: [{host: crm.example.com}], credentials: {crm: {hosts: [crm.example.com]}}}\n"
    )
    clock = FakeClock()
    async with Interlock(load(tmp_path), clock=clock) as il:
        (crm,) = il._toolbox.egress.credentials
        before = (await crm.secret()).reveal()
        (tmp_path / "crm.token").write_text("token-of-today")
        clock.advance(60)
        after = (await crm.secret()).reveal()
        lent = (await il.tasking.broker.lend(["crm"]))["crm"].reveal()

    assert (before, after, lent) == ("token-of-yesterday", "token-of-today", "token-of-today")
    assert crm.placeholder not in (before, after)


@pytest.mark.requirement("TL-08")
async def test_a_token_is_fetched_again_before_it_runs_out():
    broker, given, clock = lending("token-number-1", "token-number-2", life_s=600)
    first = await broker.lend(["crm"])
    clock.advance(500)
    same = await broker.lend(["crm"])
    clock.advance(41)
    fresh = await broker.lend(["crm"])

    assert [each["crm"].reveal() for each in (first, same, fresh)] == ["token-number-1"] * 2 + ["token-number-2"]
    assert len(given) == 2


def test_short_values_are_not_searched_for():
    assert hidden({"a": "x1"}, {"crm": Secret("x")}) == {"a": "x1"}


TOOLS = """
from interlock import ToolContext, tool

@tool(name="crm.find", effect="none")
def find(order_id: str, ctx: ToolContext) -> dict:
    secret = ctx.credentials["crm"].reveal()
    return {"order": order_id, "sent": f"Bearer {secret}", "length": len(secret)}
"""


@pytest.mark.requirement("TL-08")
async def test_a_canary_shows_nowhere_from_the_prompt_to_the_store_and_a_new_file_is_used_without_a_restart(
    tmp_path: Path,
):
    (tmp_path / "agents").mkdir()
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "crm.token").write_text(CANARY)
    (tmp_path / "agents" / "finder.yaml").write_text(
        "agent:\n  model: openai/gpt-4o-mini\n  logging: {store_prompts: full}\n  tools: [{name: crm.find, credentials: [crm]}]\n"
    )
    asks = Answer(tool_calls=(("crm.find", '{"order_id": "A1"}'),))
    async with Upstream(in_turn(asks, Answer(text="done"), asks, Answer(text="done"))) as upstream:
        (tmp_path / "interlock.yaml").write_text(
            f"providers: {{openai: {{base_url: '{upstream.base_url}', api_key: k}}}}\n"
            "credentials: {crm: {file: crm.token, life_s: 0.000001}}\n"
        )
        async with Interlock.from_file(tmp_path) as il:
            first = await il.run("finder", {"text": "find A1"})
            (tmp_path / "crm.token").write_text("canary-rotated-and-longer")
            await il.run("finder", {"text": "find A1"})
        sent = "".join(json.dumps(each.body) for each in upstream.asked)

    stored = b"".join(path.read_bytes() for path in (tmp_path / ".interlock").rglob("*") if path.is_file())
    assert first.outcome == "resolved"
    assert "[credential crm]" in sent
    assert CANARY not in sent
    assert "canary" not in sent
    assert b"canary" not in stored
    assert f'"length":{len(CANARY)}' in sent.replace("\\", "").replace(" ", "")
    assert f'"length":{len("canary-rotated-and-longer")}' in sent.replace("\\", "").replace(" ", "")


@pytest.mark.requirement("TL-08", "TL-10")
async def test_a_kept_answer_holds_no_credential():
    def tell(ctx: ToolContext) -> str:
        return f"Bearer {ctx.credentials['crm'].reveal()}"

    broker, _, _ = lending(CANARY)
    bench, tool = Bench(broker=broker), make(tell, effect="none")
    first, again = [await bench.call(tool, credentials=("crm",), cache_ttl_s=60) for _ in range(2)]

    assert again.settled.status == "cache_hit"
    assert [each.content["result"] for each in (first, again)] == ["Bearer [credential crm]"] * 2
