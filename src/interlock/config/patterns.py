"""Regular expressions out of a file, accepted only when no text can make them slow. Above: flow. Below: the standard library.

Python's engine backtracks: it may try every way in which repeats and alternatives can share out a text. The number of ways is estimated
from the parsed expression and bounded, an open-ended repeat counted as `OPEN_REPEAT` ways.
"""

from __future__ import annotations

import re
import re._parser as _sre  # pyright: ignore[reportMissingImports]
from typing import Any

MAX_CHARS = 300
MAX_WAYS = 20_000
"""Most ways in which an expression may match at one place."""
OPEN_REPEAT = 4000
"""Ways that `*`, `+` and `{n,}` count for: the longest text that a pattern is matched against."""
_HINT = "Use bounded repeats such as \\d{1,12}, and no repeat inside another."


def checked_pattern(text: str) -> re.Pattern[str]:
    """`text` compiled, ignoring case.

    Raises:
        ValueError: it is no regular expression, or a text could make it slow.
    """
    if len(text) > MAX_CHARS:
        raise ValueError(f"a pattern has at most {MAX_CHARS} characters")
    try:
        pattern = re.compile(text.removeprefix("(?i)"), re.IGNORECASE)
        ways = _ways(_sre.parse(pattern.pattern))  # pyright: ignore[reportUnknownMemberType]
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if pattern.groups > 1:
        raise ValueError("expected at most one group; write (?:…) for the others")
    if pattern.match(""):
        raise ValueError("the pattern matches the empty text")
    if ways > MAX_WAYS:
        raise ValueError(f"the pattern could take very long on some texts. {_HINT}")
    return pattern


def _ways(parsed: Any) -> int:
    """Upper estimate of the ways to match, capped just above `MAX_WAYS`."""
    total = 1
    for op, argument in parsed:
        total = min(total * _ways_of(str(op), argument), MAX_WAYS + 1)
    return total


def _ways_of(op: str, argument: Any) -> int:
    match op:
        case "MAX_REPEAT" | "MIN_REPEAT":
            low, high, body = argument
            return _repeated(low, min(high, low + OPEN_REPEAT), _ways(body))
        case "BRANCH":
            return sum(_ways(branch) for branch in argument[1])
        case "SUBPATTERN":
            return _ways(argument[-1])
        case "ASSERT" | "ASSERT_NOT":
            return _ways(argument[1])
        case "GROUPREF" | "GROUPREF_EXISTS":
            return MAX_WAYS + 1
        case "ATOMIC_GROUP":
            return _ways(argument)
        case "POSSESSIVE_REPEAT":
            return _ways(argument[2]) ** min(argument[1], 10)
        case _:
            return 1


def _repeated(low: int, high: int, inside: int) -> int:
    if inside == 1:
        return high - low + 1
    return sum(inside ** min(count, 11) for count in range(low, high + 1))
