"""Values and where they are known from: typed, whole, normalised. Above: flow. Below: flow_terms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, cast

from .flow_terms import Field

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"(?:https?://|www\.)(?:[^\s<>\"')\].]|\.(?!(?-i:[A-Z])))+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|net|org|io|ly|co|info|dev|app)\b(?:/[^\s<>\"')\]]*)?", re.IGNORECASE)
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{8,30}\b")
_NUMBER = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w])|(?<![\w.])\d+(?:\.\d+)?(?![\w])")
_LONG_NUMBER = re.compile(r"\b[A-Z]{0,4}\d[\d -]{4,}\d\b")
"""Numbers of cards, documents and phones."""
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]")
_MONTHS = {m: n for n, m in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}  # noqa: SIM905 - twelve words on a line
_DAY_MONTH = re.compile(r"(?:(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?\s+)?\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?(?:\s+(\d{1,2})(?:st|nd|rd|th)?\b)?", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-(\d{2})-(\d{2})")
_RELATIVE = re.compile(r"\b(?:today|tomorrow|tonight|yesterday|now|next|this|last|soon|monthly|recurring|month|week|year|yearly|weekend|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b", re.IGNORECASE)


_MOST = ("largest", "biggest", "longest", "newest", "latest", "highest")
_LEAST = ("smallest", "shortest", "oldest", "earliest", "lowest")


class Words:
    """A request, by its words."""

    def __init__(self, text: str) -> None:
        self.text = normal(text)
        self._words = re.findall(r"\w+", self.text)
        self.words = frozenset(self._words)
        self._spoken = re.sub(r"[-_]+", " ", self.text)

    def mentions(self, beginnings: Sequence[str]) -> bool:
        """Whether any word begins like one of these."""
        return any(word.startswith(each) for word in self._words for each in beginnings)

    def says(self, value: str) -> bool:
        """Whether the value stands in the text as whole words."""
        wanted = normal(value).strip()
        return bool(wanted) and any(
            re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text) is not None for text in (self.text, self._spoken)
        )


class Known:
    """What is trusted so far, by kind."""

    def __init__(self, prompt: str) -> None:
        self._prompt = Words(prompt)
        self._values: dict[str, set[str]] = {}
        self._objects: dict[str, dict[str, str]] = {}
        self._own: set[tuple[str, str]] = set()
        self._ranks: dict[str, dict[str, float]] = {}
        for kind, value in carried(prompt):
            self._add(kind, value)
        for number in _NUMBER.findall(prompt):
            self._add("amount", number)
        self._dates = set(_dates(prompt))
        self._relative = _RELATIVE.search(prompt) is not None

    def has(self, kind: str, value: Any) -> bool:
        """Whether the value is known as that kind of thing."""
        text = str(value)
        if canonical(kind, text) in self._values.get(kind.partition(":")[0] if kind.startswith("name") else kind, ()):
            return True
        if canonical(kind, text) in self._values.get(kind, ()):
            return True
        if kind == "date":
            found = set(_dates(text))
            return self._relative or (bool(found) and found <= self._dates)
        if kind == "amount":
            return False
        if kind == "said":
            return self._prompt.says(text)
        if kind == "title":
            return self._made_of_known(text)
        if kind in ("email", "url", "account"):
            return kind == "account" and not _ACCOUNT.fullmatch(text.replace(" ", "")) and self._prompt.says(text)
        return self._prompt.says(text)

    def object_is_meant(self, kind: str, value: Any, prompt: Words) -> bool:
        """Whether an id belongs to an object that the user named or singled out (the largest), or that this task made."""
        if (kind, str(value)) in self._own:
            return True
        label = self._objects.get(kind, {}).get(str(value), "")
        return (bool(label) and prompt.says(spoken(label))) or str(value) in self._singled_out(kind, prompt)

    def _singled_out(self, kind: str, prompt: Words) -> set[str]:
        """Ids of the objects of an extreme rank that the user asks for."""
        ranks = self._ranks.get(kind, {})
        if not ranks:
            return set()
        ends = {max(ranks.values()) for word in _MOST if word in prompt.words} | {min(ranks.values()) for word in _LEAST if word in prompt.words}
        return {each for each, rank in ranks.items() if rank in ends}

    def learn(self, fields: Sequence[Field], output: Any, *, own: bool) -> None:
        """Takes in the trusted fields of an output; ids of a write's output are the task's own."""
        for field in fields:
            *path, last = field.path.split(".")
            for holder in _at(output, path):
                for value in each(_one(holder, last)):
                    if value is None:
                        continue
                    if field.kind.startswith("id:"):
                        label = str(_one(holder, field.label) or "") if field.label else ""
                        self._objects.setdefault(field.kind, {})[str(value)] = label
                        rank = _one(holder, field.rank) if field.rank else None
                        if isinstance(rank, (int, float)):
                            self._ranks.setdefault(field.kind, {})[str(value)] = float(rank)
                        if own:
                            self._own.add((field.kind, str(value)))
                    elif field.kind == "date":
                        self._dates.update(_dates(str(value)))
                    else:
                        self._add(field.kind, str(value))

    def learn_unique(self, kind: str, output: Any) -> None:
        """Takes in the one value of a kind that an output holds, where it holds exactly one."""
        found = {canonical(each_kind, value) for each_kind, value in carried(str(output)) if each_kind == kind}
        if len(found) == 1:
            self._values.setdefault(kind, set()).update(found)

    def _made_of_known(self, text: str) -> bool:
        """Whether every word of a title is the user's or part of a trusted name."""
        rest = normal(text)
        for names in (values for kind, values in self._values.items() if kind.startswith("name")):
            for name in sorted(names, key=len, reverse=True):
                rest = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", rest)
        return set(re.findall(r"\w+", rest)) <= self._prompt.words

    def _add(self, kind: str, value: str) -> None:
        self._values.setdefault(kind, set()).add(canonical(kind, value))


def spoken(label: str) -> str:
    """A label as people say it: `grocery-list.docx` is the grocery list."""
    return re.sub(r"[-_]+", " ", re.sub(r"\.\w{1,5}$", "", label))


def normal(text: str) -> str:
    """Lower case, compatibility forms folded, without characters that cannot be seen."""
    return _HIDDEN.sub("", unicodedata.normalize("NFKC", text)).lower()


def visible(text: str) -> str:
    """Without characters that cannot be seen."""
    return _HIDDEN.sub("", text)


def canonical(kind: str, value: str) -> str:
    """The one form of a value of a kind."""
    text = normal(value).strip()
    if kind == "url":
        return re.sub(r"^(?:https?://)?(?:www\.)?", "", text).rstrip("/.,;:!?")
    if kind == "account":
        return text.replace(" ", "")
    if kind == "amount":
        try:
            return f"{abs(float(text.replace(',', ''))):g}"
        except ValueError:
            return text
    return text


def links(text: str) -> list[str]:
    """Everything in a text that reads as an address of the web."""
    return [each.rstrip(".,;:!?") for each in _URL.findall(_EMAIL.sub(" ", text))]


def carried(text: str) -> Iterator[tuple[str, str]]:
    """Typed values inside a text: (kind, value)."""
    for address in _EMAIL.findall(text):
        yield "email", address.rstrip(".")
    for link in links(text):
        yield "url", link
    for account in _ACCOUNT.findall(text):
        yield "account", account
    for number in _LONG_NUMBER.findall(_ISO.sub(" ", _ACCOUNT.sub(" ", text))):
        if sum(ch.isdigit() for ch in number) >= 6:
            yield "number", number


def each(value: Any) -> list[Any]:
    """A value's own leaves: of lists and objects every one."""
    if isinstance(value, (list, tuple)):
        return [leaf for item in cast("Sequence[Any]", value) for leaf in each(item)]
    if isinstance(value, dict):
        return [leaf for key, item in cast("dict[str, Any]", value).items() if key != "type" for leaf in each(item)]
    return [value]


def _at(output: Any, path: Sequence[str]) -> list[Any]:
    holders = [output]
    for key in path:
        holders = [found for holder in holders for found in (_all(holder) if key == "*" else each_of(_one(holder, key)))]
    return holders


def each_of(value: Any) -> list[Any]:
    return [] if value is None else [value]


def _all(holder: Any) -> list[Any]:
    if isinstance(holder, dict):
        return list(cast("dict[str, Any]", holder).values())
    return list(cast("list[Any]", holder)) if isinstance(holder, list) else []


def _one(holder: Any, key: str) -> Any:
    if key == "*":
        return list(cast("dict[str, Any]", holder)) if isinstance(holder, dict) else holder
    return cast("dict[str, Any]", holder).get(key) if isinstance(holder, dict) else None


def _dates(text: str) -> Iterator[tuple[int, int]]:
    """(month, day) of every date in a text, ranges such as `from the 13th to the 17th of May` included."""
    for month, day in _ISO.findall(text):
        yield int(month), int(day)
    for before, month, after in _DAY_MONTH.findall(text):
        for day in (before, after):
            if day:
                yield _MONTHS[month.lower()[:3]], int(day)
