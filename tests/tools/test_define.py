"""A function becomes a tool: schema from the signature, arguments in the declared types, mistakes said when it is declared."""

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from interlock.core.errors import ToolArgumentsInvalid
from interlock.tools.define import ToolContext, make, tool, tool_of


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Address:
    street: str
    zip: str = ""


class Line(TypedDict):
    sku: str
    count: int


class Box(msgspec.Struct):
    weight_g: int


class Card(pydantic.BaseModel):
    text: str


@tool(name="orders.create", effect="idempotent", reversible_by="orders.cancel")
async def create(
    customer: str,
    lines: list[Line],
    size: Size,
    speed: Literal["fast", "slow"],
    address: Address,
    box: Box,
    card: Card,
    weight: Annotated[float, msgspec.Meta(ge=0)],
    ctx: ToolContext,
    gift: bool = False,
    note: str | None = None,
) -> str:
    """Creates an order
    for a customer.

    Args:
        customer: The customer's id.
        note (str): Printed on the slip.
    """
    return f"{customer} {size} {address} {box} {card} {ctx.idempotency_key} {lines} {speed} {weight} {gift} {note}"


CREATE: Any = tool_of(create)
GOOD: dict[str, Any] = {
    "customer": "c1",
    "lines": [{"sku": "a", "count": 2}],
    "size": "l",
    "speed": "fast",
    "address": {"street": "High St"},
    "box": {"weight_g": 5},
    "card": {"text": "hi"},
    "weight": 3,
}


@pytest.mark.requirement("TL-01")
def test_the_schema_comes_from_the_signature_and_the_texts_from_the_docstring():
    schema = CREATE.schema
    assert (CREATE.name, CREATE.effect, CREATE.reversible_by) == ("orders.create", "idempotent", "orders.cancel")
    assert CREATE.description == "Creates an order for a customer."
    assert schema["required"] == ["customer", "lines", "size", "speed", "address", "box", "card", "weight"]
    assert schema["additionalProperties"] is False
    assert "ctx" not in schema["properties"]
    assert schema["properties"]["customer"] == {"type": "string", "description": "The customer's id."}
    assert schema["properties"]["speed"] == {"enum": ["fast", "slow"]}
    assert schema["properties"]["weight"] == {"type": "number", "minimum": 0}
    assert schema["properties"]["gift"] == {"type": "boolean", "default": False}
    assert schema["properties"]["note"]["default"] is None
    assert schema["properties"]["note"]["description"] == "Printed on the slip."
    assert schema["$defs"]["Line"]["required"] == ["count", "sku"]
    assert schema["properties"]["card"]["properties"]["text"]["type"] == "string"
    assert CREATE.spec.parameters is schema


@pytest.mark.requirement("TL-01")
def test_arguments_come_in_the_declared_types():
    given = CREATE.convert(GOOD)
    assert (given["size"], given["address"], given["box"]) == (Size.LARGE, Address("High St"), Box(5))
    assert (given["card"], given["weight"], "gift" in given) == (Card(text="hi"), 3.0, False)


@pytest.mark.requirement("TL-01")
def test_every_fault_of_the_arguments_is_named_at_once():
    bad = {**GOOD, "size": "xl", "lines": [{"sku": "a", "count": "2"}], "weight": -1, "card": {}, "nots": "x"}
    del bad["customer"]
    with pytest.raises(ToolArgumentsInvalid) as caught:
        CREATE.convert(bad)
    message = caught.value.message
    assert "nots is not an argument, did you mean note?" in message
    assert "customer is missing" in message
    assert "size: Invalid enum value 'xl'" in message
    assert "lines: Expected `int`, got `str` - at `$[0].count`" in message
    assert "weight: Expected `float` >= 0.0" in message
    assert "card: 1 validation error for Card" in message


@pytest.mark.parametrize("arguments", ["{broken", [1], None, 3])
def test_what_is_no_object_is_no_set_of_arguments(arguments: Any):
    with pytest.raises(ToolArgumentsInvalid, match="must be a JSON object"):
        CREATE.convert(arguments)


def test_a_plain_decorator_takes_the_functions_name_and_the_careful_effect():
    @tool
    def post(letter: str) -> None: ...

    made = tool_of(post)
    assert made is not None
    assert (made.name, made.effect) == ("post", "once")
    assert tool_of(len) is None


def bare(x) -> None: ...
def rest(*x: int) -> None: ...
def wrong_context(context: ToolContext) -> None: ...
def odd(x: complex) -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (bare, {}, "parameter x has no type"),
        (rest, {}, "cannot be given by name"),
        (wrong_context, {}, "must be called ctx"),
        (odd, {}, "no JSON Schema"),
        (print, {"name": "a b"}, "use letters, digits"),
        (test_arguments_come_in_the_declared_types, {"effect": "twice"}, "is none of none, idempotent"),
        (test_arguments_come_in_the_declared_types, {"effect": "reconcile"}, "go together"),
    ],
)
def test_a_function_that_cannot_be_a_tool_says_why_where_it_is_declared(function: Any, options: Any, message: str):
    with pytest.raises(TypeError, match=message):
        make(function, **options)


def test_an_undoing_tool_takes_of_the_known_values_what_it_has_parameters_for():
    def cancel(order_id: str, reason: str = "") -> None: ...

    assert make(cancel).taken({"order_id": "1", "total": 3}) == {"order_id": "1"}
