"""What every block of the files has in common, and the kinds of values in them. Above: schema, contract, flow. Below: pydantic, core."""

from __future__ import annotations

import re
from contextvars import ContextVar
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from interlock.core.caller import Secret
from interlock.core.money import NANO_PER_USD

from .conditions import Condition, parse_condition
from .shapes import is_list, is_section
from .templates import Arguments, Template

MAX_USD = 1_000_000_000
"""Largest amount of money in a file."""
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONDITION_WORDS = frozenset(("and", "or", "not", "in", "true", "false", "null", "None", "True", "False"))


class _Nothing:
    """What no kind of value accepts."""


_NOTHING = _Nothing()
_BUILT: ContextVar[type[BaseModel] | None] = ContextVar("built", default=None)
"""The block whose validator is being built."""


class Block(BaseModel):
    """A section of a file: frozen, no key beside its own, keys in lower or UPPER case, an empty section is one of defaults.

    A block inside of another is read by its own validator, which is built for the first file that says it: most files name few of the sections.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, arbitrary_types_allowed=True)

    @classmethod
    def model_rebuild(cls, **given: Any) -> bool | None:
        """Builds the validator, which pydantic asks for when it is first needed."""
        before = _BUILT.set(cls)
        try:
            return super().model_rebuild(**given)
        finally:
            _BUILT.reset(before)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        if _BUILT.get() is cls:
            return handler(source)
        return core_schema.no_info_plain_validator_function(cls.model_validate)

    @model_validator(mode="before")
    @classmethod
    def _keys_in_any_case(cls, data: Any) -> Any:
        if data is None:
            return {}
        if not is_section(data):
            return data
        known = {field.alias or name: field for name, field in cls.model_fields.items()}
        named: dict[str, Any] = {}
        for key, value in data.items():
            name = key.lower() if isinstance(key, str) and key not in known and key.lower() in known else key
            if name in named:
                raise ValueError(f"{name} stands here twice, in upper and in lower case")
            if value is not None:
                named[name] = value
            elif name in known and known[name].default_factory is None and not isinstance(known[name].default, tuple):
                # A key that was left empty is a mistake: without this, an empty limit would be no limit.
                named[name] = _NOTHING
        return named


# --- Kinds of values ------------------------------------------------------------------------------------------------


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, found {'true' if value else 'false'}")
    return value


def _nano_usd(value: Any) -> int:
    """Dollars as they stand in the file → nano-dollars, exactly."""
    expected = "expected dollars such as 0.05"
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(expected)
    try:
        amount = Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(expected) from None
    if not amount.is_finite() or not 0 <= amount <= MAX_USD:
        raise ValueError(f"expected dollars between 0 and {MAX_USD:,}")
    nano = amount * NANO_PER_USD
    if nano != int(nano):
        raise ValueError("expected at most nine digits after the point: money is kept in nano-dollars")
    return int(nano)


def _share(value: Any) -> float:
    """`98%` and `0.98` → 0.98."""
    expected = "expected a share such as 98% or 0.98"
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(expected)
    text = str(value).strip()
    try:
        amount = Decimal(text.removesuffix("%").rstrip()) / (100 if text.endswith("%") else 1)
    except InvalidOperation:
        raise ValueError(expected) from None
    if not amount.is_finite() or not 0 <= amount <= 1:
        raise ValueError("expected a share between 0 and 1, or between 0% and 100%")
    return float(amount)


def _text(value: Any) -> Any:
    if isinstance(value, bool | int | float | Decimal):
        raise ValueError("expected a text, found a number or a truth value; put it in quotes")
    return value


def _secret(value: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a text; put it in quotes")
    return Secret(value.strip())


def plain(value: Any) -> Any:
    """`value` as JSON knows it: exact decimals become numbers."""
    if isinstance(value, Decimal):
        return (
            int(value)
            if value == value.to_integral_value() and "E" not in str(value) and "." not in str(value)
            else float(value)
        )
    if is_section(value):
        return {str(key): plain(each) for key, each in value.items()}
    if is_list(value):
        return [plain(each) for each in value]
    return value


def _condition(value: Any) -> Condition:
    if isinstance(value, Condition):
        return value
    if not isinstance(value, str):
        raise ValueError('expected a condition such as "confidence < 0.72", in quotes')
    return parse_condition(value)


def _bool_or_condition(value: Any) -> bool | Condition:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, str | Condition):
        raise ValueError('expected true, false or a condition such as "amount_usd > 50"')
    return _condition(value)


def _template(value: Any) -> Template:
    if isinstance(value, Template):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return Template(value)


def _arguments(value: Any) -> Arguments:
    if isinstance(value, Arguments):
        return value
    if not is_section(value):
        raise ValueError("expected a section of argument: value")
    return Arguments(plain(value))


def _address(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("expected an address that begins with http:// or https://")
    return value


def _promise(value: float) -> float:
    if not 0.5 <= value <= 0.999:
        raise ValueError("expected between 50% and 99.9%")
    return value


def _list_of_one(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _name(value: str) -> str:
    if not _IDENTIFIER.fullmatch(value) or value in _CONDITION_WORDS:
        raise ValueError("expected a name of letters, digits and _, so that conditions can use it")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_text), BeforeValidator(lambda v: _name(v) if isinstance(v, str) else v)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_list_of_one)]
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=1_000_000_000)]
Positive = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, le=366 * 86_400, allow_inf_nan=False)]
Amount = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=1e12, allow_inf_nan=False)]
Share = Annotated[float, PlainValidator(_share)]
Promise = Annotated[float, PlainValidator(lambda value: _promise(_share(value)))]
Address = Annotated[str, BeforeValidator(_text), AfterValidator(_address)]
NanoUsd = Annotated[int, PlainValidator(_nano_usd)]
SecretText = Annotated[Secret, PlainValidator(_secret)]
ConditionText = Annotated[Condition, PlainValidator(_condition)]
BoolOrCondition = Annotated[bool | Condition, PlainValidator(_bool_or_condition)]
TemplateText = Annotated[Template, PlainValidator(_template)]
ArgumentsBlock = Annotated[Arguments, PlainValidator(_arguments)]
Plain = Annotated[Any, BeforeValidator(plain)]
