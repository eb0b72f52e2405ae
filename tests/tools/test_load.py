"""A workspace's tools.py: loaded under a name of its own; what is wrong with it is said with file and line."""

from pathlib import Path

import pytest

from interlock.core.errors import ConfigError
from interlock.tools.load import load_tools

GOOD = '''
from __future__ import annotations
from dataclasses import dataclass
from interlock.tools.define import ToolContext, tool

@dataclass
class Order:
    id: str

@tool(name="orders.get", effect="none")
def get(order_id: str, ctx: ToolContext) -> Order:
    """Finds an order."""
    return Order(order_id)

@tool(name="pay", effect="idempotent", reversible_by="unpay")
def pay(order: Order) -> str:
    return order.id

@tool(effect="idempotent")
def unpay(order: Order) -> None: ...

def helper(): ...
'''


def written(folder: Path, text: str) -> Path:
    file = folder / "tools.py"
    file.write_text(text)
    return file


def test_tools_are_found_by_name_and_helpers_are_not(tmp_path: Path):
    tools = load_tools(written(tmp_path, GOOD))
    assert sorted(tools) == ["orders.get", "pay", "unpay"]
    assert tools["orders.get"].description == "Finds an order."


def test_two_workspaces_never_share_a_module(tmp_path: Path):
    for name, answer in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        text = f"from interlock.tools.define import tool\nN = {answer}\n@tool\ndef ask() -> int:\n    return N\n"
        assert load_tools(written(tmp_path / name, text))["ask"].function() == answer


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\nimport no_such_package\n", 2, "ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1\ny = x +\n", 2, "SyntaxError: invalid syntax"),
        ("from interlock.tools.define import tool\n\n@tool\ndef f(x):\n    pass\n", 3, "parameter x has no type"),
        ("def g():\n    raise ValueError('bad')\ng()\n", 2, "ValueError: bad"),
    ],
)
def test_a_file_that_does_not_import_says_where(tmp_path: Path, text: str, line: int, message: str):
    with pytest.raises(ConfigError) as caught:
        load_tools(written(tmp_path, text))
    [fault] = caught.value.faults
    assert (fault.file, fault.line) == (str(tmp_path / "tools.py"), line)
    assert message in fault.message


def test_the_line_is_found_also_when_the_workspace_was_named_by_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    written(tmp_path, "x = 1\ny = x / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"tools\.py:2:1: tools: importing it failed: ZeroDivisionError"):
        load_tools(Path("tools.py"))


def test_a_file_that_exits_does_not_end_its_caller_without_a_word(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"tools\.py:2:1: tools: importing it failed: SystemExit: 3"):
        load_tools(written(tmp_path, "import sys\nsys.exit(3)\n"))


def test_two_tools_of_one_name_are_a_fault_that_names_both_lines(tmp_path: Path):
    text = "from interlock.tools.define import tool\n@tool(name='a')\ndef f() -> None: ...\n@tool(name='a')\ndef g() -> None: ...\n"
    with pytest.raises(ConfigError, match=r"tools\.py:4:1: a: two tools share this name — f at line 2 has it already"):
        load_tools(written(tmp_path, text))


def test_a_tool_that_nothing_here_can_undo_is_a_fault_before_anything_has_to_be_undone(tmp_path: Path):
    text = "from interlock.tools.define import tool\n@tool(reversible_by='unpay')\ndef pay() -> None: ...\n"
    with pytest.raises(ConfigError, match=r"tools\.py:2:1: pay: reversible_by names no tool: 'unpay'"):
        load_tools(written(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such Python file"):
        load_tools(tmp_path / "tools.py")
