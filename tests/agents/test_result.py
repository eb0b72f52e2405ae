"""What a caller gets back has the published form, whatever way the task ended."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.agents.result import TaskResult
from interlock.config.jsonschema import Validator
from tests.agents.kit import NO_MODEL, World, contract, make, says, understands, wants

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "run.schema.json"
PUBLISHED = json.loads(SCHEMA.read_text(encoding="utf-8"))
PAY = make(lambda: "paid", name="pay", effect="idempotent")
ENDS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "resolved": ({}, [says("Hello.")]),
    "simulated": ({}, [says("Hello.", simulated=True)]),
    "failed": ({}, [NO_MODEL]),
    "limit_reached": ({"limits": {"max_model_calls": 0}}, []),
    "waiting_approval": ({"approvals": {"pay": True}}, [wants(("pay", {}))]),
    "handed_to_human": ({"tier0": True, "model": ""}, []),
}


def test_the_published_form_names_exactly_the_fields_and_those_that_a_line_of_a_file_adds():
    fields = list(TaskResult.__struct_fields__)
    assert PUBLISHED["required"] == fields
    assert set(PUBLISHED["properties"]) == {*fields, "line", "id"}


@pytest.mark.parametrize("outcome", ENDS)
async def test_each_end_has_the_published_form(world: World, outcome: str):
    fields, answers = ENDS[outcome]
    agents = world.agents(contract(PAY, **fields), answers, tier0=[understands("x")])
    result = await agents.run("support", {"text": "go"})
    assert result.outcome == outcome
    assert Validator(PUBLISHED).faults(msgspec.to_builtins(result)) == []
