"""`interlock check` as values: what it finds and how it is said."""

import json
from pathlib import Path

import pytest

from interlock.cli.check import check, render
from interlock.config.jsonschema import Validator

from .conftest import SMALL

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "schemas" / "check.schema.json").read_text(encoding="utf-8")
)


@pytest.mark.requirement("OP-03")
@pytest.mark.parametrize(
    ("change", "faults", "warnings"),
    [
        ({}, 0, 0),
        ({"interlock.yaml": "models: {support: {small: [gpt-4o], mid: [gpt-4o]}}"}, 0, 1),
        ({"interlock.yaml": "modles: {}\nserver: {prt: 1}"}, 2, 0),
        ({"interlock.yaml": "a: [\x00"}, 1, 0),
    ],
)
def test_json_is_as_published(write, change, faults, warnings):
    result = check(write({**SMALL, **change}), {})

    shape = json.loads(render(result, as_json=True))

    assert Validator(SCHEMA).faults(shape) == []
    assert (shape["ok"], len(shape["faults"]), len(shape["warnings"])) == (not faults, faults, warnings)


def test_people_get_a_line_per_finding_and_what_to_do(write):
    root = write({**SMALL, "interlock.yaml": "modles: {}\n"})

    text = render(check(root, {}), as_json=False)

    assert text.splitlines()[-1] == "1 fault: mend these, then check again."
    assert f"{root}/interlock.yaml:1:1: modles: unknown section — Did you mean 'models'?" in text.splitlines()


def test_valid_files_are_called_valid(write):
    assert render(check(write(SMALL), {}), as_json=False) == "The files are valid."


def test_nothing_at_the_path_is_a_fault_and_no_crash(tmp_path):
    result = check(tmp_path / "nowhere")

    assert not result.ok
    assert "interlock init" in result.faults[0].hint


def test_tools_that_are_no_python_are_a_fault_with_their_line(write):
    root = write({**SMALL, "tools.py": "x = 1\ndef broken(:\n"})

    [fault] = check(root, {}).faults

    assert str(fault) == f"{root}/tools.py:2:12: tools: not valid Python: invalid syntax"
