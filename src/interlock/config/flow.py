"""What a contract's `flows` may say: slots to be found in the text, and the steps that resolve an intent without a model.

Above: contract, agents. Below: blocks.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from .blocks import ArgumentsBlock, Block, ConditionText, Name, TemplateText, Text, Texts
from .patterns import OPEN_REPEAT, checked_pattern
from .templates import Arguments

SLOT_TEXT_CHARS = OPEN_REPEAT
"""A pattern is matched against at most this many characters; its worst case is bounded for texts of this length."""
SlotType = Literal["order_id", "email", "amount", "date", "integer", "number", "text", "choice", "product"]


def _pattern(value: Any) -> re.Pattern[str] | None:
    if value is None or isinstance(value, re.Pattern):
        return value  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, str):
        raise ValueError("expected a regular expression, in quotes")
    return checked_pattern(value)


class Slot(Block):
    """A value that is looked for in the text of a task."""

    type: SlotType
    pattern: Annotated[re.Pattern[str] | None, PlainValidator(_pattern)] = None
    """The value has this shape; with a group in it the group is the value."""
    required: bool = True
    """Without it the flow is left."""
    choices: tuple[Text, ...] = ()
    products: Texts = ()
    """Names, or one path of a file that lists them."""

    @model_validator(mode="after")
    def _fits_its_type(self) -> Slot:
        if (self.type == "choice") != bool(self.choices):
            raise ValueError("a slot of type choice, and only such a one, has `choices`")
        if (self.type == "product") != bool(self.products):
            raise ValueError(
                "a slot of type product, and only such a one, has `products`: a list of names or the path of a file"
            )
        if self.type == "text" and self.pattern is None:
            raise ValueError("a slot of type text needs a `pattern`")
        return self

    @property
    def products_file(self) -> str:
        """The path when `products` names a file; empty when it is a list of names."""
        only = self.products[0] if len(self.products) == 1 else ""
        return only if re.search(r"\.(txt|json|ya?ml)(#|$)", only) else ""


class Step(Block):
    """One step of a flow: a tool call or the answer, taken when `when` holds."""

    when: ConditionText | None = None
    call: Text | None = None
    arguments: ArgumentsBlock = Field(default_factory=lambda: Arguments({}), alias="with")
    save_as: Name | None = Field(default=None, alias="as")
    """The name by which later steps know the tool's result."""
    answer: TemplateText | None = None
    cite: Texts = ()
    """Ids of the articles that the answer rests on."""

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if (self.call is None) == (self.answer is None):
            raise ValueError("a step has either `call` or `answer`")
        if self.answer is not None and (self.save_as or self.arguments.source):
            raise ValueError("`with` and `as` belong to a step with `call`")
        if self.call is not None and self.cite:
            raise ValueError("`cite` belongs to a step with `answer`")
        return self


class Flow(Block):
    """How one intent is resolved without a model."""

    slots: dict[Name, Slot] = Field(default_factory=dict[str, Slot])
    steps: tuple[Step, ...] = ()
    answer_from: Literal["knowledge"] | None = None
    """The passage found in the knowledge base, with its citation, is the answer."""

    @model_validator(mode="after")
    def _ends(self) -> Flow:
        if bool(self.steps) == (self.answer_from is not None):
            raise ValueError("a flow has either `steps` or `answer_from: knowledge`")
        if self.steps and not any(step.answer is not None for step in self.steps):
            raise ValueError("a flow with steps has at least one `answer`")
        return self
