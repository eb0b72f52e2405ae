"""Streams on the short way: what the client reads and what the ledger says is that of the long way, whatever the vendor sends and wherever it is cut."""

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.gateway.flow import Flow
from interlock.gateway.shortcut import Shortcut

from .stream_kit import HEAD, answer, chunk, cut, event, house, usage, without_ids

TEXTS = st.sampled_from(
    (
        "word",
        " and",
        "ü€",
        'say "it"',
        "a\\",
        "\n",
        "",
        "ada@example.com",
        "[email:abcdefghijklmnop]",
        "data: no",
        "x" * 300,
    )
)
ODD = st.sampled_from(
    (
        b": a comment\n\n",
        b'data: {"error":{"message":"overloaded"}}\n\n',
        b"data: not json\n\n",
        event("twice").replace(b"\n\n", b"\r\n\r\n"),
        event("other", system_fingerprint="fp_2"),
        event("late", usage={"prompt_tokens": 9, "completion_tokens": 3}),
        event(finish="length"),
        b'data: {"id":"1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}\n\n',
        b'data: {"id":"1","choices":[{"index":0,"delta":{"refusal":"no"}}]}\n\n',
        b"event: x\ndata: [DONE]\n\n",
    )
)
SPENT = st.sampled_from(
    (
        b"",
        usage(9, 4),
        usage(900_000, 4),
        usage(9, 4, prompt_tokens_details={"cached_tokens": 5}),
        usage(0, 0),
        b": none\n\n",
    )
)
REFUSED = b'HTTP/1.1 503 Busy\r\ncontent-length: 27\r\n\r\n{"error":{"message":"busy"}}'[:-1]


@st.composite
def replies(draw: Any) -> list[bytes | None]:
    """One reply of a vendor in pieces: mostly a good one, cut into packets at any places, at times broken off or refused."""
    kind = draw(st.sampled_from(("good", "good", "good", "odd", "broken", "refused")))
    if kind == "refused":
        return [REFUSED]
    events = [event(each) for each in draw(st.lists(TEXTS, min_size=1, max_size=8))]
    if kind == "odd":
        events.insert(draw(st.integers(0, len(events))), draw(ODD))
    data = answer(events, spent=draw(SPENT))
    places = draw(st.lists(st.integers(0, 10_000), max_size=8))
    if draw(st.booleans()):  # each event on its own, as most vendors send them
        places += [found.start() for found in re.finditer(rb"[0-9a-f]+\r\ndata", data)]
    if kind != "broken":
        return cut(data, places)
    return [*cut(data[: draw(st.integers(len(HEAD) - 20, len(data) - 1))], places), None]


@pytest.mark.requirement("GW-16", "GW-13")
@given(
    said=st.lists(replies(), min_size=1, max_size=3),
    guarded=st.booleans(),
    with_usage=st.booleans(),
    kept=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_both_ways_of_a_stream_read_and_leave_the_same_whatever_the_vendor_sends(said, guarded, with_usage, kept):
    async def all_of(*, short: bool) -> tuple[Any, ...]:
        with pytest.MonkeyPatch.context() as patch:
            if not short:
                patch.setattr(Shortcut, "stream", lambda *_: None)
            async with house(guarded=guarded, kept=kept) as up:
                up.vendor.replies.extend([list(each) for each in said])
                up.vendor.replies.extend([answer([event("spare")])] for _ in range(40))
                shown = [await up.ask(f"question {number}", usage=with_usage) for number in range(len(said))]
                again = await up.ask("question 0", usage=with_usage)
                return [without_ids(each) for each in (*shown, again)], up.left_behind(), up.vendor.bodies

    long_shown, long_left, long_sent = asyncio.run(all_of(short=False))
    short_shown, short_left, short_sent = asyncio.run(all_of(short=True))
    assert short_shown == long_shown
    assert short_left == long_left
    assert short_sent == long_sent


@pytest.fixture
def rides(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which streams were begun the short way, and which of these were handed over."""
    told: list[str] = []
    stream, over = Shortcut.stream, Flow.over

    def begun(self: Shortcut, *asked: Any) -> Any:
        ride = stream(self, *asked)
        told.append("long" if ride is None else "short")
        return ride

    def handed_over(self: Flow) -> None:
        told.append("handed over")
        over(self)

    monkeypatch.setattr(Shortcut, "stream", begun)
    monkeypatch.setattr(Flow, "over", handed_over)
    return told


@pytest.mark.parametrize("guarded", [False, True])
async def test_an_ordinary_stream_goes_the_short_way_from_its_beginning_to_its_end(
    rides: list[str], guarded: bool
) -> None:
    async with house(guarded=guarded) as up:
        words = [event(each) for each in ("It", " has", " shipped.")]
        up.vendor.replies.append([HEAD, *[chunk(each) for each in words], answer([])[len(HEAD) :]])
        reply = await up.ask("Where is it?")
        assert rides == ["long", "short"], "the first call to a deployment goes the long way"
        assert [*map(reply.index, words)] == sorted(map(reply.index, words))
        assert reply.index(b": interlock {") < reply.index(b"data: [DONE]")
        left = up.left_behind()
    last = left["events"][-1]
    assert (last.status, last.usage.output, last.first_token_us, left["inside"]) == ("ok", 0, 1, 0)


@pytest.mark.requirement("GW-34")
@pytest.mark.parametrize("words", [0, 1, 3], ids=["before its answer", "after the first piece", "in its middle"])
async def test_a_client_that_leaves_a_stream_hangs_up_on_the_vendor_and_is_booked(rides: list[str], words: int) -> None:
    async with house() as up:
        told = [chunk(event(f"word{number} ")) for number in range(words)]
        up.vendor.replies.append([*([HEAD, *told] if words else []), b""])
        wire = await up.begin("Where is it?")
        if words:
            await wire.reader.readuntil(b"word%d " % (words - 1))
        else:
            while len(up.vendor.bodies) < 2:
                await asyncio.sleep(0)
        wire.close()
        up.vendor.hold.set()
        async with asyncio.timeout(60):
            await up.vendor.gone.wait()
            while up.ledger.open_slots:
                await asyncio.sleep(0)
        left = up.left_behind()
    assert rides == ["long", "short"]
    event_of = left["events"][-1]
    assert (event_of.status, len(event_of.attempts), left["inside"], left["waiting"]) == ("client_gone", 1, 0, 0)
    assert event_of.usage.output >= words, "what had come is billed"


async def test_a_reader_that_is_slow_pauses_the_vendor_and_gets_everything_in_order(rides: list[str]) -> None:
    """The transport towards the client holds some 64 KiB; the rest stays where it is until that has been taken."""
    words = [event(f"{number:05d}" + "x" * 20_000) for number in range(600)]
    async with house(kept=False) as up:
        up.vendor.replies.append([HEAD, *[chunk(each) for each in words], answer([])[len(HEAD) :]])
        wire = await up.begin("Tell me everything.")
        async with asyncio.timeout(60):
            while "handed over" not in rides:
                await asyncio.sleep(0)
        reply = await asyncio.wait_for(wire.rest(), 60)
        left = up.left_behind()
    assert re.findall(rb"(\d{5})x{20000}", reply) == [b"%05d" % number for number in range(600)]
    assert (left["events"][-1].status, left["inside"]) == ("ok", 0)


async def test_an_identical_stream_reads_along_with_one_on_the_short_way(rides: list[str]) -> None:
    words = [chunk(event(each)) for each in ("one ", "two ", "three ")]
    async with house() as up:
        up.vendor.replies.append([HEAD + words[0], b"", words[1], words[2], answer([])[len(HEAD) :]])
        first = await up.begin("the same")
        await first.reader.readuntil(b"one ")
        second = await up.begin("the same")
        async with asyncio.timeout(60):
            while not any(each.waiting for each in up.gateway._desk.flights._by_key.values()):
                await asyncio.sleep(0)
        up.vendor.hold.set()
        shown = [await asyncio.wait_for(each.rest(), 60) for each in (first, second)]
        left = up.left_behind()
    assert rides == ["long", "short", "long", "handed over"]
    assert all(shown[1].count(each) == 1 for each in (b"one ", b"two ", b"three "))
    assert shown[0].count(b"three ") == 1
    assert sorted(each.cache for each in left["events"]) == ["", "", "coalesced"]
    assert len(up.vendor.bodies) == 2


async def test_a_stream_on_the_short_way_is_kept_for_the_next_who_asks(rides: list[str]) -> None:
    async with house() as up:
        up.vendor.replies.append([answer([event("kept")])])
        await up.ask("the same")
        again = await up.ask("the same")
        left = up.left_behind()
    assert b'"content":"kept"' in again
    assert [each.cache for each in left["events"]] == ["", "", "exact"]
    assert rides == ["long", "short", "long"]


@pytest.mark.requirement("GW-34")
async def test_a_client_that_leaves_in_the_moment_of_a_handing_over_hangs_up_all_the_same(rides: list[str]) -> None:
    async with house() as up:
        up.vendor.replies.append([HEAD + chunk(event("one")), b""])
        wire = await up.begin("Where is it?")
        await wire.reader.readuntil(b"one")
        connections: list[Any] = list(up.door.state.connections)
        (protocol,) = [each for each in connections if each._running is not None]
        flow = protocol._running.turn.ride
        protocol.leave()
        flow._streaming._over()
        async with asyncio.timeout(60):
            while up.ledger.open_slots:
                await asyncio.sleep(0)
            up.vendor.hold.set()
            await up.vendor.gone.wait()
            while up.door.state.tasks:
                await asyncio.sleep(0)
        left = up.left_behind()
    assert rides == ["long", "short", "handed over"]
    assert (left["events"][-1].status, left["inside"], left["waiting"]) == ("client_gone", 0, 0)


@pytest.mark.requirement("GW-34")
@pytest.mark.parametrize("short", [True, False])
async def test_no_second_try_is_made_for_a_client_that_left_while_nonsense_was_on_its_way(
    monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    if not short:
        monkeypatch.setattr(Shortcut, "stream", lambda *_: None)
    async with house() as up:
        up.vendor.replies.append([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"", b"<html>no!"])
        wire = await up.begin("Where is it?")
        while len(up.vendor.bodies) < 2:
            await asyncio.sleep(0)
        wire.close()
        async with asyncio.timeout(60):
            while up.door.state.connections:
                await asyncio.sleep(0)
            up.vendor.hold.set()  # the server has heard of it, and listens for another moment
            while up.ledger.open_slots:
                await asyncio.sleep(0)
        left = up.left_behind()
    assert len(up.vendor.bodies) == 2, "the first call, and this one"
    assert (len(left["events"][-1].attempts), left["inside"]) == (1, 0)
