"""Streams that break off, at every byte, for every provider's dialect: gone on with by another deployment, or ended by a typed error."""

import importlib
import random
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from interlock.core.caller import Secret
from interlock.core.chat import Chunk, OutputSchema, ToolCallDelta
from interlock.core.errors import UpstreamCut, UpstreamError, UpstreamStalled
from interlock.core.money import Usage
from interlock.core.ports import Deployment, PluginEnv
from interlock.gateway import continuation
from interlock.gateway.settings import Settings, Tier
from interlock.plugins.profiles import ModelProfile
from interlock.server.openai_write import StreamWriter
from interlock.testing import anthropic_wire, gemini_wire
from interlock.testing.openai_wire import openai_events
from interlock.testing.upstream import Answer, Asked
from tests.gateway.kit import CALLER, Bench, Scripted, ask, deployment

TEXT = "Your order has shipped."
DIALECTS = ("openai", "anthropic", "gemini")
ABLE = ModelProfile(match=(), context_window=8_000, max_output=1_000, continues=True)


def events_of(dialect, body, url, text):
    """What the vendor sends, event by event, with the tokens it bills."""
    answer = Answer(text=text, input_tokens=20, output_tokens=7)
    asked = Asked(1, "POST", url, {}, {**body, "stream": True, "stream_options": {"include_usage": True}})
    if dialect == "openai":
        return openai_events(answer, asked.body, 1)[0]
    return (anthropic_wire if dialect == "anthropic" else gemini_wire).events(answer, asked)


class Wire:
    """An HTTP client in front of two hosts of one dialect: `one` is cut after so many bytes, `two` answers with what is missing."""

    def __init__(self, dialect, cut_at, error=UpstreamCut):
        self.dialect, self.cut_at, self.error = dialect, cut_at, error
        self.asked = []
        self.sent = b""

    def stream(self, request, deadline, *, stall_s, first_byte_s=None):
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request):
        body = msgspec.json.decode(request.body)
        self.asked.append((request.url, body))
        yield Reply(self, request.url, body)

    def text_for(self, body):
        """The rest after an unfinished message of the assistant, where there is one."""
        turns = body.get("messages") or body["contents"]
        last = turns[-1]
        if last["role"] not in ("assistant", "model"):
            return TEXT
        content = last.get("content") or last["parts"]
        begun = content if isinstance(content, str) else content[0]["text"]
        assert TEXT.startswith(begun)
        assert begun == begun.rstrip(), "vendors refuse an unfinished answer that ends in white space"
        return TEXT[len(begun) :]


class Reply:
    def __init__(self, wire, url, body):
        self.status, self.headers = 200, {}
        self.wire, self.url, self.body = wire, url, body

    async def chunks(self):
        wire = self.wire
        sent = b"".join(events_of(wire.dialect, self.body, self.url, wire.text_for(self.body)))
        if "//two" in self.url:
            yield sent
            return
        if wire.cut_at:
            yield sent[: wire.cut_at]
        if wire.cut_at < len(sent):
            raise wire.error("the connection was lost.")

    async def read(self):
        return b""


def at(dialect, host):
    return Deployment(host, "m", dialect, base_url=f"https://{host}/v1", api_key=Secret("k"))


def bench_of(dialect, cut_at, profile, error=UpstreamCut, **settings):
    wire: Any = Wire(dialect, cut_at, error)
    bench = Bench(Scripted(), Settings(**settings), tiers=(Tier("t", (at(dialect, "one"), at(dialect, "two"))),))
    env = PluginEnv(http=wire, clock=bench.clock, rng=random.Random(1), tier0={})
    provider = importlib.import_module(f"interlock.plugins.providers.{dialect}").build(env)
    parts = msgspec.structs.replace(bench.parts, providers={dialect: provider}, profile_of=lambda _: profile)
    bench.gateway = type(bench.gateway)(Settings(**settings), parts)
    return bench, wire


def whole_length(dialect):
    body = {"messages": [{"role": "user", "content": "x"}], "model": "m", "contents": []}
    return len(b"".join(events_of(dialect, body, "https://one/v1", TEXT)))


async def relayed(bench):
    """(the text that the client has, the error that ended it or None, the last event)"""
    text, error = "", None
    try:
        async for piece in bench.gateway.stream(CALLER, ask(stream=True)):
            text += getattr(piece, "text", "")
    except UpstreamError as broke:
        error = broke
    return text, error, bench.event


@pytest.mark.requirement("GW-30")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_cut_at_any_byte_is_gone_on_with_at_the_very_character(dialect):
    continued = 0
    for cut_at in range(whole_length(dialect) + 1):
        bench, wire = bench_of(dialect, cut_at, ABLE)
        text, error, event = await relayed(bench)
        assert (text, error, event.status) == (TEXT, None, "ok"), cut_at
        assert len(event.attempts) == len(wire.asked), "each try is accounted for"
        assert event.usage.output >= 4, "a tail that is lost takes the vendor's word with it, so it is estimated"
        if len(wire.asked) == 2:
            first, second = event.attempts
            assert (first.status, first.error, second.status) == ("error", "upstream_cut", "ok")
            assert second.usage == Usage(input=20, output=7), "what the vendor said, and no more"
            assert first.usage.input > 0
            turns = wire.asked[1][1].get("messages") or wire.asked[1][1]["contents"]
            continued += turns[-1]["role"] in ("assistant", "model")
    assert continued > 50


@pytest.mark.requirement("GW-30")
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("error", [UpstreamCut, UpstreamStalled])
async def test_a_stream_that_nobody_is_able_to_go_on_with_ends_in_a_typed_error_at_any_byte(dialect, error):
    unable = ModelProfile(match=(), context_window=8_000, max_output=1_000)
    ends = set()
    for cut_at in range(0, whole_length(dialect) + 1, 3):
        bench, wire = bench_of(dialect, cut_at, unable, error)
        text, broke, event = await relayed(bench)
        ends.add(type(broke))
        assert TEXT.startswith(text)
        if broke is None:
            assert text == TEXT, "a silent cut"
            assert event.status == "ok"
        else:
            assert event.status in ("error", "timeout")
            assert broke.deployment == "one/m"
            assert len(wire.asked) == 1
        assert len(event.attempts) == len(wire.asked)
    assert ends == {type(None), error}


class Cut(Scripted):
    """Each deployment yields its pieces; an exception among them is raised."""

    def __init__(self, **pieces):
        super().__init__()
        self.pieces = pieces

    async def stream(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        for piece in self.pieces[target.model]:
            if isinstance(piece, BaseException):
                raise piece
            yield piece


END = Chunk(finish="stop", usage=Usage(input=20, output=3))
PAIR = (Tier("small", (deployment("small"), deployment("small2"))),)


REST = (Chunk(text="rest"), END)


def cut(*before, after=REST, **settings):
    vendor = Cut(small=[*before, UpstreamCut("gone.")], small2=list(after))
    return Bench(vendor, Settings(**settings), tiers=PAIR, profile_of=lambda _: ABLE)


@pytest.mark.requirement("GW-30")
@pytest.mark.parametrize(
    ("request_fields", "pieces", "why"),
    [
        ({}, [Chunk(text="a"), Chunk(tool_calls=(ToolCallDelta(0, "c", "f", "{"),))], "a tool call was begun"),
        ({"output_schema": OutputSchema("A", {"type": "object"})}, [Chunk(text="{")], "has to satisfy a schema"),
        ({"json_mode": True}, [Chunk(text="{")], "has to satisfy a schema"),
    ],
)
async def test_what_cannot_be_pieced_together_is_not(request_fields, pieces, why):
    bench = cut(*pieces)
    with pytest.raises(UpstreamCut):
        await bench.streamed(ask(stream=True, **request_fields))
    assert bench.provider.models == ["small"]
    assert any(why in reason for reason in bench.event.reasons)


@pytest.mark.requirement("GW-30")
async def test_while_the_client_has_seen_nothing_even_a_schema_answer_is_begun_anew():
    bench = cut(Chunk(id="c1"), after=[Chunk(text="{}"), END])
    *_, last = await bench.streamed(ask(stream=True, output_schema=OutputSchema("A", {"type": "object"})))
    assert last.response.text == "{}"
    assert any(reason.endswith("went on: restart") for reason in bench.event.reasons)


async def test_it_can_be_switched_off():
    bench = cut(Chunk(text="one "), continuing=False)
    with pytest.raises(UpstreamCut):
        await bench.streamed()


async def test_an_answer_that_breaks_off_again_and_again_is_given_up():
    vendor = Cut(small=[Chunk(text="x"), UpstreamCut("gone.")], small2=[Chunk(text="y"), UpstreamCut("gone.")])
    bench = Bench(vendor, Settings(), tiers=PAIR, profile_of=lambda _: ABLE)
    with pytest.raises(UpstreamCut):
        await bench.streamed()
    assert len(vendor.sent) <= continuation.MOST + 1
    assert len(bench.event.attempts) == len(vendor.sent)


@pytest.mark.requirement("GW-30")
async def test_an_end_whose_tail_is_missing_is_whole():
    bench = cut(Chunk(text="all of it"), Chunk(finish="stop"))
    *_, last = await bench.streamed()
    assert (last.response.text, last.settled.status) == ("all of it", "ok")
    assert last.settled.usage.output > 0, "estimated, since the vendor did not come to say it"


@pytest.mark.requirement("GW-30")
async def test_the_client_of_a_continued_answer_sees_one_answer():
    raw = b'data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":"one"}}]}\n\n'
    bench = cut(Chunk(text="one", raw=raw, raw_dialect="openai", id="c1", model="m-2026"))
    pieces = await bench.streamed()
    writer = StreamWriter("req", 1, "support", include_usage=True)
    sent = b"".join(writer.last(each) if hasattr(each, "settled") else writer.piece(each) for each in pieces)
    events = [msgspec.json.decode(line[6:]) for line in sent.split(b"\n") if line.startswith(b"data: {")]
    assert {each["id"] for each in events} == {"c1"}
    deltas = [each["choices"][0]["delta"] for each in events if each["choices"]]
    assert [delta.get("role") for delta in deltas] == ["assistant", None, None]
    assert "".join(delta.get("content") or "" for delta in deltas) == "onerest"
    assert events[-1]["usage"]["completion_tokens"] == bench.event.usage.output_total, "both tries"


async def test_what_is_asked_for_after_a_cut_is_only_the_rest():
    bench = cut(Chunk(text="word " * 40), Chunk(text="and "))
    await bench.streamed(ask(stream=True, max_output_tokens=100))
    sent = bench.provider.sent[1][1]
    assert sent.messages[-1].role == "assistant"
    assert sent.messages[-1].content.endswith("and")
    assert sent.max_output_tokens < 60


def test_the_seam_is_not_sent_twice():
    assert continuation.joined(" ", " next") == "next"
    assert continuation.joined("\n\n", "\n\nnext") == "next"
    assert continuation.joined(" ", "next") == "next"
    assert continuation.joined("", " next") == " next"
