"""docs/cli.md says what the parsers take: every option of every verb, and no option that there is not."""

import re
from importlib import import_module

import pytest

from interlock.cli import main
from tests.cli.kit import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text()
GENERAL = {"--help", "--workspace", "--json"}


def section(verb: str) -> str:
    """The page's part on one verb."""
    found = re.search(rf"^## {verb}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section on {verb}"
    return found[1]


def long_options(verb: str) -> set[str]:
    actions = import_module(f"interlock.cli.{verb.replace('-', '_')}").options()._actions
    return {option for action in actions for option in action.option_strings if option.startswith("--")}


@pytest.mark.parametrize("verb", main.VERBS)
def test_the_page_describes_the_options_that_the_verb_takes_and_no_others(verb):
    described = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section(verb)))
    taken = long_options(verb)

    assert taken - described - GENERAL == set()
    assert described - taken - GENERAL == set()


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_option_explains_itself(verb):
    assert [
        action.dest
        for action in import_module(f"interlock.cli.{verb.replace('-', '_')}").options()._actions
        if not action.help
    ] == []


def test_the_page_lists_every_exit_code():
    codes = {main.OK, main.NOT_ALL_WELL, main.USAGE, main.CONFIGURATION, main.OUTSIDE, main.INTERRUPTED}

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)} == codes


def test_schemas_that_the_page_names_exist():
    named = re.findall(r"docs/schemas/[a-z]+\.schema\.json", PAGE)

    assert [name for name in named if not (ROOT / name).is_file()] == []
