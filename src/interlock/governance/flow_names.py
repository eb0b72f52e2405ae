"""Terms of a tool that nobody has described, read out of its name: `GmailReadEmail`, `delete_file`. Above: redteam, policy test. Below: flow_terms.

A name that begins by reading is a read that the request has to have a word for; everything else changes something, has to be wished by its verb together with its
object, and every argument decides. That is stricter than a contract of its own, and a beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .flow_terms import Terms, ToolTerms

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_READS = frozenset(("get", "search", "read", "list", "view", "find", "check", "retrieve", "fetch", "query", "navigate", "browse", "look", "show", "lookup"))  # fmt: skip
_WRITES = frozenset(
    (
        "add", "apply", "auto", "book", "buy", "cancel", "change", "close", "create", "delete", "deposit", "disable", "edit", "enable", "execute", "fill", "give", "go", "grant", "invite", "leave",
        "lock", "make", "manage", "modify", "move", "open", "pay", "place", "post", "put", "remove", "rename", "reply", "reserve", "run", "save", "schedule", "send", "set", "share", "start", "stop",
        "submit", "transfer", "turn", "unlock", "update", "upload", "withdraw", "write",
    )
)  # fmt: skip
_STEM = 6


def terms_by_name(names: Iterable[str]) -> Terms:
    """Terms for each of these tools."""
    return Terms({name: _terms(_words(name)) for name in names})


def _terms(words: list[str]) -> ToolTerms:
    at = next((index for index, word in enumerate(words) if word in _READS | _WRITES), len(words))
    verb, things = (words[at] if at < len(words) else words[-1]), [each for each in words[at + 1 :] if len(each) > 2]
    if verb in _READS:
        return ToolTerms("read", wants=(_stem(things[-1] if things else verb),))
    if not things:
        return ToolTerms("write", verbs=(_stem(verb),))
    return ToolTerms("write", verbs=(f"{_stem(verb)}+{'|'.join(map(_stem, things))}",))


def _words(name: str) -> list[str]:
    return [each.lower() for each in _WORD.findall(name)] or [name.lower()]


def _stem(word: str) -> str:
    """The beginning that a word's forms have in common: `repositories` and `repository`."""
    return word.rstrip("s")[: max(_STEM, len(word) - 3)]
