"""What is stored or sent is JSON, msgpack of declared types or columns: nothing of ours reads or writes objects that run code when they are read."""

import ast
from pathlib import Path

import pytest

from interlock.core.events import Intended, Record
from interlock.storage.rows import body_of, encode

SRC = Path(__file__).resolve().parents[2] / "src" / "interlock"
RUNS_CODE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "jsonpickle"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.requirement("AG-04")
def test_no_file_of_ours_knows_a_format_that_runs_code_when_it_is_read():
    # What a sandbox runs is code anyway: it is handed in compiled, for this one process, and never stored.
    code = {SRC / "app" / "sandbox.py", *(SRC / "sandbox" / "guest").rglob("*.py")}
    found = {str(path.relative_to(SRC)): imported(path) & RUNS_CODE for path in set(SRC.rglob("*.py")) - code}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.requirement("AG-04")
def test_what_no_json_can_hold_is_logged_as_its_text():
    class Odd:
        def __reduce__(self) -> str:
            raise AssertionError("nobody pickles")

        def __str__(self) -> str:
            return "an odd thing"

    record = Record("tsk_1", 1, "acme", 1, Intended(2, "tool", "look", "k"), {"arguments": {"of": Odd(), "set": {1}}})
    assert body_of(record) == b'{"arguments":{"of":"an odd thing","set":[1]}}'
    assert encode(record.event).startswith('{"type":"intended"')
