"""Answers whose JSON is only wrapped wrongly are mended here; malformed ones never pass for success."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.jsonschema import Validator
from interlock.core.chat import OutputSchema
from interlock.core.errors import OutputInvalid
from interlock.gateway.mend import mended
from interlock.gateway.settings import Tier
from tests.gateway.kit import Bench, Scripted, ask, deployment, reply

SCHEMA = OutputSchema("A", {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}})
ONE = (Tier("small", (deployment("small"),)),)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def bench(*answers):
    said = [reply("small", text) for text in answers]
    return Bench(Scripted(small=said), tiers=ONE, validator_of=lambda schema: Validator(schema).faults)


@pytest.mark.requirement("GW-31")
@pytest.mark.parametrize(
    "said",
    [
        '```json\n{"a": 1}\n```',
        'Sure! Here it is:\n\n{"a": 1}\n\nAnything else?',
        '{"a": 1,}',
        '\ufeff{"a": 1}',
        '```\n{"a": 1, }\n```',
    ],
)
async def test_what_is_only_wrapped_is_mended_without_asking_again(said):
    made = bench(said)
    got = await made.chat(ask(output_schema=SCHEMA))
    assert json.loads(got.response.text) == {"a": 1}
    assert got.response.raw == b"", "the caller gets the document, not the vendor's bytes around it"
    assert len(made.provider.sent) == 1
    assert made.event.schema_violations == 1, "and it is metered"


@pytest.mark.requirement("GW-31")
async def test_what_is_wrong_is_asked_for_again_with_what_was_wrong_and_never_passes_for_an_answer():
    made = bench('{"a": "x"}', '{"a": 2}')
    got = await made.chat(ask(output_schema=SCHEMA))
    assert got.response.text == '{"a": 2}'
    again = made.provider.sent[1][1].messages[-1].text
    assert "integer" in again
    assert made.event.schema_violations == 1
    made = bench('{"a": "x"}')
    with pytest.raises(OutputInvalid):
        await made.chat(ask(output_schema=SCHEMA))
    assert (made.event.status, made.event.schema_violations) == ("error", 2)


@pytest.mark.requirement("GW-31")
@pytest.mark.parametrize("said", ['{"a": 1', '{"a": 1} {"a": 2}', "no json at all", '```json\n{"a"\n```', "[1, 2"])
def test_what_was_cut_off_or_is_not_one_document_is_not_made_up(said):
    assert mended(said) is None


@pytest.mark.requirement("GW-31")
@given(value=JSON)
def test_mending_never_changes_what_was_said(value):
    plain = json.dumps(value, ensure_ascii=False)
    assert json.loads(mended(plain) or "") == value
    if isinstance(value, dict | list):
        assert json.loads(mended(f"```json\n{json.dumps(value, indent=1)}\n```") or "") == value or "```" in plain


@pytest.mark.parametrize("depth", [300, 900, 2_000])
async def test_what_is_nested_deep_is_asked_for_again_too(depth):
    made = bench("[" * depth + "]" * depth, '{"a": 1}')
    assert json.loads((await made.chat(ask(output_schema=SCHEMA))).response.text) == {"a": 1}
