"""Repairs answers whose JSON is right but badly wrapped (code fences, surrounding prose, trailing commas), which saves a second call.

Above: climb. Below: msgspec. Only what cannot change the meaning: Markdown fences, words around one document, commas before a closing bracket. What was cut
off is not made up.
"""

from __future__ import annotations

import re

import msgspec

from interlock.core.unreadable import UNREADABLE

_CLOSES = re.compile(r"\s*[}\]]")
_FENCED = re.compile(r"```[A-Za-z]*\s*\n(.*?)\n?\s*```", re.DOTALL)
LONGEST = 1_000_000
"""Characters; longer answers are not looked into."""


def mended(text: str) -> str | None:
    """`text` as a JSON document where it holds exactly one; `None` where it cannot be mended."""
    if len(text) > LONGEST:
        return None
    candidates = _FENCED.findall(text) or [text]
    if len(candidates) != 1:
        return None
    body = candidates[0].strip().removeprefix("\ufeff").strip()
    for tried in (body, _document(body)):
        for final in (tried, _without_trailing_commas(tried)):
            if final and _valid(final):
                return final
    return None


def _document(text: str) -> str:
    """From the first opening bracket to its partner; empty where there is none, or where another document follows."""
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    if not starts:
        return ""
    start, depth, inside, escaped = min(starts), 0, False, False
    for at in range(start, len(text)):
        mark = text[at]
        if inside:
            inside, escaped = (escaped or mark != '"'), (mark == "\\" and not escaped)
        elif mark == '"':
            inside = True
        elif mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
            if depth == 0:
                return "" if re.search(r"[{\[]", text[at + 1 :]) else text[start : at + 1]
    return ""


def _without_trailing_commas(text: str) -> str:
    """`text` without commas right before a closing bracket, but for those inside strings."""
    kept: list[str] = []
    inside = escaped = False
    for at, mark in enumerate(text):
        if inside:
            inside, escaped = (escaped or mark != '"'), (mark == "\\" and not escaped)
        elif mark == '"':
            inside = True
        elif mark == "," and _CLOSES.match(text, at + 1):
            continue
        kept.append(mark)
    return "".join(kept)


def _valid(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except UNREADABLE:
        return False
    return True
