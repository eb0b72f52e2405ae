"""The YAML tree: what scalars mean, where they stand, what variables become, and what is too much."""

from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import tree
from interlock.config.faults import inside, place
from interlock.config.tree import parse


def data(text, env=None):
    parsed = parse(text, "f.yaml", env)
    assert parsed.faults == ()
    assert parsed.node is not None
    return parsed.node.data()


def said(text, env=None):
    return [(fault.line, fault.column, fault.key, fault.message) for fault in parse(text, "f.yaml", env).faults]


def test_only_true_and_false_are_truth_values_and_dates_are_text():
    assert data("{a: yes, b: NO, c: 2026-10-01, d: true, e: 12:30, f: ~, g: 7, h: .inf}") == {
        "a": "yes",
        "b": "NO",
        "c": "2026-10-01",
        "d": True,
        "e": "12:30",
        "f": None,
        "g": 7,
        "h": ".inf",
    }


def test_numbers_with_a_point_keep_their_digits():
    assert data("a: 0.1000000000000000055511151231257827") != {"a": 0.1}
    assert data("a: 0.72")["a"] == Decimal("0.72")
    assert data("a: '0.72'")["a"] == "0.72"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**17), 10**17)
        | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
        lambda each: st.lists(each) | st.dictionaries(st.text("abcXYZ_", min_size=1), each),
        max_leaves=20,
    )
)
def test_whatever_a_yaml_library_writes_is_read_back(value):
    assert data(yaml.safe_dump({"root": value}, allow_unicode=True)) == {"root": value}


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail_otherwise_than_by_faults(text):
    parsed = parse(text, "f.yaml", {})

    assert parsed.node is not None or parsed.faults


def test_every_value_knows_its_line_and_column():
    node = parse("agent:\n  tools:\n    - {name: a}\n    - {name: b, timeout_ms: 7}\n", "f.yaml").node
    assert node is not None

    assert place(node, ("agent", "tools", 1, "timeout_ms")) == tree.Mark("f.yaml", 4, 29)
    assert place(node, ("agent", "tools")) == tree.Mark("f.yaml", 2, 3)
    assert place(node, ("agent", "tools", 1, "nothing")) == tree.Mark("f.yaml", 4, 7)
    found = inside(node, ("AGENT", "tools", 0, "name"))
    assert found is not None
    assert found.value == "a"


def test_variables_are_put_in_where_they_are_set():
    env = {"KEY": "s3cret", "EMPTY": "", "PORT": "8080"}

    assert data(
        '{a: "${KEY}", b: "x-${NONE:-default}-y", c: "${EMPTY:-d}", d: "${EMPTY}", e: "$${KEY}", f: "${NONE:-}"}', env
    ) == {
        "a": "s3cret",
        "b": "x-default-y",
        "c": "d",
        "d": "",
        "e": "${KEY}",
        "f": "",
    }
    assert data("a: ${PORT}", env) == {"a": "8080"}
    assert data("a: ${PORT}") == {"a": "${PORT}"}


def test_a_variable_that_is_not_set_is_a_fault_that_names_it():
    assert said("a:\n  b: ${GONE}", {}) == [(2, 6, "a.b", "the environment variable GONE is not set")]
    assert said("a: ${not a name}", {}) == [(1, 4, "a", "${not a name} is not a variable")]


def test_a_value_put_in_by_a_variable_cannot_change_the_structure():
    assert data("a: ${X}", {"X": "1\nb: 2"}) == {"a": "1\nb: 2"}


def test_a_key_that_stands_twice_is_a_fault():
    assert said("a: 1\nb: 2\na: 3") == [(3, 1, "a", "this key stands twice; first on line 1")]


def test_anchors_and_merges_work_and_unknown_ones_are_faults():
    assert data("a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}\nd: {<<: [*x], k: 3}") == {
        "a": {"k": 1},
        "b": {"k": 1},
        "c": {"k": 1, "l": 2},
        "d": {"k": 3},
    }
    assert said("a: *gone") == [(1, 4, "a", "no anchor &gone stands above")]
    assert said("a: &a [*a]") == [(1, 8, "a[0]", "no anchor &a stands above")]
    assert said("a: {<<: 3}") == [(1, 9, "a", "`<<` takes a section or a list of sections")]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!!binary", "!own", "!!set"]
)
def test_tags_build_nothing(tag):
    shown = tag if tag.startswith("!!") else "!own"
    assert said(f"a: {tag} [x]") == [(1, 4, "a", f"the tag {shown} is not supported")]


def test_nested_aliases_do_not_grow_without_bound():
    rows = [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 12)]

    faults = parse("\n".join(["a0: &a0 [x]", *rows]), "f.yaml").faults

    assert faults[0].message == "the file unfolds to more than 200,000 values"


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "\n".join(" " * at + "a:" for at in range(1500))])
def test_nesting_is_bounded(text):
    assert said(text)[0][3] == "nested deeper than 40 levels"


def test_a_file_that_is_too_long_is_not_parsed():
    assert "longer than" in said("a" * (tree.MAX_CHARS + 1))[0][3]


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("a:\n\tb: 1", 2, "Indent with spaces, not with tabs."),
        ("a: [1, 2", 1, "Look at the indentation, quotes and brackets on this line and the one before."),
        ("a: 1\n  b: 2", 2, "Look at the indentation, quotes and brackets on this line and the one before."),
        ("a: 1\n---\nb: 2", 2, "Keep one document per file."),
        ("? [a]\n: b", 1, "Put the value in quotes if it begins with { or [."),
    ],
)
def test_text_that_is_no_yaml_says_where_and_what_to_do(text, line, hint):
    (fault,) = parse(text, "f.yaml").faults

    assert fault.line in (line, line + 1)
    assert fault.hint == hint
