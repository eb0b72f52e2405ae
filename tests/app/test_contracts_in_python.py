"""A contract made in Python is the one of a file that says the same: same version, same checks, same run."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from interlock.app import Interlock
from interlock.config.load import load
from interlock.core.errors import ConfigError
from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.documents import CONTRACT

from .conftest import Folder

pytestmark = pytest.mark.requirement("AG-01")
KEYS = {"OPENAI_API_KEY": "k"}


def in_python(**changes: Any) -> dict[str, dict[str, Any]]:
    said: dict[str, Any] = yaml.safe_load(CONTRACT)["agent"]
    return {"agent_contract": {**said, **changes}}


def bare(folder: Folder) -> Folder:
    """Without the file, so that only Python says the contract."""
    (folder.root / "agents" / "agent_contract.yaml").unlink()
    return folder


def test_it_has_the_version_of_the_file_that_says_the_same(contract_folder: Folder):
    of_the_file = load(contract_folder.root, KEYS).agent("agent_contract")
    of_python = load(bare(contract_folder).root, KEYS, in_python()).agent("agent_contract")

    assert of_python.contract == of_the_file.contract
    assert (of_python.versions, of_python.limits) == (of_the_file.versions, of_the_file.limits)


async def test_it_runs_with_its_tools_its_schema_and_its_limits(contract_folder: Folder):
    good = json.dumps({"sku": "A1", "quantity": 2})
    looked = Answer(tool_calls=(("inventory.lookup", '{"sku": "A1"}'),))
    async with Upstream(in_turn(looked, Answer(text=good))) as upstream:
        bare(contract_folder).provider("openai", upstream.base_url)
        async with Interlock.from_file(contract_folder.root, contracts=in_python()) as il:
            result = await il.run("agent_contract", {"text": "two of A1 please"})
            assert (result.outcome, result.answer) == ("resolved", {"sku": "A1", "quantity": 2})
    async with Upstream(looked) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        tight = in_python(limits={"max_steps": 1})
        async with Interlock.from_file(contract_folder.root, contracts=tight) as il:
            assert (await il.run("agent_contract", {"text": "two of A1 please"})).outcome == "limit_reached"
    assert contract_folder.calls() == ["lookup A1"]


def test_what_is_wrong_in_it_is_told_as_of_a_file_and_a_name_is_taken_once(contract_folder: Folder):
    with pytest.raises(ConfigError) as twice:
        load(contract_folder.root, KEYS, in_python())
    assert "agents/agent_contract.yaml" in str(twice.value)
    with pytest.raises(ConfigError) as wrong:
        load(bare(contract_folder).root, KEYS, in_python(limits={"max_stpes": 3}))
    [fault] = wrong.value.faults
    assert (fault.file, fault.key) == ("<contract agent_contract>", "agent.limits.max_stpes")
    assert "max_steps" in fault.hint
