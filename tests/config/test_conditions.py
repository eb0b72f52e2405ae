"""The condition language: what it means, what it refuses, and that it never runs Python."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.config.conditions import MAX_CHARS, Condition, ConditionError, parse_condition

NAMES = {"confidence", "account_tier", "sentiment", "vip", "order", "a", "b"}


def read(text) -> Condition:
    """The condition over the known names; the first fault is raised."""
    condition = parse_condition(text)
    for error in condition.unknown_names(NAMES):
        raise error
    return condition


def holds(text, **facts):
    return read(text).evaluate(facts)


def fault(text):
    with pytest.raises(ConditionError) as caught:
        read(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "facts", "expected"),
    [
        ("confidence < 0.72", {"confidence": 0.71}, True),
        ("confidence < 0.72", {"confidence": 0.72}, False),
        (
            "account_tier == 'enterprise' and sentiment == 'high_risk'",
            {"account_tier": "enterprise", "sentiment": "high_risk"},
            True,
        ),
        ("account_tier == 'enterprise' and sentiment == 'high_risk'", {"account_tier": "free"}, False),
        ("order.status == 'shipped'", {"order": {"status": "shipped"}}, True),
        ("order.items.1 == 'b'", {"order": {"items": ["a", "b"]}}, True),
        ("account_tier in ['gold', \"enterprise\"]", {"account_tier": "gold"}, True),
        ("account_tier not in ['gold']", {"account_tier": "free"}, True),
        ("'ref' in sentiment", {"sentiment": "refund"}, True),
        ("not vip or a + b * 2 >= 7", {"vip": True, "a": 1, "b": 3}, True),
        ("(a + b) * 2 == 8 and -a < 0", {"a": 1, "b": 3}, True),
        ("a - 1 - 1 == 0", {"a": 2}, True),
        ("vip", {"vip": 1}, True),
        ("vip", {"vip": ""}, False),
        ("a == null", {"a": None}, True),
        ("a != null", {"a": 0}, True),
        ("a == true", {"a": 1}, False),
        ("a == 1", {"a": 1.0}, True),
        (r"sentiment == 'it\'s'", {"sentiment": "it's"}, True),
    ],
)
def test_conditions_mean_what_they_say(text, facts, expected):
    assert holds(text, **facts) is expected


@pytest.mark.parametrize(
    ("text", "facts", "expected"),
    [
        ("confidence < 0.72", {}, None),
        ("confidence < 0.72", {"confidence": None}, None),
        ("confidence < 0.72", {"confidence": "low"}, None),
        ("not vip", {}, None),
        ("vip and a == 1", {"a": 2}, False),
        ("vip and a == 1", {"a": 1}, None),
        ("vip or a == 1", {"a": 1}, True),
        ("vip or a == 1", {"a": 2}, None),
        ("order.status == 'x'", {"order": {}}, None),
        ("order.status == 'x'", {"order": "text"}, None),
        ("order.__class__ == 'x'", {"order": object()}, None),
        ("a / b > 1", {"a": 1, "b": 0}, None),
        ("a + 1 > 1", {"a": "1"}, None),
        ("a * 1.5 > 1", {"a": 10**400}, None),
        ("a in b", {"a": 1, "b": 3}, None),
        ("a in [1, b]", {"a": 2}, None),
        ("a in [1, b]", {"a": 1}, True),
        ("a == b", {"a": 1}, None),
    ],
)
def test_what_is_not_known_is_unknown_unless_the_rest_decides(text, facts, expected):
    assert holds(text, **facts) is expected


@pytest.mark.parametrize(
    ("text", "column", "message", "hint"),
    [
        ("confidense < 0.72", 1, "unknown name 'confidense'", "Did you mean 'confidence'?"),
        ("vip and acount_tier == 'x'", 9, "unknown name 'acount_tier'", "Did you mean 'account_tier'?"),
        ("ordr.status == 'x'", 1, "unknown name 'ordr'", "Did you mean 'order'?"),
        ("a = 1", 3, "cannot read '='", "Equality is written ==."),
        ("a && b", 3, "cannot read '&'", "Write `and`."),
        ("!a", 1, "cannot read '!'", "Write `not`."),
        ("a == 'x", 6, 'cannot read "\'"', "The text has no closing quote."),
        ("a < b < 1", 7, "comparisons cannot be chained", ""),
        ("(a", 3, "expected ')', found the end", ""),
        ("a b", 3, "expected the end, `and` or `or`, found 'b'", ""),
        ("", 1, "expected a name, a number or a quoted text, found the end", ""),
        ("a in", 5, "expected a name, a number or a quoted text", ""),
        ("a not b", 7, "expected `in` after `not`", ""),
        ("1a == 1", 1, "cannot read '1'", ""),
        ("a.b() == 1", 4, "expected the end", ""),
        ("__import__('os')", 11, "expected the end", ""),
        ("a if b else a", 3, "expected the end", ""),
        ("lambda: 1", 7, "cannot read ':'", ""),
        ("a[0] == 1", 2, "expected the end", ""),
        ("[a for a in b]", 4, "expected ','", ""),
        ("(" * 40 + "a" + ")" * 40, 26, "nested deeper than 24 levels", ""),
        ("not " * 40 + "a", 101, "nested deeper than 24 levels", ""),
        ("a" * (MAX_CHARS + 1), 1, "at most 1000 characters", ""),
        ("+".join("a" * 150), 201, "at most 200 words and signs", ""),
    ],
)
def test_what_is_no_condition_says_where_and_what_was_expected(text, column, message, hint):
    error = fault(text)

    assert message in error.message
    assert error.column == column
    assert error.hint == hint


def test_explanations_show_the_rule_and_the_values_it_saw():
    condition = read("confidence < 0.72 and order.status != 'x'")

    assert condition.explain({"confidence": 0.41}) == (
        "confidence < 0.72 and order.status != 'x' (confidence=0.41, order.status=unknown)"
    )
    assert len(condition.explain({"confidence": "x" * 1000})) < 150
    assert read("true").explain({}) == "true"


def test_of_a_dotted_name_the_first_part_has_to_be_known():
    condition = parse_condition("order.status == 'x' and not vip")

    assert condition.unknown_names({"order", "vip"}) == []
    assert [error.column for error in condition.unknown_names({"status"})] == [1, 29]


# --- Against a reference ------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.integers(-3, 3), st.sampled_from([0.5, 1.5]), st.sampled_from(["", "x", "y"]), st.booleans(), st.none()
)
NUMBERS = st.one_of(st.integers(-9, 9), st.sampled_from([0.5, 2.5]))
LEAVES = st.one_of(
    st.sampled_from(["a", "b", "order.status"]).map(lambda name: ("name", name)),
    VALUES.map(lambda value: ("value", value)),
)
TREES = st.recursive(
    LEAVES,
    lambda each: st.one_of(
        st.tuples(st.sampled_from(["and", "or", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"]), each, each),
        st.tuples(st.just("not"), each),
        st.tuples(st.just("in"), each, st.lists(LEAVES, max_size=3)),
    ),
    max_leaves=8,
)


def written(tree):
    kind, *rest = tree
    if kind == "name":
        return rest[0]
    if kind == "value":
        words = {None: "null", True: "true", False: "false"}
        return words[rest[0]] if rest[0] is None or isinstance(rest[0], bool) else repr(rest[0])
    if kind == "not":
        return f"(not {written(rest[0])})"
    if kind == "in":
        return f"({written(rest[0])} in [{', '.join(written(item) for item in rest[1])}])"
    return f"({written(rest[0])} {kind} {written(rest[1])})"


class Unknown(Exception):
    pass


def truth(tree, facts):
    """True, False or None, by the definition: unknown unless every completion of the unknown parts agrees (and, or)."""
    try:
        value = meaning(tree, facts)
    except Unknown:
        return None
    return None if value is None else bool(value)


def meaning(tree, facts):
    kind, *rest = tree
    if kind == "name":
        value = facts
        for part in rest[0].split("."):
            if not isinstance(value, dict) or part not in value:
                raise Unknown
            value = value[part]
        return value
    if kind == "value":
        return rest[0]
    if kind in ("and", "or"):
        sides = [truth(side, facts) for side in rest]
        decided = kind == "or"
        if decided in sides:
            return decided
        if None in sides:
            raise Unknown
        return not decided
    if kind == "not":
        held = truth(rest[0], facts)
        if held is None:
            raise Unknown
        return not held
    if kind == "in":
        return member(meaning(rest[0], facts), rest[1], facts)
    return operated(kind, meaning(rest[0], facts), meaning(rest[1], facts))


def member(value, items, facts):
    unknown = False
    for item in items:
        try:
            if operated("==", value, meaning(item, facts)):
                return True
        except Unknown:
            unknown = True
    if unknown:
        raise Unknown
    return False


def operated(op, left, right):
    if op in ("==", "!="):
        same = type(left) is bool and type(right) is bool and left is right
        if type(left) is not bool and type(right) is not bool:
            same = left == right
        return same == (op == "==")
    numbers = all(type(side) in (int, float) for side in (left, right))
    if op in ("+", "-", "*", "/"):
        if not numbers or (op == "/" and right == 0):
            raise Unknown
        return {"+": left + right, "-": left - right, "*": left * right, "/": left / right if right else math.nan}[op]
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        raise Unknown
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op]


FACTS = st.fixed_dictionaries(
    {}, optional={"a": VALUES, "b": VALUES, "order": st.fixed_dictionaries({}, optional={"status": VALUES})}
)


@settings(max_examples=400)
@given(TREES, FACTS)
def test_every_condition_agrees_with_the_reference(tree, facts):
    assert parse_condition(written(tree)).evaluate(facts) is truth(tree, facts)


@given(st.text("abvip.()[]<>=!'\"\\ 019+-*/,andortin", max_size=60), FACTS)
def test_any_text_is_a_condition_or_a_fault_within_it(text, facts):
    assert outcome(text, facts) in (True, False, None, "fault within")


def outcome(text, facts):
    try:
        condition = parse_condition(text)
    except ConditionError as error:
        return "fault within" if 1 <= error.column <= len(text) + 1 else "fault outside"
    return condition.evaluate(facts)


@given(NUMBERS, NUMBERS)
def test_minus_binds_tighter_than_multiplication_and_groups_from_the_left(a, b):
    assert parse_condition("a - b - a == -b").evaluate({"a": a, "b": b}) is ((a - b - a) == -b)
