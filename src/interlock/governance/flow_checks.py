"""What stands against one call: each rule, and the value it speaks of. Above: flow. Below: flow_known, flow_scope, flow_words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct, structs

from . import flow_values as values
from .flow_figures import Figures, readers_of
from .flow_known import Known
from .flow_labels import Labels
from .flow_scope import Scope
from .flow_shape import ONCE, Shape, shape_of
from .flow_terms import Argument, Terms, ToolTerms
from .flow_words import Words, is_part, items_of

_LEEWAY = 1
"""Words of its own that a note to the user may have."""
_BESIDE = 2
"""As many times of the request's words have to stand beside them."""
_NEARLY = 0.75
"""Share of a list's items that a note has to hold, for it to be that list."""
_ORDINARY = 10
"""Letters of such a word."""
_UNSAID = Argument()
"""An argument of which the contract says nothing."""
_TIED = ("email", "account", "url", "amount", *ONCE)
"""Kinds whose values the request ties to a call; those of lists (`name:…`) too."""


class Doubt(Struct, frozen=True):
    """One thing that speaks against a call."""

    rule: str
    """`tool.argument`, or the name of a rule about the whole call."""
    argument: str
    """Empty: it speaks against the whole call."""
    reason: str
    value: str


class Past(Struct):
    """What the task has done so far."""

    done: set[bytes]
    """Keys of calls that were made."""
    taken: set[tuple[str, str]]
    """(tool and kind, value) of what was decided by a list."""
    lists: set[tuple[str, ...]]
    """Lists of few words an item in sources that the user pointed to, under a heading of the request's words."""


class Checks:
    """The rules, over what is known of a task."""

    def __init__(self, terms: Terms, prompt: Words, known: Known, past: Past, labels: Labels) -> None:
        self._prompt, self._known, self._past, self._labels = prompt, known, past, labels
        verbs = {
            name: each.verbs
            for name, each in terms.tools.items()
            if each.verbs and (each.effect == "write" or each.leaves)
        }
        self._scope = Scope(prompt.raw, verbs)  # fmt: skip
        self._figures = Figures(self._scope)
        self._shapes: dict[str, Shape] = {}
        self._makers: dict[str, list[str]] = {}
        for name, each in terms.tools.items():
            for field in each.returns if each.effect == "write" and each.verbs else ():
                self._makers.setdefault(field.kind, []).append(name)

    def doubts(
        self, tool: str, terms: ToolTerms, arguments: Mapping[str, Any], key: bytes, *, declared: bool
    ) -> Iterator[Doubt]:
        """What speaks against the call, the gravest first. `declared`: the operator wrote the step itself."""
        shape = self._shapes.get(tool)
        if shape is None:
            shape = self._shapes[tool] = shape_of(tool, terms, self._prompt, self._scope)
        if not declared and not shape.asked:
            yield Doubt("not_asked_for", "", f"the user's request does not ask for {tool}", tool)
        if terms.effect == "read" and not terms.leaves and not terms.guarded:
            return
        for name in shape.needed_always if declared else shape.needed:
            if arguments.get(name) in (None, "", [], {}):
                yield Doubt(f"{tool}.{name}", name, f"{name} is left out", "")
        if key in self._past.done or (shape.objects and self._is_made_so(shape, arguments)):
            yield Doubt("repeated", "", f"{tool} was called for the same before", tool)
        if not declared:
            if shape.mailing:
                yield from self._people(tool, terms, shape, arguments)
            if len(shape.once) > 1:
                yield from self._twofold(tool, shape, arguments)
        for name, given in arguments.items():
            yield from self._argument(tool, terms, name, given, arguments, declared=declared)

    def _is_made_so(self, shape: Shape, arguments: Mapping[str, Any]) -> bool:
        """Whether an object of this task's was made with all that the call would give it."""
        for name, kind in shape.objects:
            if made := self._known.made_with(kind, arguments.get(name)):
                rest = {str(each) for other, given in arguments.items() if other != name for each in values.each(given)}
                return bool(rest) and rest <= made
        return False

    def _people(self, tool: str, terms: ToolTerms, shape: Shape, arguments: Mapping[str, Any]) -> Iterator[Doubt]:
        """Whoever the request names together is told together: nobody twice, nobody left out."""
        given = [str(each) for name in shape.mailing for each in values.each(arguments.get(name)) if each]
        if len(given) != len(set(given)):
            yield Doubt("twice", "", "somebody is named twice", given[0])
        if terms.effect != "write":
            return
        left_out = set[str]() if self._scope.of_all(tool) else self._scope.named_for(tool, "email") - set(given)
        for group in self._known.groups("email"):
            left_out |= group - set(given) if not given or not group.isdisjoint(given) else set[str]()
        if left_out and (len(left_out) > 1 or given or self._scope.asks_for(tool)):
            yield Doubt("left_out", "", f"the request names {min(left_out)} too", min(left_out))

    def _twofold(self, tool: str, shape: Shape, arguments: Mapping[str, Any]) -> Iterator[Doubt]:
        """A name of the request serves one argument of a call."""
        names = [(name, given) for name in shape.once if isinstance(given := arguments.get(name), str) and given]
        for at, (name, given) in enumerate(names):
            if any(given in other for _, other in (*names[:at], *names[at + 1 :])):
                yield Doubt(
                    f"{tool}.{name}", name, f"{name}={given!r}: it is what another argument is given", str(given)
                )

    def _argument(
        self, tool: str, terms: ToolTerms, name: str, given: Any, arguments: Mapping[str, Any], *, declared: bool
    ) -> Iterator[Doubt]:
        argument = terms.arguments.get(name, _UNSAID)
        if argument.readers and arguments.get(argument.readers):
            argument = structs.replace(argument, role="text")
        if declared and argument.role in ("text", "note", "inside"):
            return
        rule = f"{tool}.{name}"
        leaves = values.each(given)
        if argument.role == "authority" and len(leaves) > 1 and any(each in (None, "") for each in leaves):
            yield Doubt(rule, name, f"{name}={given!r}: one of them is empty", "")
        for value in leaves:
            reason = self._value(tool, terms, argument, value)
            if not reason and argument.role == "text":
                reason = self._readers(tool, terms, str(value), arguments)
            if not reason and self._labels.told_apart and not declared:
                reason = self._labels.against(terms, argument.role, str(value), self._prompt)
            if reason:
                yield Doubt(rule, name, f"{name}={value!r}: {reason}", str(value))
        if argument.after and not self._known.times.ends_well(arguments.get(argument.after), given):
            yield Doubt(rule, name, f"{name}={given!r}: the request gives no such time", str(given))
        if argument.free and self._known.times.is_taken(given):
            yield Doubt(rule, name, f"{name}={given!r}: something else stands there", str(given))
        if argument.borne_by and not _bears(arguments.get(argument.borne_by), given):
            yield Doubt(rule, name, f"{name}={given!r}: the address is somebody else's", str(given))

    def _value(self, tool: str, terms: ToolTerms, argument: Argument, value: Any) -> str:
        """Why a value has no authority; empty when it has, or needs none."""
        if value is None or value == "":
            return "there is nothing in it" if argument.needed else ""
        if not values.plain(value):
            return "it holds characters that a reader does not see as they are"
        if argument.wants and value is not False and not self._prompt.mentions(argument.wants):
            return "the request does not speak of it"
        if argument.choices:
            return self._choice(argument, value)
        if argument.role == "plain":
            return self._plain(argument, value)
        if argument.role in ("text", "note", "inside"):
            return self._text(argument, str(value), trusted=terms.readers == "secret")
        if argument.kind.startswith("id:"):
            return self._object(tool, argument.kind, value)
        if not (
            self._known.may_follow(str(value))
            if argument.kind == "url" and terms.effect != "write"
            else self._known.has(argument.kind, value)
        ):
            return "it stands neither in the request nor in a trusted field"
        return self._tied(tool, argument, value) if terms.effect == "write" else ""  # fmt: skip

    def _object(self, tool: str, kind: str, value: Any) -> str:
        """One that the request means: named for this call, or made in this task where the request asks to make one."""
        if not self._known.object_is_meant(kind, value):
            return "no object of that id was named by the user"
        label = self._known.label_of(kind, value)
        maker = next((each for each in self._makers.get(kind, ()) if each != tool and self._scope.asks_for(each)), "")
        if (
            maker
            and not self._known.made(kind, value)
            and not self._scope.wishes_apart(tool, maker, label or str(value))
        ):
            return "the request means the one that it asks to make"
        if label and not self._scope.ties(tool, "name", label, self._known.labels_said(kind)):
            return "the request names it for something else"
        return ""

    def _plain(self, argument: Argument, value: Any) -> str:
        if argument.kind == "soon":
            return "" if self._known.times.is_soon(str(value)) else "it is no day of the weeks to come"
        return "" if values.well_formed(argument.kind, value) else f"it has not the form of a {argument.kind}"

    def _tied(self, tool: str, argument: Argument, value: Any) -> str:
        """Whether what is known belongs to this call: by the request's sentences, or alone by a list."""
        if argument.kind in ("start", "date", "day"):
            return self._time(tool, argument, str(value))
        mine = self._scope.named_for(tool, argument.kind, near=True) if argument.kind in ("account", "amount") else ()
        mine = () if argument.kind == "amount" and self._prompt.is_computed else mine
        if mine and values.canonical(argument.kind, str(value)) not in mine:
            return "the request names another one for this"
        listed = self._known.told(argument.kind)
        if argument.kind in _TIED or argument.kind.startswith("name"):
            kind = argument.kind if argument.kind in ("email", "account", "url", "amount") else "name"
            if not self._scope.ties(tool, kind, str(value), listed):
                return "the request names it for something else"
        if not self._known.from_directory(argument.kind, value):
            return ""
        if not self._known.is_singled_out(argument.kind, str(value)):
            return "the request speaks of one of them, and nothing tells that it is this one"
        others = {each for kind, each in self._past.taken if kind == f"{tool}:{argument.kind}"} - {str(value)}
        return "the request speaks of one, and another was taken" if others and not self._prompt.of_all else ""

    def _time(self, tool: str, argument: Argument, value: str) -> str:
        """A day or a time of day that the request gives, but for something else."""
        days, times = self._scope.days(tool), self._scope.times(tool)
        day, clock = set(values.dates(value)), set(values.clocks(value))
        if days is not None and day & (set(values.dates(self._prompt.raw)) - days):
            return "the request names that day for something else"
        if argument.kind == "start" and times is not None and clock & (set(values.clocks(self._prompt.raw)) - times):
            return "the request names that time for something else"
        span = self._scope.range_of(tool) if argument.part else None
        wanted = span[0 if argument.part == "first" else 1] if span else ""
        if wanted and wanted not in {f"{month}-{of_month}" for month, of_month in day}:
            return f"the request gives another {argument.part} day"
        return ""

    def _choice(self, argument: Argument, value: Any) -> str:
        wants = argument.choices.get(str(value))
        if wants is None:
            return f"it is none of {', '.join(argument.choices)}"
        return "" if not wants or self._prompt.mentions(wants) else "the request does not ask for that"

    def _text(self, argument: Argument, text: str, *, trusted: bool) -> str:
        """`trusted`: its readers may see what is secret."""
        secret = "" if trusted else next((each for each in self._known.secrets() if each in text), "")
        if secret:
            return "it carries what its owner's contract calls secret"
        unknown = [each for kind, each in values.carried(text) if kind != "number" and not self._known.has(kind, each)]
        if unknown:
            return f"it carries {unknown[0]!r}, which the user does not know"
        if argument.role == "inside":
            return ""
        if argument.role == "note":
            text = self._without_lists(text)
        strange = self._known.strange(text)
        if argument.role == "note" and len(strange) <= min(
            _LEEWAY, (self._prompt.count(text) - len(strange)) // _BESIDE
        ):
            return (
                "" if all(each.isalpha() and len(each) <= _ORDINARY for each in strange) else f"it says {strange[0]!r}"
            )
        if strange:
            return f"it says {' '.join(strange[:8])!r}, which is not from the request"
        return (
            ""
            if argument.role == "note" or self._known.is_passage(text)
            else "it puts the request's words together anew"
        )

    def _readers(self, tool: str, terms: ToolTerms, text: str, arguments: Mapping[str, Any]) -> str:
        """Why a text is not for all of its readers: a number that is another's, or somebody's name whom the request does not speak of."""
        for kind, reader in readers_of(arguments, terms.arguments) if text else ():
            others = self._known.of_kind(kind) if kind in ("email", "account") else self._known.told(kind)
            figure = self._figures.foreign(
                tool,
                text,
                (kind, reader),
                others,
                lambda value, reader=reader: value == self._known.own_number(reader),
            )
            if figure:
                return f"the request does not give {figure!r} to {reader!r}; say what it binds to that reader"
            if kind.startswith("name") and self._prompt.strange(text):
                low, mine = text.lower(), reader.lower()
                about = next(
                    (each for each in self._known.standing(kind, low) if each != mine and not self._prompt.says(each)),
                    "",
                )
                if about:
                    return f"it names {about!r}, of whom the request does not speak, to {reader!r}"
        return ""

    def _without_lists(self, text: str) -> str:
        """A note without the lists that the request speaks of: an item, or words of it, on each line, and nearly all of a list's items."""
        lines = items_of(text)
        for items in self._past.lists:
            left = list(items)
            taken: set[int] = set()
            for at, line in enumerate(lines):
                item = next((each for each in left if is_part(line, each)), None)
                if item is not None:
                    left.remove(item)
                    taken.add(at)
            if len(taken) >= _NEARLY * len(items):
                lines = [line for at, line in enumerate(lines) if at not in taken]
        return "\n".join(lines)


def _bears(address: Any, name: Any) -> bool:
    """Whether an address bears the name of whom it is said to be."""
    return str(name).lower() in str(address or "").partition("@")[0].lower()


def key_of(tool: str, terms: ToolTerms, arguments: Mapping[str, Any], encoded: Any) -> Any:
    """What a call does to whom: its authority, whatever its texts say."""
    told = {
        name: given
        for name, given in arguments.items()
        if given is not None and _decides(terms.arguments.get(name, _UNSAID))
    }
    return encoded(tool, told)


def _decides(argument: Argument) -> bool:
    return argument.role == "authority" and argument.kind != "title"


def authority_of(terms: ToolTerms) -> Collection[str]:
    """The arguments that decide what happens to whom."""
    return {name for name, argument in terms.arguments.items() if argument.role == "authority"}
