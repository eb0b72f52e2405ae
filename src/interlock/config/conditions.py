"""Conditions in the files: `confidence < 0.72 and account_tier in ['gold', 'enterprise']`, parsed once into closures.

No Python is evaluated. A name that is not known when a condition is asked makes the answer unknown (`None`) unless the rest decides
it: `False and x` is false whatever `x` is. Above: schema, flow, gateway, agents. Below: the standard library.

    either     := both ("or" both)*                 both   := negated ("and" negated)*
    negated    := "not" negated | comparison        comparison := sum [("==" | "!=" | "<" | "<=" | ">" | ">=" | ["not"] "in") sum]
    sum        := product (("+" | "-") product)*    product := signed (("*" | "/") signed)*
    signed     := "-" signed | value                value  := "text" | number | true | false | null | name.part | (either) | [values]
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, NoReturn

from .names import nearest
from .terms import (
    COMPARISONS,
    UNKNOWN,
    Facts,
    Term,
    calculated,
    compared,
    kleene,
    look_up,
    named,
    negated,
    shown,
    truth,
)

MAX_CHARS = 1000
"""Longest condition."""
MAX_TOKENS = 200
MAX_DEPTH = 24
"""Deepest nesting of brackets and negations."""


class ConditionError(ValueError):
    """The text is no condition, or uses an unknown name. `column` counts from one within the text."""

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.column, self.hint = message, column, hint


class Condition:
    """A parsed condition. Equal texts are equal conditions."""

    __slots__ = ("_paths", "_root", "text")

    def __init__(self, text: str, root: Term, paths: Mapping[str, int]) -> None:
        self.text = text
        self._root = root
        self._paths = dict(paths)

    def evaluate(self, facts: Facts) -> bool | None:
        """Whether it holds; `None` when a name that decides it is not known or the values cannot be compared."""
        held = truth(self._root(facts))
        return None if held is UNKNOWN else bool(held)

    def explain(self, facts: Facts) -> str:
        """The text with the values it saw: `confidence < 0.72 (confidence=0.41)`."""
        seen = ", ".join(f"{path}={shown(look_up(path.split('.'), facts, UNKNOWN))}" for path in self._paths)
        return f"{self.text} ({seen})" if seen else self.text

    def unknown_names(self, known: Collection[str]) -> list[ConditionError]:
        """One error for each name that is not among `known` (of `order.status` it is `order`), with its column and the nearest."""
        return [
            ConditionError(f"unknown name {path.split('.')[0]!r}", column, nearest(path.split(".")[0], known))
            for path, column in self._paths.items()
            if path.split(".")[0] not in known
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and other.text == self.text

    def __hash__(self) -> int:
        return hash(("Condition", self.text))

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"


def parse_condition(text: str) -> Condition:
    """The condition that `text` says, whatever names it uses.

    Raises:
        ConditionError: it cannot be read; says where and what was expected.
    """
    if len(text) > MAX_CHARS:
        raise ConditionError(f"a condition has at most {MAX_CHARS} characters, this one has {len(text)}", 1)
    return _Parser(text).whole()


# --- Reading --------------------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})?(?![A-Za-z_]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<op>==|!=|<=|>=|<|>|\+|-|\*|/|\(|\)|\[|\]|,))""",
    re.VERBOSE,
)
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_KEYWORDS = {"and", "or", "not", "in"}
_MISTAKES = {
    "=": "Equality is written ==.",
    "&": "Write `and`.",
    "|": "Write `or`.",
    "!": "Write `not`.",
    "'": "The text has no closing quote.",
    '"': "The text has no closing quote.",
}


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise ConditionError(f"cannot read {text[at]!r} here", at + 1, _MISTAKES.get(text[at], ""))
        group = match.lastgroup or ""
        word = match[group]
        kind = "op" if group == "name" and word in _KEYWORDS else group
        found.append(_Token(kind, word, match.start(group) + 1))
        if len(found) > MAX_TOKENS:
            raise ConditionError(f"a condition has at most {MAX_TOKENS} words and signs", found[-1].column)
        at = match.end()
    return [*found, _Token("end", "", end + 1)]


class _Parser:
    """Recursive descent over the tokens; one per condition."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self._paths: dict[str, int] = {}

    def whole(self) -> Condition:
        root = self._either()
        if self._next.kind != "end":
            self._refuse("expected the end, `and` or `or`")
        return Condition(self._text, root, self._paths)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _refuse(self, expected: str) -> NoReturn:
        token = self._next
        found = f"found {token.text!r}" if token.text else "found the end"
        raise ConditionError(f"{expected}, {found}", token.column)

    def _take(self, *ops: str) -> str:
        """The operator that comes next, if it is one of `ops`; else nothing is taken."""
        token = self._next
        if token.kind != "op" or token.text not in ops:
            return ""
        self._at += 1
        return token.text

    def _expect(self, op: str) -> None:
        if not self._take(op):
            self._refuse(f"expected {op!r}")

    def _either(self) -> Term:
        terms = [self._both()]
        while self._take("or"):
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else kleene(terms, decided_by=True)

    def _both(self) -> Term:
        terms = [self._negated()]
        while self._take("and"):
            terms.append(self._negated())
        return terms[0] if len(terms) == 1 else kleene(terms, decided_by=False)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConditionError(f"nested deeper than {MAX_DEPTH} levels", self._next.column)

    def _negated(self) -> Term:
        if not self._take("not"):
            return self._comparison()
        self._deeper()
        term = self._negated()
        self._depth -= 1
        return negated(term)

    def _comparison(self) -> Term:
        left = self._sum()
        negate = bool(self._next.text == "not" and self._take("not"))
        op = self._take("in") if negate else self._take("==", "!=", "<", "<=", ">", ">=", "in")
        if negate and not op:
            self._refuse("expected `in` after `not`")
        if not op:
            return left
        term = compared(op, left, self._sum())
        if self._next.kind == "op" and self._next.text in COMPARISONS:
            self._refuse("comparisons cannot be chained; expected `and` or `or`")
        return negated(term) if negate else term

    def _sum(self) -> Term:
        term = self._product()
        while op := self._take("+", "-"):
            term = calculated(op, term, self._product())
        return term

    def _product(self) -> Term:
        term = self._signed()
        while op := self._take("*", "/"):
            term = calculated(op, term, self._signed())
        return term

    def _signed(self) -> Term:
        if not self._take("-"):
            return self._value()
        self._deeper()
        term = self._signed()
        self._depth -= 1
        return calculated("-", lambda _: 0, term)

    def _value(self) -> Term:
        token = self._next
        if self._take("("):
            self._deeper()
            term = self._either()
            self._expect(")")
            self._depth -= 1
            return term
        if self._take("["):
            return self._list()
        if token.kind not in ("name", "number", "text"):
            self._refuse("expected a name, a number or a quoted text")
        self._at += 1
        if token.kind == "name" and token.text not in _CONSTANTS:
            self._paths.setdefault(token.text, token.column)
            return named(token.text)
        constant = _constant(token)
        return lambda _: constant

    def _list(self) -> Term:
        items: list[Term] = []
        self._deeper()
        while not self._take("]"):
            if items:
                self._expect(",")
            items.append(self._signed())
        self._depth -= 1
        return lambda facts: [item(facts) for item in items]


def _constant(token: _Token) -> Any:
    if token.kind == "name":
        return _CONSTANTS[token.text]
    if token.kind == "text":
        return re.sub(r"\\(.)", r"\1", token.text[1:-1])
    return int(token.text) if token.text.isdigit() else float(token.text)
