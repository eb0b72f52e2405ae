"""Sums as people and models write them: found in running text, worked out again exactly, never with `eval`.

Above: the arithmetic verifier. Below: the standard library. Values are fractions, so that 0.1 + 0.2 is 0.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

MAX_CHARS = 10_000
"""Text beyond this is not looked at, so that the worst of texts takes some 20 ms and the usual answer one or two."""
MAX_TOKENS = 60
"""Longest side of a sum."""
MAX_DIGITS = 18
_UNIT_WORDS = 3  # "3 hours * 60 mph = 180 miles": so many words may follow a number inside a sum

_TOKEN = re.compile(
    r"(?P<number>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)|(?P<op>\*\*|[-+*/×÷−·^])|(?P<by>(?<=[\d)\s$])[xX](?=[\s\d($]))"
    r"|(?P<percent>%)|(?P<left>\()|(?P<right>\))|(?P<equals>≈|=)|(?P<of>\bof\b)|(?P<word>[^\W\d_]+\.?)|(?P<break>[.,;:!?\n])|(?P<other>\S)"
)
_SKIPPED = frozenset("$€£")
_OPS = {"×": "*", "·": "*", "÷": "/", "−": "-"}
_MARKED = re.compile(r"<<([^<>]{1,120})>>")


class Sum(NamedTuple):
    """One stated equality."""

    stated: Fraction
    computed: Fraction
    decimals: int
    """Digits after the point of the stated side; -1 where it is an expression itself."""
    about: bool
    """Stated as approximate."""
    percent: bool
    """Stated in per cent; `x * 100 = 10%` is right as well."""
    operands: tuple[Fraction, ...]
    """The numbers that were worked with."""
    signs: str
    """Each of `+-*/` that stands between them."""

    @property
    def right(self) -> bool:
        """The sides are equal to the precision that is shown; a whole number is exact unless it is said to be about right."""
        return self._near(self.stated) or (self.percent and self._near(self.stated * 100))

    def _near(self, stated: Fraction) -> bool:
        gap = abs(stated - self.computed)
        if self.about:
            return gap <= max(Fraction(1), abs(self.computed) / 20)
        if self.decimals <= 0:
            return gap == 0
        return gap <= max(Fraction(1, 10**self.decimals), abs(self.computed) / 10**9)


class _Token(NamedTuple):
    kind: str
    text: str


def sums(text: str) -> list[Sum]:
    """Every equality between two sides of numbers that the text states, in order."""
    found: list[Sum] = []
    for line in text[:MAX_CHARS].replace("\\", "").splitlines():  # Markdown writes 2 \\* 3
        if "=" not in line and "≈" not in line:
            continue
        found += (each for marked in _MARKED.findall(line) for each in _equalities(_tokens(marked)))
        found += (each for run in _runs(_tokens(_MARKED.sub("", line))) for each in _equalities(run))
    return found


def numbers(text: str) -> list[Fraction]:
    """The plain numbers of a text, in order; thousands' commas are read."""
    plain = re.finditer(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", text[:MAX_CHARS])
    return [Fraction(each.group().replace(",", "")) for each in plain if len(each.group()) <= MAX_DIGITS]


def _tokens(text: str) -> list[_Token]:
    return [
        _Token(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(text) if match.group() not in _SKIPPED
    ]


def _runs(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Stretches of numbers and signs; a few unit words after a number belong to it."""
    run: list[_Token] = []
    words = 0
    for token in tokens:
        if (
            token.kind in ("word", "of")
            and run
            and run[-1].kind in ("number", "right", "percent")
            and words < _UNIT_WORDS
        ):
            if token.kind == "of" and run[-1].kind == "percent":
                run.append(_Token("op", "*"))
            else:
                words += 1
            continue
        part = token.kind not in ("word", "of", "break", "other")
        if run and (not part or (words and token.kind in ("number", "left"))):  # "80 sheep and 3": two numbers
            yield run
            run = []
        if part:
            run.append(token)
        words = 0
    if run:
        yield run


def _equalities(run: Sequence[_Token]) -> Iterator[Sum]:
    """Neighbouring sides of `a = b = c`; sides that are no expressions are passed over."""
    sides: list[list[_Token]] = [[]]
    signs: list[str] = []
    for token in run:
        if token.kind == "equals":
            sides.append([])
            signs.append(token.text)
        else:
            sides[-1].append(token)
    for place, sign in enumerate(signs):
        left = _longest(sides[place], tail=place == 0)
        right = _longest(sides[place + 1], head=place == len(signs) - 1)
        if left is None or right is None or (left.bare and right.bare):
            continue  # nothing to work out: both are bare numbers
        worked, stated = (right, left) if left.bare else (left, right)
        yield Sum(
            stated.value,
            worked.value,
            stated.decimals,
            sign == "≈",
            stated.tokens[-1].kind == "percent",
            tuple(Fraction(each.text.replace(",", "")) for each in worked.tokens if each.kind == "number"),
            "".join(_sign_of(each) for each in worked.tokens if each.kind in ("op", "by")),
        )


class _Side(NamedTuple):
    value: Fraction
    tokens: Sequence[_Token]

    @property
    def bare(self) -> bool:
        """A plain number, perhaps in per cent."""
        return sum(each.kind != "percent" for each in self.tokens) == 1

    @property
    def decimals(self) -> int:
        return len(self.tokens[0].text.partition(".")[2]) if self.bare else -1


def _longest(side: Sequence[_Token], *, tail: bool = False, head: bool = False) -> _Side | None:
    """The longest end (`tail`) or beginning (`head`) that is an expression, else only the whole."""
    if len(side) > MAX_TOKENS:
        side = side[-MAX_TOKENS:] if tail else side[:MAX_TOKENS]
    for cut in range(len(side) if (tail or head) else min(1, len(side))):
        part = side[cut:] if tail else side[: len(side) - cut]
        value = _Expression(part).whole()
        if value is not None:
            return _Side(value, part)
    return None


def _sign_of(token: _Token) -> str:
    return "*" if token.kind == "by" else _OPS.get(token.text, token.text)


class _Expression:
    """A recursive descent over `+ - * / ( ) %`; anything else has no value."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def whole(self) -> Fraction | None:
        """The value of all the tokens, or `None`."""
        try:
            value = self._sum(0)
        except (ValueError, ZeroDivisionError):
            return None
        return value if self._at == len(self._tokens) else None

    def _sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while (sign := self._sign("+", "-")) is not None:
            right = self._product(depth)
            value = value + right if sign == "+" else value - right
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._signed(depth)
        while True:
            if (sign := self._sign("*", "/")) is not None:
                right = self._signed(depth)
                value = value * right if sign == "*" else value / right
            elif self._at < len(self._tokens) and self._tokens[self._at].kind == "left":
                value *= self._signed(depth)  # 2(3 + 4)
            else:
                return value

    def _signed(self, depth: int) -> Fraction:
        if self._sign("-") is not None:
            return -self._signed(depth + 1)
        if self._at >= len(self._tokens) or depth > 20:
            raise ValueError("no value here")
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "number" and len(token.text) <= MAX_DIGITS:
            value = Fraction(token.text.replace(",", ""))
        elif token.kind == "left":
            value = self._sum(depth + 1)
            if self._at >= len(self._tokens) or self._tokens[self._at].kind != "right":
                raise ValueError("a bracket is not closed")
            self._at += 1
        else:
            raise ValueError("no value here")
        if self._at < len(self._tokens) and self._tokens[self._at].kind == "percent":
            self._at += 1
            value /= 100
        return value

    def _sign(self, *wanted: str) -> str | None:
        if self._at >= len(self._tokens):
            return None
        token = self._tokens[self._at]
        sign = _sign_of(token)
        if token.kind not in ("op", "by") or sign not in wanted:
            return None
        self._at += 1
        return sign
