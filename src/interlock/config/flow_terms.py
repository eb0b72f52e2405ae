"""What `flow:` under a tool may say: where the values of its calls have to come from, and which fields of its answers are vouched for.

Above: contract, agents. Below: blocks. The same keys as `governance/flow_terms.py`, which says what each of them means; here they are a file's, with its faults.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from .blocks import Block, Text, Texts
from .shapes import is_list


def _choices(value: object) -> object:
    """`["r", "rw"]` is short for two choices that need no word of the request."""
    return {str(each): () for each in value} if is_list(value) else value


class FlowArgument(Block):
    """One argument."""

    role: Literal["authority", "text", "note", "inside", "plain"] = "authority"
    kind: Text = "name"
    wants: Texts = ()
    needed: bool = False
    expected: Texts = ()
    after: Text = ""
    free: bool = False
    part: Literal["", "first", "last"] = ""
    borne_by: Text = ""
    readers: Text = ""
    choices: Annotated[dict[str, Texts], BeforeValidator(_choices)] = Field(default_factory=dict[str, tuple[str, ...]])


class FlowField(Block):
    """A field of the tool's answer that its owner vouches for."""

    path: Text
    kind: Text
    label: Text = ""
    about: Text = ""
    rank: Text = ""
    pointed: bool = False
    by: Texts = ()
    shares: bool = False
    wants: Texts = ()
    confidentiality: Literal["", "public", "tenant", "secret"] = ""


class FlowTerms(Block):
    """Information-flow terms of one tool."""

    effect: Literal["read", "write"] | None = None
    """Default: what the tool declares; `none` is a read."""
    leaves: bool = False
    guarded: bool = False
    wants: Texts = ()
    verbs: Texts = ()
    arguments: dict[str, FlowArgument] = Field(default_factory=dict[str, FlowArgument])
    vouches: Text = ""
    by: Text = ""
    tallies: Text = ""
    returns: tuple[FlowField, ...] = ()
    confidentiality: Literal["public", "tenant", "secret"] = "public"
    integrity: Literal["trusted", "untrusted"] = "untrusted"
    source: Text = ""
    readers: Literal["public", "tenant", "secret"] = "public"

    @model_validator(mode="after")
    def _fits_together(self) -> FlowTerms:
        for name, argument in self.arguments.items():
            other = argument.after or argument.readers
            if other and other not in self.arguments:
                raise ValueError(f"arguments: {name} speaks of {other!r}, which is none of them")
        return self


class FlowRules(Block):
    """Of an agent: what becomes of a call that the policy does not allow by itself."""

    unsure: Literal["ask", "deny"] = "ask"
    """`ask`: a person decides on the value; `deny`: the model is told why, and may go on otherwise."""
    withhold: Texts = ()
    """Kinds of personal data and credentials that leave in no answer, unless the request says the value."""
