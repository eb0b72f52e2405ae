"""Credentials in text, by the shapes of their issuers: our rules (`secrets.toml`), or any gitleaks configuration.

Above: kinds. Below: nothing. The form is gitleaks' (https://github.com/gitleaks/gitleaks, `config/gitleaks.toml`): `id`, `regex`,
`keywords`, `entropy`, `secretGroup`. What a rule finds is its first group, where it has one.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from interlock.core.errors import ConfigError, Fault

SHIPPED = Path(__file__).with_name("secrets.toml")
_FLAGS_INSIDE = re.compile(r"(?<!^)\(\?([imsx]+)\)")
_OPEN_CLASS = re.compile(r"\[\[:(\w+):\]\]")


class Rule:
    """One shape. Its pattern is compiled when a text first shows its sign."""

    def __init__(self, name: str, regex: str, sign: str, entropy: float = 0.0, group: int = 0) -> None:
        self.id = name
        self.regex = regex
        self.sign = sign
        """RE2: without it the pattern cannot match; empty where that is not known."""
        self.entropy = entropy
        """Shannon's, in bits per character, that the find needs at least."""
        self.group = group

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(_as_python(self.regex))

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where credentials stand, without what is around them; those too regular to be one are left out."""
        for found in self.pattern.finditer(text):
            group = self.group or (1 if self.pattern.groups and found[1] else 0)
            if not self.entropy or entropy(found[group]) >= self.entropy:
                yield found.span(group)


def entropy(text: str) -> float:
    """Shannon's entropy in bits per character; zero for the empty text."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())


def rules_of(path: Path = SHIPPED) -> tuple[Rule, ...]:
    """The rules of a file. Those without a pattern of text (by file name alone) are left out.

    Raises:
        ConfigError: it is no TOML, or a rule's pattern cannot be read; names the rule.
    """
    return _shipped() if path == SHIPPED else _read(path)


@cache
def _shipped() -> tuple[Rule, ...]:
    return _read(SHIPPED)


def _read(path: Path) -> tuple[Rule, ...]:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise ConfigError([Fault(str(path), 0, 0, "rules", f"cannot be read: {wrong}")]) from wrong
    given: list[Mapping[str, Any]] = content.get("rules") or []
    return tuple(_rule(path, each) for each in given if each.get("regex"))


def _rule(path: Path, given: Mapping[str, Any]) -> Rule:
    words = "|".join(re.escape(str(word)) for word in given.get("keywords") or ())
    rule = Rule(
        str(given.get("id", "?")),
        str(given["regex"]),
        str(given.get("sign") or (f"(?i)(?:{words})" if words else "")),
        float(given.get("entropy") or 0.0),
        int(given.get("secretGroup") or 0),
    )
    if path != SHIPPED:
        try:
            rule.pattern  # noqa: B018 - somebody else's file is tried before anything relies on it
        except re.error as wrong:
            raise ConfigError([Fault(str(path), 0, 0, f"rules.{rule.id}.regex", f"not a pattern: {wrong}")]) from wrong
    return rule


def _as_python(pattern: str) -> str:
    """Go's dialect as Python's: the end of the text, flags in the middle, classes by name."""
    pattern = pattern.replace(r"\z", r"\Z")
    pattern = _OPEN_CLASS.sub(
        lambda found: {"alnum": "[A-Za-z0-9]", "digit": "[0-9]"}.get(found[1], "[A-Za-z]"), pattern
    )
    inside = {flag for found in _FLAGS_INSIDE.finditer(pattern) for flag in found[1]}
    pattern = _FLAGS_INSIDE.sub("", pattern)
    return f"(?{''.join(sorted(inside))}){pattern}" if inside and not pattern.startswith("(?i)") else pattern
