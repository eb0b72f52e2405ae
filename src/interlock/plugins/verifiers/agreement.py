"""Asks the same model again and looks how many samples agree with the answer (self-consistency, Wang et al. 2022, arXiv:2203.11171).

Above: found by name. Below: `core`. Each sample is a further call, priced on its own line; answers agree when their result does: the JSON
value or one field of it, else the last number, else the words.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import structs

from interlock.core.unreadable import UNREADABLE
from interlock.core.verify import Answered, Ask, AskingVerifier, Finding, Needs

NEEDS: Needs = "calls"
MOST = 9
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_WORDS = re.compile(r"[^\W_]+")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.agreement`."""

    samples: int = 2
    """Further answers, 1 to 9. Asking stops early once the rest cannot change on which side of one half the share lies."""
    model: str = ""
    """Who is asked; empty for the model that answered."""
    temperature: float = 0.7
    field: str = ""
    """Of a JSON answer: the one field that has to agree."""


class Agreement:
    """The verifier."""

    def __init__(self, settings: Settings) -> None:
        if not 1 <= settings.samples <= MOST:
            raise ValueError(f"samples: expected 1 to {MOST}")
        self._settings = settings

    async def check(self, answered: Answered, ask: Ask) -> Finding:
        own = self._result(answered.response.text)
        again = answered.request.but(temperature=self._settings.temperature, seed=None, stream=False)
        number, same, asked = self._settings.samples, 0, 0
        while asked < number and not _settled(same, asked, number):
            response = await ask(self._settings.model, structs.replace(again))
            asked += 1
            same += self._result(response.text) == own
        share = same / asked
        return Finding(
            share,
            {"share": share, "asked": float(asked)},
            f"{same} of {asked} further samples agree" if share < 1 else "",
        )

    def _result(self, text: str) -> object:
        try:
            value: object = msgspec.json.decode(text)
        except UNREADABLE:
            numbers = _NUMBER.findall(text)
            if numbers:
                return float(numbers[-1].replace(",", ""))
            return " ".join(_WORDS.findall(text.casefold()))
        field = self._settings.field
        if field and isinstance(value, dict):
            value = value.get(field)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return msgspec.json.encode(value, order="deterministic")


def build(settings: Settings) -> AskingVerifier:
    """The verifier. Raises ValueError for settings out of range."""
    return Agreement(settings)


def _settled(same: int, asked: int, number: int) -> bool:
    """The samples that are left can no longer move the share across one half."""
    left = number - asked
    return asked > 0 and ((same + left) * 2 < number or same * 2 > number)
