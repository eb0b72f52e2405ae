"""Templates: what they fill, what they refuse, and that they reach nothing but the facts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.templates import Arguments, NameMissing, Template, TemplateError

FACTS = {
    "order": {
        "id": "FH-1",
        "total_usd": 1290.5,
        "items": ["a", "b"],
        "due": "2026-09-14T10:00:00Z",
        "paid": True,
        "note": None,
    }
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Order {order.id}.", "Order FH-1."),
        ("{order.total_usd|usd} by { order.due | date }", "$1,290.50 by September 14, 2026"),
        ("{order.items.1} of {order.items}, paid: {order.paid}", "b of a, b, paid: yes"),
        ("{{order.id}} is {order.id}", "{order.id} is FH-1"),
        ("Dear {order.note?}{gone?|usd}{order.id?}", "Dear FH-1"),
        ("no places", "no places"),
        ("", ""),
    ],
)
def test_places_are_filled(text, expected):
    assert Template(text).render(FACTS) == expected


@pytest.mark.parametrize(
    "text",
    ["{gone}", "{order.gone}", "{order.note}", "{order.items.7}", "{order.id|usd}", "{order.id|date}", "{order.id.x}"],
)
def test_a_place_without_a_value_is_an_error_that_names_it(text):
    with pytest.raises(NameMissing) as caught:
        Template(text).render(FACTS)

    assert caught.value.name in text


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a {order.id", 3, "a lone '{'"),
        ("a }", 3, "a lone '}'"),
        ("{order.id!r}", 1, "is not a place"),
        ("{order.id:>10}", 1, "is not a place"),
        ("{order[id]}", 1, "is not a place"),
        ("{}", 1, "is not a place"),
        ("{0}", 1, "is not a place"),
        ("x {order.id|upper}", 3, "unknown filter 'upper'"),
        ("{a|usd|date}", 1, "is not a place"),
    ],
)
def test_what_is_no_place_is_a_fault_at_its_column(text, column, message):
    with pytest.raises(TemplateError) as caught:
        Template(text)

    assert caught.value.column == column
    assert message in caught.value.message


def test_attributes_are_never_reached():
    class Box:
        secret = "hidden"

    for text in ("{box.secret}", "{box.__class__}", "{order.__class__}", "{order.items.__len__}"):
        with pytest.raises(NameMissing):
            Template(text).render({**FACTS, "box": Box()})


def test_unknown_names_are_found_before_anything_runs():
    (error,) = Template("Hi {ordr.id}, {order.id}").unknown_names({"order"})

    assert (error.column, error.hint) == (4, "Did you mean 'order'?")


def test_arguments_that_are_one_place_keep_their_type():
    arguments = Arguments(
        {
            "id": "{order.id}",
            "usd": "{order.total_usd}",
            "deep": [{"all": "{order.items}", "n": 3}],
            "text": "n {order.total_usd}",
        }
    )

    assert arguments.value(FACTS) == {
        "id": "FH-1",
        "usd": 1290.5,
        "deep": [{"all": ["a", "b"], "n": 3}],
        "text": "n 1290.5",
    }
    assert Arguments({"email": "{email?}"}).value({}) == {"email": None}
    with pytest.raises(NameMissing):
        arguments.value({})


def test_filled_values_are_not_filled_again():
    assert Template("{a}").render({"a": "{order.id}", **FACTS}) == "{order.id}"


@given(st.text("{}a.|usd 0[]!:_", max_size=40))
def test_any_text_is_a_template_or_a_fault_within_it(text):
    assert outcome(text) in ("rendered", "missing", "fault within")


def outcome(text):
    try:
        Template(text).render({"a": 1})
    except TemplateError as error:
        return "fault within" if 1 <= error.column <= len(text) else "fault outside"
    except NameMissing as missing:
        return "missing" if missing.name else "nameless"
    return "rendered"


@given(st.text(max_size=80))
def test_text_with_its_braces_doubled_comes_out_as_it_was(text):
    assert Template(text.replace("{", "{{").replace("}", "}}")).render({}) == text
