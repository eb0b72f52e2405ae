"""The walk with the relay in its middle."""

import pytest
from msgspec import structs

from interlock.config.jsonschema import Validator
from interlock.core.chat import Chunk, OutputSchema, ToolCall, ToolCallDelta
from interlock.core.errors import DeadlineMissed, OutputInvalid, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.time import Deadline
from interlock.gateway.settings import Tier
from tests.gateway.kit import CALLER, Bench, Scripted, ask, deployment, reply

SCHEMA = OutputSchema("A", {"type": "object", "required": ["answer"]})


class Pieces(Scripted):
    """A provider that streams these pieces."""

    def __init__(self, *pieces):
        super().__init__()
        self.pieces = pieces
        self.after_each = lambda: None

    async def stream(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        for piece in self.pieces:
            yield piece
            self.after_each()


def streaming(*pieces):
    """A bench whose clock goes on by a second after each piece."""
    bench = Bench(Pieces(*pieces), validator_of=lambda schema: Validator(schema).faults)
    bench.provider.after_each = lambda: bench.clock.advance(1.0)
    return bench


END = Chunk(finish="stop", usage=Usage(input=20, output=9))


async def test_pieces_go_out_as_they_come_and_add_up_to_the_reply():
    bench = streaming(
        Chunk(id="c1", model="small-2026"),
        Chunk(text="one "),
        Chunk(text="two"),
        Chunk(tool_calls=(ToolCallDelta(1, "b", "g", "{}"), ToolCallDelta(0, "a", "f", '{"x"'))),
        Chunk(tool_calls=(ToolCallDelta(0, arguments=":1}"),)),
        Chunk(finish="tool_calls", usage=Usage(input=20, output=9)),
    )
    *pieces, last = await bench.streamed()
    assert tuple(pieces) == bench.provider.pieces
    response = last.response
    assert (response.text, response.finish, response.model, response.id) == (
        "one two",
        "tool_calls",
        "small-2026",
        "c1",
    )
    assert response.tool_calls == (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}"))
    assert response.usage == bench.event.usage == Usage(input=20, output=9)
    assert bench.event.first_token_us == 1_000_000, "the piece without text is no token"


@pytest.mark.requirement("GW-26")
async def test_before_the_first_piece_another_candidate_is_asked():
    bench = Bench(Scripted(small=UpstreamRefused("status 500.", upstream_status=500)))
    *_, last = await bench.streamed()
    assert last.response.model == "small2"
    assert [each.status for each in bench.event.attempts] == ["error", "ok"]


@pytest.mark.requirement("GW-31")
async def test_a_stream_that_breaks_its_schema_never_ends_well():
    bench = streaming(Chunk(text='{"wrong":'), Chunk(text="1}"), END)
    pieces = bench.gateway.stream(CALLER, ask(stream=True, output_schema=SCHEMA))
    got = [await anext(pieces), await anext(pieces)]
    with pytest.raises(OutputInvalid):
        await anext(pieces)
    assert [getattr(each, "finish", "") for each in got] == [None, None], "the end was held back"
    assert bench.event.status == "error"
    assert bench.event.usage.output == 9, "and billed it is all the same"


@pytest.mark.requirement("GW-31")
async def test_a_stream_that_keeps_to_its_schema_ends_as_it_came():
    bench = streaming(Chunk(text='{"answer":'), Chunk(text="1}"), END)
    *pieces, last = await bench.streamed(ask(stream=True, output_schema=SCHEMA))
    assert tuple(pieces) == bench.provider.pieces
    assert last.settled.status == "ok"


@pytest.mark.requirement("GW-24")
async def test_the_calls_deadline_ends_a_stream_with_a_typed_error():
    bench = streaming(*(Chunk(text="word ") for _ in range(50)), END)
    pieces = bench.gateway.stream(CALLER, ask(stream=True), deadline=Deadline.after(bench.clock, 3.0))
    with pytest.raises(DeadlineMissed):
        [piece async for piece in pieces]
    assert bench.event.status == "timeout"
    assert bench.event.usage.output > 0


async def test_a_simulated_stream_is_labelled():
    bench = Bench(
        Scripted(small=structs.replace(reply("small"), simulated=True)),
        tiers=(Tier("small", (deployment("small", simulated=True),)),),
    )
    *_, last = await bench.streamed()
    assert last.response.simulated
    assert last.settled.simulated
