"""Looks whether what an answer cites was there to be cited: ids in brackets, addresses, and passages in quotation marks.

Above: found by name. Below: `core`. Sources are everything that came in with the request: system and user messages, answers of tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from interlock.core.verify import Answered, Finding, Needs, Verifier

NEEDS: Needs = "answer"
MAX_CHARS = 200_000
QUOTE_CHARS = 20
"""Shorter quotations are names and terms."""
_BRACKETED = re.compile(r"\[(?!\s)([^\[\]\n]{1,60})\](?!\()")
_LINK = re.compile(r"https?://[^\s)\]>\"']+")
_QUOTED = re.compile(rf'"([^"\n]{{{QUOTE_CHARS},400}})"|“([^”\n]{{{QUOTE_CHARS},400}})”')
_SPACE = re.compile(r"\s+")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.citation`."""

    required: bool = False
    """An answer without any citation scores 0 where the request brought sources (a tool's answer, or more than 1,000 characters)."""


class Citation:
    """The verifier."""

    def __init__(self, settings: Settings) -> None:
        self._required = settings.required

    def check(self, answered: Answered) -> Finding:
        sources = _sources(answered)
        cited = list(dict.fromkeys(_cited(answered)))
        missing = [each for each in cited if not _stands_in(each, sources)]
        signals = {
            "cited": float(min(len(cited), 10)),
            "missing": float(min(len(missing), 10)),
            "none": float(not cited),
        }
        if missing:
            score = 1.0 - len(missing) / len(cited)
            return Finding(
                min(score, 0.49),
                signals,
                f"{len(missing)} of {len(cited)} citations are not in the sources, such as {missing[0][:60]!r}",
            )
        if cited:
            return Finding(1.0, signals)
        if self._required and _has_sources(answered, sources):
            return Finding(0.0, signals, "the answer cites none of its sources")
        return Finding(None, signals)


def build(settings: Settings) -> Verifier:
    """The verifier."""
    return Citation(settings)


def _sources(answered: Answered) -> str:
    text = "\n".join(message.text for message in answered.request.messages)[:MAX_CHARS]
    return _SPACE.sub(" ", text).casefold()


def _has_sources(answered: Answered, sources: str) -> bool:
    return len(sources) > 1_000 or any(message.role == "tool" for message in answered.request.messages)  # as documented


def _cited(answered: Answered) -> Iterable[str]:
    """From the answer's field `citations` where it is JSON and has one, and from its text."""
    value = answered.value
    if isinstance(value, dict) and isinstance(value.get("citations"), list):  # pyright: ignore[reportUnknownMemberType]
        yield from (str(each) for each in value["citations"])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        return
    text = answered.response.text[:MAX_CHARS]
    for match in _BRACKETED.finditer(text):
        yield from (part.strip() for part in match.group(1).split(",") if part.strip())
    yield from (each.rstrip(".,;") for each in _LINK.findall(text))
    yield from (left or right for left, right in _QUOTED.findall(text))


def _stands_in(cited: str, sources: str) -> bool:
    wanted = _SPACE.sub(" ", cited).strip().casefold()
    if wanted.isdigit():  # [1]: a source that is numbered so
        return re.search(rf"(?:\[{wanted}\]|\b{wanted}[.):])", sources) is not None
    return wanted in sources
