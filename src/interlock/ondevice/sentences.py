"""Cut an article into blocks of whole sentences, with offsets into its text.

Below: nothing. Above: `passages`. Understands plain text and Markdown: headings, lists, tables and blank lines separate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ABBREVIATIONS = """
    e.g. i.e. etc. mr. mrs. ms. dr. prof. vs. no. nr. p. pp. st. approx. incl. excl. max. min. tel. fig. a.m. p.m. inc. ltd.
    co. u.s.
"""
ABBREVIATIONS = frozenset(_ABBREVIATIONS.split())
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*\s*$")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,2}[.)])\s+")
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]")


@dataclass(frozen=True, slots=True)
class Sentence:
    """Characters start..end of the article's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """Sentences that stand together (a paragraph, a list) under a heading; `heading` is empty above the first."""

    heading: str
    sentences: tuple[Sentence, ...]


def blocks(text: str) -> list[Block]:
    """The blocks of an article in order. Every sentence is a verbatim, trimmed part of `text`."""
    found: list[Block] = []
    heading = ""
    lines: list[tuple[int, int]] = []
    for start, end in [*_lines(text), (len(text), len(text))]:
        line = text[start:end]
        title = _HEADING.match(line)
        if lines and (title or not line.strip()):
            found.append(Block(heading, tuple(_sentences(text, lines))))
            lines = []
        if title:
            heading = title.group(1)
        elif line.strip():
            lines.append((start, end))
    return [block for block in found if block.sentences]


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for line in text.splitlines(keepends=True):
        yield start, start + len(line.rstrip("\r\n"))
        start += len(line)


def _sentences(text: str, lines: list[tuple[int, int]]) -> Iterator[Sentence]:
    """Sentences of one block; a list item begins a new one even where no full stop ends the item before."""
    begins = [start for place, (start, end) in enumerate(lines) if not place or _LIST_ITEM.match(text[start:end])]
    for start, end in zip(begins, [*begins[1:], lines[-1][1]], strict=True):
        yield from _split(text, start, end)


def _split(text: str, start: int, end: int) -> Iterator[Sentence]:
    begin = start
    for match in _END.finditer(text, start, end):
        words = text[begin : match.end()].split()
        follows = text[match.end() : end].lstrip()[:1]
        if words and (words[-1].lower().lstrip("(\"'") in ABBREVIATIONS or follows.islower() or _is_marker(words)):
            continue
        yield from _trimmed(text, begin, match.end())
        begin = match.end()
    yield from _trimmed(text, begin, end)


def _is_marker(words: list[str]) -> bool:
    """Whether the text so far is only the number of a list item, such as `2.`"""
    return len(words) == 1 and words[0].rstrip(".").isdigit()


def _trimmed(text: str, start: int, end: int) -> Iterator[Sentence]:
    part = text[start:end]
    begin = start + len(part) - len(part.lstrip())
    if part.strip():
        yield Sentence(begin, begin + len(part.strip()))
