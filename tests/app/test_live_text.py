"""What a task's model writes, read by whoever follows the task while it is written, against a server process and in one's own."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from interlock.app import Interlock
from interlock.app.following import Came
from interlock.cli.main import main
from interlock.core.caller import Caller
from interlock.core.live import Calling, Live, Said, Writing
from interlock.testing.upstream import Answer, Upstream, in_turn

from .conftest import Folder
from .guards_kit import MAIL, PII
from .test_serve import serving
from .test_tasks_api import client

TEXT = "Your order has shipped and arrives on Friday, at noon."
AGENT = "agent:\n  model: openai/gpt-4o-mini\n"
ASKED = {"text": "Where is it?"}
NEW = {"workflow": "support", "input": ASKED, "text": True}
LOOKS = Answer(tool_calls=(("inventory_lookup", '{"sku": "A1"}'),))
TOOL = "  tools: [{name: inventory.lookup}]\n"

Event = tuple[str, str, Any]
"""(id, name, data) of one server-sent event."""


@pytest.fixture
def folder(contract_folder: Folder) -> Folder:
    contract_folder.write("agents/support.yaml", AGENT)
    return contract_folder


@asynccontextmanager
async def following(http: httpx2.AsyncClient, task: str, last: str = "") -> AsyncGenerator[AsyncIterator[Event]]:
    """The events of a task with its text, as a reader that knows nothing but the wire has them."""
    headers = {"last-event-id": last} if last else {}
    async with http.stream("GET", f"/api/tasks/{task}/events?text=1", headers=headers) as reply:
        assert reply.status_code == 200
        yield events_of(reply.aiter_lines())


async def events_of(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif "data" in fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}


async def until_text(events: AsyncIterator[Event], so_far: str) -> list[Event]:
    """Everything up to the piece with which the text is `so_far`."""
    seen: list[Event] = []
    async with asyncio.timeout(60):
        async for event in events:
            seen.append(event)
            if event[1] == "text" and text_of(seen) == so_far:
                return seen
    raise AssertionError(f"never read {so_far!r}: {seen}")


def text_of(events: list[Event]) -> str:
    """The text of the last call, put together by what the pieces say about themselves and nothing else."""
    text, which = "", (0, 0)
    for _, name, data in events:
        if name in ("writing", "text") and (data["step"], data["try"]) != which:
            text, which = "", (data["step"], data["try"])
        if name == "text":
            assert data["from"] <= len(text), "a piece is missing"
            text = text[: data["from"]] + data["text"]
    return text


def settled(events: list[Event]) -> list[Any]:
    return [data for _, name, data in events if name == "settled"]


@pytest.mark.requirement("AG-09")
async def test_a_follower_reads_the_text_while_it_is_written_and_loses_nothing_by_coming_late_or_again(folder: Folder):
    go_on = asyncio.Event()
    async with Upstream(Answer(text=TEXT, until=go_on, held_after=4)) as upstream:
        folder.provider("openai", upstream.base_url)
        async with serving(folder) as address, client(address, folder.root) as http:
            task = (await http.post("/api/tasks", json=NEW)).json()["task"]
            async with following(http, task) as events:
                first = await until_text(events, "Your order has")
            last = [identity for identity, _, _ in first if identity][-1:]
            async with following(http, task, "".join(last)) as again, following(http, task) as plain:
                late = await until_text(again, "Your order has")
                await until_text(plain, "Your order has")
                go_on.set()
                late += [event async for event in again]
            plainly = (await http.get(f"/api/tasks/{task}/events")).text
            wrong = await http.get(f"/api/tasks/{task}/events?text=yes")
    assert wrong.status_code == 400
    assert not settled(first), "the words came before the call had settled"
    assert settled(late)[-1]["content"]["response"]["text"] == text_of(late) == TEXT
    ids = [identity for identity, _, _ in [*first, *late] if identity]
    assert len(ids) == len(set(ids)), "no record twice"
    assert {name for identity, name, _ in first + late if not identity} == {"writing", "text", "end"}
    assert [line for line in plainly.splitlines() if line.startswith("event: ")] == [
        f"event: {name}" for _, name, _ in [*first, *late] if name not in ("writing", "text")
    ]


@pytest.mark.requirement("AG-09")
async def test_calls_are_streamed_where_somebody_follows_or_the_contract_says_so_and_only_there(folder: Folder):
    async with Upstream(Answer(text=TEXT)) as upstream:
        folder.provider("openai", upstream.base_url)
        await told(folder, heard=False)
        await told(folder)
        folder.write("agents/support.yaml", AGENT + "  stream: true\n")
        await told(folder, heard=False)
        assert [each.streamed for each in upstream.asked] == [False, True, True]


@pytest.mark.requirement("AG-09")
async def test_tool_calls_are_told_as_they_are_made_up_under_the_tools_own_names(folder: Folder):
    folder.write("agents/support.yaml", AGENT + TOOL)
    async with Upstream(in_turn(LOOKS, Answer(text=TEXT))) as upstream:
        folder.provider("openai", upstream.base_url)
        pieces, _ = await told(folder)
    calls = [each for each in pieces if isinstance(each, Calling)]
    assert {each.name for each in calls} == {"inventory.lookup"}
    assert "".join(each.text for each in calls) == '{"sku": "A1"}'
    assert [each.start for each in calls] == [0, 0, 6]
    assert len({each.step for each in pieces}) == 2


@pytest.mark.requirement("AG-09")
async def test_a_text_that_broke_off_begins_anew_under_the_next_number(folder: Folder):
    async with Upstream(in_turn(Answer(text=TEXT, cut_after=3), Answer(text=TEXT))) as upstream:
        folder.provider("openai", upstream.base_url)
        pieces, answer = await told(folder)
    begun = [(each.attempt, each.why) for each in pieces if isinstance(each, Writing)]
    assert begun == [(1, ""), (2, "openai/gpt-4o-mini: upstream_cut")]
    assert "".join(each.text for each in pieces if isinstance(each, Said) and each.attempt == 2) == TEXT == answer


@pytest.mark.requirement("AG-09", "AG-08")
async def test_the_record_of_a_task_is_the_same_whether_its_calls_were_streamed_or_not(folder: Folder):
    folder.write("agents/support.yaml", AGENT + TOOL)
    logs: list[Any] = []
    for heard in (False, True):
        async with Upstream(in_turn(LOOKS, Answer(text=TEXT))) as upstream:
            folder.provider("openai", upstream.base_url)
            async with Interlock.from_file(folder.root) as il:
                result = await il.agents.run("support", ASKED, hears=[].append if heard else None)
                records = await il.tasking.log.records(result.task)
                replay = await il.agents.again.replay(result.task)
            assert replay.identical, replay
            logs.append([(each.seq, type(each.event), each.content) for each in records])
    assert logs[0] == logs[1]


@pytest.mark.requirement("AG-09", "SG-01")
async def test_what_guards_take_out_of_the_record_is_in_no_piece(folder: Folder):
    long = f"{TEXT} {TEXT} {TEXT} {TEXT} {TEXT} Write to {MAIL} {TEXT} {TEXT} {TEXT} {TEXT} {TEXT} {TEXT}"
    folder.write("interlock.yaml", "workspace: documents\ntenant: acme\n" + PII)
    async with Upstream(Answer(text=long)) as upstream:
        folder.provider("openai", upstream.base_url)
        async with Interlock.from_file(folder.root) as il:
            pieces: list[Live] = []
            result = await il.agents.run("support", ASKED, hears=pieces.append)
            said = [each.text for each in pieces if isinstance(each, Said)]
            recorded = [each.content for each in await il.tasking.log.records(result.task)]
    assert len(said) > 1, "it came while it was written, but for the tail in which something may yet be found"
    assert MAIL not in "".join(said)
    assert "[email:" in "".join(said)
    assert any((each or {}).get("response", {}).get("text") == "".join(said) for each in recorded)


@pytest.mark.requirement("AG-09", "SG-01")
@pytest.mark.parametrize(
    ("more", "agent", "why"),
    [
        ("guards: {moderation: {after: [rules]}}\n", "", "answers are judged as a whole"),
        ("", "  tools: [{name: inventory.lookup, flow: {}}]\n", "its information-flow terms decide"),
    ],
    ids=["moderated", "information flow"],
)
async def test_nothing_is_told_before_the_end_of_what_may_be_held_back(folder: Folder, more: str, agent: str, why: str):
    folder.write("interlock.yaml", "workspace: documents\ntenant: acme\n" + more)
    folder.write("agents/support.yaml", AGENT + agent)
    async with Upstream(Answer(text=TEXT)) as upstream:
        folder.provider("openai", upstream.base_url)
        pieces, _ = await told(folder)
    begun = [each for each in pieces if isinstance(each, Writing)]
    assert begun[0].held.startswith(why)
    assert len([each for each in pieces if isinstance(each, Said)]) <= 1
    assert not upstream.asked[0].streamed


@pytest.mark.requirement("AG-09")
async def test_a_program_that_embeds_it_follows_a_task_from_where_it_was(folder: Folder):
    async with Upstream(Answer(text=TEXT)) as upstream:
        folder.provider("openai", upstream.base_url)
        async with Interlock.from_file(folder.root) as il:
            task, _ = await il.agents.submit("support", ASKED, caller=Caller("acme"), text=True)
            working = asyncio.ensure_future(il.work())
            async with asyncio.timeout(60):
                seen = [each async for each in il.follow(task)]
            came = [each for each in seen if isinstance(each, Came)]
            again = [each async for each in il.follow(task, after=str(came[1].place))]
            il.agents.stop()
            await working
    assert "".join(each.text for each in seen if isinstance(each, Said)) == TEXT
    assert [each for each in again if isinstance(each, Came)] == came[2:]
    assert upstream.asked[0].streamed


@pytest.mark.requirement("AG-09")
async def test_a_terminal_shows_the_words_beside_the_result(folder: Folder, capsys: pytest.CaptureFixture[str]):
    folder.write("agents/support.yaml", AGENT + TOOL)
    several = in_turn(LOOKS, Answer(text=TEXT, cut_after=3), Answer(text=TEXT))
    async with Upstream(several) as upstream:
        folder.provider("openai", upstream.base_url)
        asked = ["run", "support", "text=where?", "-w", str(folder.root), "--live", "--json"]
        code = await asyncio.to_thread(main, asked)
        shown = capsys.readouterr()
        wrong = await asyncio.to_thread(
            main, ["run", "support", "--input", "x.jsonl", "-w", str(folder.root), "--live"]
        )
    assert (code, wrong) == (0, 2)
    assert json.loads(shown.out)["answer"] == TEXT
    lines = [line.strip() for line in shown.err.splitlines()]
    assert lines[-4:] == [
        'inventory.lookup {"sku": "A1"}',
        "Your order",
        "[anew: openai/gpt-4o-mini: upstream_cut]",
        TEXT,
    ]


async def told(folder: Folder, *, heard: bool = True) -> tuple[list[Live], Any]:
    """What a task told, and its answer."""
    pieces: list[Live] = []
    async with Interlock.from_file(Path(folder.root)) as il:
        result = await il.agents.run("support", ASKED, hears=pieces.append if heard else None)
    assert result.outcome == "resolved", result
    return pieces, result.answer
