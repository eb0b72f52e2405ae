"""The simulated provider: declared behaviour, always labelled."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.jsonschema import Validator
from interlock.core.chat import ChatRequest, Message, OutputSchema, ToolSpec
from interlock.core.errors import InvalidRequest, RateLimited, UpstreamCut, UpstreamRefused, UpstreamStalled
from interlock.core.ports import Deployment
from interlock.core.time import Deadline, SystemClock
from interlock.plugins.instance import instance
from interlock.plugins.providers.simulated import Simulated

DEADLINE = Deadline.after(SystemClock(), 86_400)
ASK = ChatRequest("m", (Message("user", "Where is my parcel?"),))


def simulated(**options):
    return Deployment("simulated", "any", "simulated", simulated=True, stall_s=0.001, options=options)


async def chat(request=ASK, **options):
    return await Simulated().chat(simulated(**options), request, DEADLINE, "k")


async def test_every_answer_is_labelled():
    response = await chat()
    assert response.simulated
    assert response.text.startswith("[simulated] ")
    assert response.usage.input > 0
    assert response.usage.output > 0


async def test_the_same_seed_and_request_give_the_same_answer():
    sure = (5.0, 2.0)
    first, again = await chat(confidence=sure), await chat(confidence=sure)
    assert first == again
    assert first.confidence != (await chat(confidence=sure, seed=1)).confidence


@pytest.mark.parametrize(
    ("share", "kind"),
    [
        ("error_share", UpstreamRefused),
        ("rate_limit_share", RateLimited),
        ("stall_share", UpstreamStalled),
        ("cut_share", UpstreamCut),
    ],
)
async def test_declared_shares_of_failures_are_kept(share, kind):
    provider, failures = Simulated(), 0
    for _ in range(400):
        try:
            await provider.chat(simulated(**{share: 0.25}), ASK, DEADLINE, "k")
        except kind:
            failures += 1
    assert 70 <= failures <= 130, "a quarter of 400, give or take three sigma"


async def test_a_stream_may_be_cut_in_its_middle():
    pieces = Simulated().stream(simulated(cut_share=1.0), ASK, DEADLINE, "k")
    assert (await anext(pieces)).text == "[simulated]"
    with pytest.raises(UpstreamCut):
        [chunk async for chunk in pieces]


async def test_an_output_cap_is_kept_to():
    request = msgspec.structs.replace(ASK, max_output_tokens=3)
    response = await chat(request, answer="many words " * 20)
    assert (response.finish, response.usage.output) == ("length", 3)


async def test_tools_are_called_as_declared():
    tool = ToolSpec(
        "orders.get", {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
    )
    request = msgspec.structs.replace(ASK, tools=(tool, tool))
    assert (await chat(request)).tool_calls == ()
    response = await chat(request, tool_call_share=1.0, tool_calls=2)
    assert [call.name for call in response.tool_calls] == ["orders.get", "orders.get"]
    assert Validator(tool.parameters).faults(msgspec.json.decode(response.tool_calls[0].arguments)) == []
    answered = msgspec.structs.replace(request, messages=(*ASK.messages, Message("tool", "{}", tool_call_id="c")))
    assert (await chat(answered, tool_call_share=1.0)).tool_calls == (), "a tool's answer is answered with text"


async def test_wrong_options_are_named():
    with pytest.raises(InvalidRequest, match="latency"):
        await chat(latency=3)


SCHEMAS = st.recursive(
    st.one_of(
        st.just({"type": "string"}),
        st.builds(lambda low: {"type": "string", "minLength": low, "maxLength": low + 60}, st.integers(0, 5)),
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({"enum": ["a", 1, None]}),
        st.just({"const": {"x": 1}}),
        st.just({"type": ["string", "null"]}),
        st.builds(lambda low: {"type": "integer", "minimum": low, "maximum": low + 3}, st.integers(-5, 5)),
        st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, st.integers(-5, 5)),
        st.builds(lambda high: {"type": "integer", "exclusiveMaximum": high}, st.integers(-5, 5)),
        st.just({"type": "string", "format": "date"}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda item, least: {"type": "array", "items": item, "minItems": least}, inner, st.integers(0, 2)),
        st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner),
        st.builds(
            lambda fields: {
                "type": "object",
                "properties": fields,
                "required": list(fields),
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        ),
    ),
    max_leaves=6,
)


@given(schema=SCHEMAS)
def test_simulated_json_satisfies_the_schema_that_was_asked_for(schema):
    assert Validator(schema).faults(instance(schema, "[simulated] text")) == []


async def test_json_answers_satisfy_their_schema_and_violations_come_as_declared():
    schema = {"type": "object", "properties": {"answer": {"type": "string"}, "confidence": {"type": "number"}}}
    request = msgspec.structs.replace(ASK, output_schema=OutputSchema("A", schema))
    value = msgspec.json.decode((await chat(request, confidence=(8.0, 2.0))).text)
    assert Validator(schema).faults(value) == []
    assert 0 < value["confidence"] < 1
    broken = await chat(request, schema_violation_share=1.0)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(broken.text)


async def test_latency_is_log_normal_around_its_median():
    provider = Simulated()
    options = {"latency_ms": 100.0, "latency_spread": 0.5}
    settings = provider._options.of(simulated(**options))
    waits = sorted(provider._draw(settings, simulated(**options), ASK).first_token_s for _ in range(500))
    assert 0.08 < waits[250] < 0.12
    assert 0.18 < waits[475] < 0.30
