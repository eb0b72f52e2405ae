"""docs/guarantees.md names, for each of its sentences, tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_sentence_names_a_test_that_exists():
    sentences = [line for line in PAGE.splitlines() if line.startswith("- ")]
    bare = [line for line in sentences if not NAMED.search(line)]
    named = [match for line in sentences for match in NAMED.findall(line)]
    gone = [f"{path}::{name}" for path, name in named if not (ROOT / path).is_file() or name not in names_in(path)]

    assert len(sentences) > 20
    assert bare == []
    assert gone == []
