"""`import interlock` offers what it says."""

import ast
import importlib.metadata
from pathlib import Path

import pytest

import interlock


@pytest.mark.parametrize("name", interlock.__all__)
def test_every_public_name_is_there(name):
    assert getattr(interlock, name) is not None


@pytest.mark.parametrize("misspelt", ["Intrelock"])
def test_an_unknown_name_is_an_attribute_error_that_says_what_there_is(misspelt):
    with pytest.raises(AttributeError, match=r"no attribute 'Intrelock'; it offers .*InterlockError"):
        getattr(interlock, misspelt)


def test_version_is_the_distribution_s():
    assert interlock.__version__ == importlib.metadata.version("interlock")


def test_type_checkers_and_programs_are_offered_the_same_names():
    tree = ast.parse(Path(interlock.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("interlock.")
        for alias in node.names
    }

    assert typed == interlock._HOMES
    assert {*typed, "__version__"} == set(interlock.__all__)
