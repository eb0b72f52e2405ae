"""Followers of half of the tasks that are killed: what their models write is told while it is written, and what was begun to be told is noted outside."""

import zlib
from typing import Any

from msgspec import Struct, field

from interlock.agents.live import Followers
from interlock.core.live import Live, Said, Writing
from tests.crash.shop import Shop, read

PIECES = 3
"""Of a streamed answer."""


def heard(task: str) -> bool:
    """Half of the tasks, the same ones in each life."""
    return zlib.crc32(task.encode()) % 2 == 0


class Told(Struct):
    """One try as a follower has it."""

    text: str = ""


class Following(Followers):
    """Hears what it hands on, and stops the process where that is not what is being written."""

    def __init__(self, aloud: Any, clock: Any, shop: Shop) -> None:
        super().__init__(aloud, clock)
        self._shop = shop
        self.told: dict[tuple[str, int], Told] = {}

    def followed(self, task: str) -> bool:
        return heard(task)

    def tell(self, task: str, piece: Live, *, from_afar: bool = False) -> None:
        super().tell(task, piece, from_afar=from_afar)
        if isinstance(piece, Writing):
            self._shop.note("told", f"{task} {piece.step} {piece.attempt}")
            self.told[task, piece.step] = Told()
        elif isinstance(piece, Said):
            known = self.told[task, piece.step]
            if piece.start != len(known.text):
                raise SystemExit(f"{task} {piece.step}: a piece at {piece.start}, after {len(known.text)} characters")
            known.text += piece.text

    def whole(self, task: str, step: int, text: str) -> None:
        """The call is over: its text has been told, to the letter."""
        if self.told.pop((task, step)).text != text:
            raise SystemExit(f"{task} {step}: told otherwise than it was written")


class Begun(Struct, frozen=True):
    """What was noted outside before the first piece of a call's text."""

    task: str
    step: int
    attempt: int = field(name="try")


def begun(folder: Any) -> list[Begun]:
    lines = [line.split() for line in read(folder, "told")]
    return [Begun(task, int(step), int(attempt)) for task, step, attempt in lines]


def pieces(text: str) -> list[str]:
    """A text in so many pieces as a vendor may send it in."""
    size = max(1, -(-len(text) // PIECES))
    return [text[at : at + size] for at in range(0, len(text), size)]
