"""A request by its words, and texts made of them. Above: flow_known, flow. Below: flow_values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .flow_values import is_computed, normal

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_RUN = re.compile(r"\w+")
_QUOTED = re.compile(r"""(?<!\w)['"\u2018\u201c](.+?)['"\u2019\u201d](?!\w)""")
_INNER_NAME = re.compile(r"(?<=[a-z0-9,] )[A-Z][a-z]+")
_NAME = 4
_ITEM = 5
_MARK = re.compile(r"^\s*(?:[-*\u2022]|\d{1,2}[.)])\s*")
_LINK = re.compile(r"(?:https?://|www\.)\S+")
_STATE = re.compile(r", [A-Z]{2} \d{5}")
_FILE = re.compile(r"(?<![\w@.-])[\w-]+\.[a-z]{2,5}\b(?![\w@.])")
_BLANK = re.compile(r"\{[^{}]*\}")
"""A blank that a template leaves to be filled in."""
_KEPT = 1_000
"""Values of which is kept whether the request says them: several rules ask for the same ones."""
_STEM = 5
"""Letters by which forms of one word are the same: summary, summarize."""
_GRAMMAR = frozenset(
    re.findall(
        r"\S+",
        "a about all also am an and are as at be been being but by can do does for from had has have hello here hi how i i'm i've if in is it it's "
        "its me more my no not of on or our out she so than thank thanks that the their them then there these they this those to up us was we were "
        "what when where which who will with would yes you your you've th st nd rd re fw dear regards ",
    )
)
"""Words that say nothing by themselves."""
_ALL = frozenset(("all", "each", "every", "everybody", "everyone", "both"))


class Words:
    """A request, by its words."""

    def __init__(self, text: str) -> None:
        self.raw = text
        self.text = normal(text)
        self._spoken = re.sub(r"[-_]+", " ", self.text)
        self._list = re.findall(r"\w+", self.text)
        self.words = frozenset(self._list) | frozenset(_WORD.findall(self.text))
        self._stems = frozenset(each[:_STEM] for each in self.words if len(each) >= _STEM)
        self._names = frozenset(_INNER_NAME.findall(text))
        self.quoted = frozenset(_QUOTED.findall(text))
        self._told = _telling(_BLANK.sub(" ", text))
        self._said: dict[str, bool] = {}
        self.is_computed = is_computed(text)
        """Its amounts are parts of a sum."""
        self._told_set = frozenset(self._told)
        self._told_stems = f" {' '.join(each[:_STEM] for each in self._told)} "
        self.of_all = not self.words.isdisjoint(_ALL)
        """It speaks of all or each of something."""

    def mentions(self, beginnings: Sequence[str]) -> bool:
        """Whether any word begins like one of these; several words have to stand there as they are."""
        return any(
            each in self.text if " " in each else any(word.startswith(each) for word in self._list)
            for each in beginnings
        )

    def says(self, value: str) -> bool:
        """Whether the value stands in the text as whole words."""
        known = self._said.get(value)
        if known is None:
            wanted = normal(value).strip()
            known = bool(wanted) and (_stands(wanted, self.text) or _stands(wanted, self._spoken))
            if len(self._said) >= _KEPT:
                self._said.clear()
            self._said[value] = known
        return known

    def numbers(self, digits: str) -> bool:
        """Whether a number stands in the text, with no other digit beside it."""
        return re.search(rf"(?<!\d){digits}(?!\d)", self.text) is not None

    def writes(self, value: str) -> bool:
        """Whether a proper name or a number stands in the text just as written."""
        return bool(value) and (value[0].isupper() or value[0].isdigit()) and _stands(value, self.raw)

    def has_whole_name(self, value: str, *, single: bool = False) -> bool:
        """Whether it is quoted in the text, or a proper name there from its first word to its last; `single`: one word may begin a sentence."""
        if _FILE.fullmatch(value):
            return False
        if self.quoted:
            return value in self.quoted
        if not self.writes(value) or not any(each.isalpha() for each in value):
            return False
        start = self.raw.find(value)
        before, after = self.raw[:start].rpartition(" ")[0].split(" ")[-1:], self.raw[start + len(value) :]
        joined = bool(before) and (before[0].isdigit() or (before[0][:1].isupper() and before[0][-1:].isalpha()))
        goes_on = after[:1] == " " and (after[1:2].isupper() or after[1:2].isdigit())
        whole = not joined and not goes_on and _STATE.match(after) is None
        return whole and (" " in value or single or self.is_name(value))

    def bears(self, address: str) -> bool:
        """Whether an address bears a name that the request uses: `dora@…` is Dora's."""
        owner = address.partition("@")[0].lower()
        return any(each.lower() in owner for each in self._names if len(each) >= _NAME)

    def holds(self, value: str) -> bool:
        """Whether it stands in the text just as written."""
        return bool(value) and _stands(value, self.raw)

    def names_file(self, value: str) -> bool:
        """Whether the value is quoted, or has an ending and stands there as written; where the request names no such thing, any word of it."""
        files = _FILE.findall(self.raw)
        return self.holds(value) and (value in self.quoted or value in files or not files)

    def is_name(self, word: str) -> bool:
        """Whether a word is a name that the request uses: with a capital letter, and not only because a sentence begins."""
        return len(word) >= _NAME and word.isalpha() and word in self._names

    def names(self, value: str) -> bool:
        """Whether the value stands in it and says something: no phrase of mere grammar, no lone short word."""
        content = [each for each in _WORD.findall(normal(value)) if each not in _GRAMMAR and len(each) > 2]
        return (
            (len(content) > 1 or value in self.quoted or value.partition(" ")[0] in self._names)
            and bool(content)
            and self.says(value)
        )

    def covers(self, value: str) -> bool:
        """Whether it is several words of the text, in any order."""
        found = _WORD.findall(normal(value))
        return len(found) > 1 and self.words.issuperset(found)

    def strange(self, text: str, also: Iterable[str] = ()) -> list[str]:
        """The words of a text that are neither the request's, nor grammar, nor of `also`."""
        more = also if isinstance(also, (set, frozenset)) else frozenset(also)
        return [word for word in _WORD.findall(normal(text)) if not (self._knows(word) or word in more)]

    def is_passage(self, text: str, also: Iterable[str] = ()) -> bool:
        """Whether a text says, but for grammar, names of `also` and numbers of one digit, what stands in the request in the same order without a gap."""
        more = also if isinstance(also, (set, frozenset)) else frozenset(also)
        wanted = [each[:_STEM] for each in _telling(text) if each not in more]
        if not wanted:
            return True
        mine = self._told_stems
        if not self._told_set.isdisjoint(more):
            mine = f" {' '.join(each[:_STEM] for each in self._told if each not in more)} "
        return f" {' '.join(wanted)} " in mine

    def count(self, text: str) -> int:
        """How many words of a text are no mere grammar."""
        return sum(each not in _GRAMMAR for each in _WORD.findall(normal(text)))

    def shared(self, text: str) -> set[str]:
        """The words, other than grammar, that a text and the request both hold."""
        return {each for each in _WORD.findall(normal(text)) if len(each) > 3 and each not in _GRAMMAR} & self.words

    def share(self, text: str) -> float:
        """Which part of a text's words, links and grammar apart, the request holds."""
        own = {each for each in _WORD.findall(normal(_LINK.sub(" ", text))) if len(each) > 3 and each not in _GRAMMAR}
        return len(own & self.words) / len(own) if own else 0.0

    def describes(self, text: str) -> bool:
        """Whether a short description says at least two words that stand together in the request, and at most one besides."""
        found = [each for each in _WORD.findall(normal(text)) if each not in _GRAMMAR]
        return 1 < len(found) <= _ITEM and any(
            self.says(phrase)
            for phrase in (" ".join(found), " ".join(found[1:]), " ".join(found[:-1]))
            if " " in phrase
        )

    def _knows(self, word: str) -> bool:
        if word in self.words or word in _GRAMMAR:
            return True
        if word.isdigit():
            return len(word) == 1
        return len(word) >= _STEM and word.isalpha() and word[:_STEM] in self._stems and len(word) <= 12


def items_of(text: str) -> list[str]:
    """The lines of a text, folded and without the marks of a list's items."""
    return [_MARK.sub("", line).strip() for line in normal(text).splitlines()]


def lists_of(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """(heading, items) of the lists in a text: at least two lines with marks in a row, each of a few words, under a line that ends in a colon."""
    found: list[tuple[str, list[str]]] = []
    heading = ""
    for line in normal(text).splitlines():
        marked = _MARK.match(line)
        if marked is None:
            heading = line.strip().rstrip(":") if line.rstrip().endswith(":") else ""
        elif found and found[-1][0] == heading and heading:
            found[-1][1].append(line[marked.end() :].strip())
        elif heading:
            found.append((heading, [line[marked.end() :].strip()]))
    return [
        (told, tuple(items))
        for told, items in found
        if len(items) > 1 and all(0 < len(_WORD.findall(each)) <= _ITEM for each in items)
    ]


def beginning(name: str) -> str:
    """The first run of letters, digits and underscores in a name; empty where it has none."""
    found = _RUN.search(name)
    return found[0] if found else ""


def beginnings(text: str) -> list[str]:
    """All such runs in a text, each once."""
    return list(dict.fromkeys(_RUN.findall(text)))


def is_part(text: str, item: str) -> bool:
    """Whether a text stands in an item as whole words."""
    return _stands(text, item)


def _telling(text: str) -> list[str]:
    """Its words, without grammar and single characters."""
    return [each for each in _WORD.findall(normal(text)) if len(each) > 1 and each not in _GRAMMAR]


def words_of(text: str) -> list[str]:
    """The words of a text, folded."""
    return _WORD.findall(normal(text))


def spoken(label: str) -> str:
    """A label as people say it: `grocery-list.docx` is the grocery list."""
    return re.sub(r"[-_]+", " ", re.sub(r"\.\w{1,5}$", "", label))


def spoken_as(text: str) -> str:
    """A text in small letters, with blanks for hyphens and underscores."""
    return text.lower().replace("-", " ").replace("_", " ")


def _stands(wanted: str, text: str) -> bool:
    """Whether it stands there between ends of words."""
    start = text.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        before, after = text[start - 1] if start else " ", text[end] if end < len(text) else " "
        if not (_joins(before) and _joins(wanted[0])) and not (_joins(after) and _joins(wanted[-1])):
            return True
        start = text.find(wanted, start + 1)
    return False


def _joins(character: str) -> bool:
    return character.isalnum() or character == "_"
