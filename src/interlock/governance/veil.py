"""Masking of personal data and credentials in texts: each find is covered as the workspace says for its kind, and uncovered for whoever may see it.

Above: guards, `app`. Below: redact, scan, standins, tokens. Frozen; whoever makes it keeps the tenants' keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, cast

from msgspec import Struct, field

from interlock.core.guards import ContentRefused

from . import standins, tokens
from .folding import folded
from .pieces import Covering
from .redact import replaced
from .scan import TOKEN, Find, Scanner

Action = Literal["tokenise", "stand_in", "redact", "leave", "refuse"]
"""A token that can be turned back · one that keeps the form · `[kind]` · nothing · the call is refused."""
ALL = frozenset(("*",))
_LONG = 10**8
"""Numbers from here on may be somebody's."""
_HUMPS = re.compile(r"([a-z0-9])([A-Z])")
NEVER_BACK: Mapping[str, Action] = {"secret": "redact", "card_code": "redact", "pin": "redact"}
"""Kinds that nobody has to see again, unless a workspace says otherwise."""
Counts = dict[str, int]
"""How many of each kind."""
DEEPEST = 100
"""Levels of JSON that are looked through: callers and models choose how deep they nest it."""
TOO_DEEP = "[nested too deep]"
"""In the place of what is below."""


class Terms(Struct, frozen=True):
    """What becomes of each kind."""

    then: Action = "tokenise"
    kinds: Mapping[str, Action] = field(default_factory=lambda: dict(NEVER_BACK))

    def of(self, kind: str) -> Action:
        return self.kinds.get(kind, self.then)


class Veil:
    """Covers and uncovers texts of tenants."""

    def __init__(self, scanner: Scanner, terms: Terms, key_of: Callable[[str], tokens.TenantKey]) -> None:
        """`key_of`: a tenant's key as it stands now; asked for each text."""
        self._scanner, self._terms, self._key = scanner, terms, key_of
        self.with_stand_ins = "stand_in" in (terms.then, *terms.kinds.values())

    def passes(self, text: str) -> bool:
        """Nothing in it is covered, and nothing in it turned back."""
        ours = "[" in text or (self.with_stand_ins and standins.SIGN.search(text) is not None)
        return not ours and not self._scanner.find(text)

    def cover(self, tenant: str, text: str, counts: Counts) -> str:
        """The text as models, tools and records may see it; finds are added to `counts`. Itself where there is nothing in it.

        Raises:
            ContentRefused: it holds what the workspace refuses.
        """
        found = self._scanner.find(text)
        if not found:
            return text
        refused = [each.kind for each in found if self._terms.of(each.kind) == "refuse"]
        if refused:
            categories = [f"pii:{kind}" for kind in dict.fromkeys(refused)]
            raise ContentRefused("input", categories, f"the text holds what is not taken here: {', '.join(refused)}")
        return self._replaced(tenant, text, found, counts)

    def _replaced(self, tenant: str, text: str, found: list[Find], counts: Counts) -> str:
        key = self._key(tenant)
        ours = [each.span() for each in standins.ANY.finditer(text)] if standins.SIGN.search(text) else []
        by = [self._instead(key, each, text[each.start : each.end], ours, counts) for each in found]
        return replaced(text, found, by)

    def cover_all(self, tenant: str, value: Any, counts: Counts, level: int = 0) -> Any:
        """The same for every text inside plain JSON values, each read with the name of its field before it; long numbers count as texts.
        Nothing is refused: what would be is redacted, and what lies deeper than `DEEPEST` left out.
        """
        if isinstance(value, dict | list | tuple) and level >= DEEPEST:
            counts["too_deep"] = counts.get("too_deep", 0) + 1
            return TOO_DEEP
        if isinstance(value, dict):
            pairs = cast("dict[Any, Any]", value)
            return _same_or(
                pairs,
                {
                    self._name(tenant, key, counts): self._field(tenant, key, each, counts, level + 1)
                    for key, each in pairs.items()
                },
            )
        if isinstance(value, list | tuple):
            items = cast("list[Any]", value)
            made = [self.cover_all(tenant, each, counts, level + 1) for each in items]
            return items if all(new is old for new, old in zip(made, items, strict=True)) else made
        return self._field(tenant, "", value, counts, level)

    def cover_json(self, tenant: str, text: str, counts: Counts) -> str:
        """As `cover`; where the text is JSON it is read as such, and stays JSON."""
        if text[:1] not in ("{", "["):
            return self.cover(tenant, text, counts)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.cover(tenant, text, counts)
        covered = self.cover_all(tenant, value, counts)
        return text if covered is value else json.dumps(covered, ensure_ascii=False)

    def _name(self, tenant: str, key: Any, counts: Counts) -> Any:
        return self.cover(tenant, key, counts) if isinstance(key, str) else key

    def _field(self, tenant: str, name: Any, value: Any, counts: Counts, level: int) -> Any:
        if isinstance(value, dict | list | tuple):
            return self.cover_all(tenant, value, counts, level)
        number = isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _LONG
        if not number and not isinstance(value, str):
            return value
        text = str(value)
        lead = f"{_apart(name)}: " if isinstance(name, str) and name else ""
        found = [each for each in self._scanner.find(lead + text) if each.start >= len(lead)]
        if not found:
            return value
        return self._replaced(tenant, lead + text, found, counts)[len(lead) :]

    def redact(self, text: str, counts: Counts) -> str:
        """The text with its finds redacted, but for those that are to be left, and for stand-ins."""
        found = self._scanner.find(text)
        by = [self._redacted(each.kind, text[each.start : each.end]) for each in found]
        for each, other in zip(found, by, strict=True):
            if other != text[each.start : each.end]:
                counts[each.kind] = counts.get(each.kind, 0) + 1
        return replaced(text, found, by) if found else text

    def covering(self) -> Covering:
        """One text that comes in pieces, its finds redacted on their way; what is to be left is left."""
        return Covering(self._scanner, self._redacted)

    def covering_for(self, tenant: str) -> Covering:
        """One text that comes in pieces, with what `cover` would put in the place of its finds; what is refused is redacted."""
        key = self._key(tenant)

        def instead(kind: str, value: str) -> str:
            return value if standins.ANY.fullmatch(value) else self._made(key, kind, value)

        return Covering(self._scanner, instead)

    def _redacted(self, kind: str, value: str) -> str:
        return value if self._terms.of(kind) == "leave" or standins.ANY.fullmatch(value) else f"[{kind}]"

    def uncover(self, tenant: str, text: str, kinds: Collection[str] = ALL, *, inside_json: bool = False) -> str:
        """The text with the tokens and stand-ins of these kinds turned back; `inside_json`: what comes back is escaped for a JSON string."""
        if "[" in text:
            text = TOKEN.sub(lambda found: self._back(tenant, found[1], found[0], found[2], kinds, inside_json), text)
        if self.with_stand_ins and standins.SIGN.search(text):
            text = standins.ANY.sub(
                lambda found: self._back(tenant, str(found.lastgroup), found[0], "", kinds, inside_json), text
            )
        return text

    def uncover_all(self, tenant: str, value: Any, kinds: Collection[str] = ALL) -> Any:
        """The same for every text inside plain JSON values."""
        return walked(value, lambda text: self.uncover(tenant, text, kinds))

    def _instead(
        self, key: tokens.TenantKey, find: Find, value: str, ours: list[tuple[int, int]], counts: Counts
    ) -> str:
        if self._terms.of(find.kind) == "leave" or any(start < find.end and find.start < end for start, end in ours):
            return value
        counts[find.kind] = counts.get(find.kind, 0) + 1
        return self._made(key, find.kind, value)

    def _made(self, key: tokens.TenantKey, kind: str, value: str) -> str:
        """What stands in the place of a find."""
        action, made = self._terms.of(kind), None
        if action == "leave":
            return value
        if action == "stand_in":
            made = standins.stand_in(key, kind, folded(value)[0])
        if made is None and action not in ("redact", "refuse"):
            made = tokens.token(key, kind, value)
        return f"[{kind}]" if made is None else made

    def _back(self, tenant: str, kind: str, made: str, body: str, kinds: Collection[str], inside_json: bool) -> str:
        if kind not in kinds and "*" not in kinds:
            return made
        key = self._key(tenant)
        value = tokens.value_of(key, kind, body) if body else standins.original(key, kind, made)
        if value is None:
            return made
        return json.dumps(value, ensure_ascii=False)[1:-1] if inside_json else value


def _apart(name: str) -> str:
    """`phoneNumber`, `phone_number` → `phone Number`, `phone number`: words as they would stand in a text."""
    return _HUMPS.sub(r"\1 \2", name).replace("_", " ").replace("-", " ")


def _same_or(old: dict[Any, Any], new: dict[Any, Any]) -> dict[Any, Any]:
    same = old.keys() == new.keys() and all(new[key] is each for key, each in old.items())
    return old if same else new


def walked(value: Any, text: Callable[[str], str]) -> Any:
    """Plain JSON values with `text` applied to every text in them, keys too; the same object where nothing changed."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        made = [walked(each, text) for each in items]
        return items if all(new is old for new, old in zip(made, items, strict=True)) else made
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value)
        new = {text(key) if isinstance(key, str) else key: walked(each, text) for key, each in pairs.items()}
        return _same_or(pairs, new)
    return value
