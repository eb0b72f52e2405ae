"""What a tool's contract says of its values, for the information-flow policy. Above: flow. Below: msgspec."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct

SOURCE = r"^[A-Za-z0-9_.-]{0,40}$"
Integrity = Literal["user", "trusted", "untrusted"]
Confidentiality = Literal["public", "tenant", "secret"]


class Argument(Struct, frozen=True, forbid_unknown_fields=True):
    """One argument."""

    role: Literal["authority", "text", "note", "inside", "plain"] = "authority"
    """`authority`: decides what happens to whom, so it has to be known · `text`: is read by somebody · `note`: is kept in the user's own store ·
    `inside`: is read in the house only, so that its words are free, but not the addresses and links in it · `plain`: decides nothing that matters, and has the shape of its kind."""
    kind: str = "name"
    """`email`, `account`, `url`, `amount`, `date`, `start`, `title`, `proper`, `quoted`, `name` or `name:…`, `id:…`, `input:…` (that input of the task, as it was given): what
    it has to be known *as*."""
    wants: tuple[str, ...] = ()
    """Beginnings of words without which the request gives no reason to set it at all."""
    needed: bool = False
    """Empty or left out, it asks: a message that says nothing is nobody's wish."""
    expected: tuple[str, ...] = ()
    """Beginnings of words of the request with which it may not be left out."""
    after: str = ""
    """For the end of something: the argument with its start."""
    free: bool = False
    """For the start of something: nothing that a field of kind `busy` told may stand there already."""
    part: Literal["", "first", "last"] = ""
    """Of a span of days that the request gives (`from the 3rd to the 5th of May`): which end of it."""
    borne_by: str = ""
    """For a person's name: the argument with the address, which has to bear it."""
    readers: str = ""
    """For a `note`: the argument that names its readers; where one is given, it is a `text`."""
    choices: Mapping[str, tuple[str, ...]] = {}
    """The values that it may have, each with beginnings of words that ask for it (none: always)."""


class Field(Struct, frozen=True, forbid_unknown_fields=True):
    """A field of a tool's output that the tool's owner vouches for."""

    path: str
    """Keys joined by dots; `*` for every element or key."""
    kind: str
    """`none`: it is not vouched for, and only its confidentiality is said."""
    label: str = ""
    """For `id:…`: the sibling field by which people name the object."""
    about: str = ""
    """For `id:…`: the sibling field that describes it, by which the request may mean it where it names none."""
    rank: str = ""
    """For `id:…`: the sibling field by which an object may be singled out (`the largest`)."""
    pointed: bool = False
    """Counts only in the record that the request points to, by the value of another of its fields."""
    by: tuple[str, ...] = ()
    """With `pointed`: the fields that can point; empty: any other one."""
    shares: bool = False
    """For an amount: not itself, but the shares of it that the request names (`10%`), alone or with another amount that it names."""
    wants: tuple[str, ...] = ()
    """Beginnings of words without which the request does not speak of this field."""
    confidentiality: Literal["", "public", "tenant", "secret"] = ""
    """Who may see it; empty: as all that the tool returns."""


class ToolTerms(Struct, frozen=True, forbid_unknown_fields=True):
    """One tool."""

    effect: Literal["read", "write"]
    leaves: bool = False
    """A read whose arguments reach somebody outside (an address that is fetched): they need authority like those of a write."""
    guarded: bool = False
    """A read of what is not everybody's: its arguments need authority, and what it returns for them is the user's own."""
    wants: tuple[str, ...] = ()
    """Beginnings of words of which the request has to hold one; empty: whoever may use the contract may use it."""
    verbs: tuple[str, ...] = ()
    """Beginnings of words by which a request *wishes* it (not: tells that it was done), `share` or `creat+file|document` (with one of these in the same sentence).
    Where there are any, values count that the request ties to that verb."""
    arguments: Mapping[str, Argument] = {}
    vouches: str = ""
    """A kind: where the request names what is read (all arguments stand in it), the one value of that kind in the output is trusted."""
    by: str = ""
    """With `vouches`: the field by which records are somebody's; where the request names somebody, only theirs count."""
    tallies: str = ""
    """A kind (`name:channel`): its output's length says how large the thing is that the argument of this kind names."""
    returns: tuple[Field, ...] = ()
    """What of its output is trusted; all the rest is somebody else's words."""
    confidentiality: Confidentiality = "public"
    """Of everything that it returns: for anybody, for the tenant's own people and systems, or for nobody beside the user."""
    integrity: Literal["trusted", "untrusted"] = "untrusted"
    """`trusted`: it returns the house's own data, in which no stranger writes; a call that was not made of the user's words alone brings something untrusted all the same."""
    source: Annotated[str, msgspec.Meta(pattern=SOURCE)] = ""
    """Where what it returns comes from; texts made of it bear `source:NAME`."""
    readers: Confidentiality = "public"
    """What those may see who read what it is given, where it writes or leaves the house."""


class Terms(Struct, frozen=True):
    """The contracts of all tools of an agent."""

    tools: Mapping[str, ToolTerms]

    @property
    def version(self) -> str:
        """A hash of all of them, to be kept with every decision; terms that a later version adds change it for nobody who does not use them."""
        said = {name: _said(each) for name, each in self.tools.items()}
        return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:12]


def _said(terms: ToolTerms) -> dict[str, Any]:
    """Terms as they were hashed from the first, with what came later only where it is said."""
    plain: dict[str, Any] = msgspec.to_builtins(terms)
    for name, default in (
        ("confidentiality", "public"),
        ("integrity", "untrusted"),
        ("source", ""),
        ("readers", "public"),
    ):
        if plain[name] == default:
            del plain[name]
    plain["returns"] = [
        {name: each for name, each in field.items() if name != "confidentiality" or each} for field in plain["returns"]
    ]
    return plain


def nouns_of(terms: Terms) -> tuple[str, ...]:
    """What the system has lists of: `hotel` where a tool returns a `name:hotel`."""
    kinds = {field.kind for each in terms.tools.values() for field in each.returns if field.kind.startswith("name:")}
    return tuple(sorted(noun for kind in kinds if (noun := kind.partition(":")[2]).isalpha()))
