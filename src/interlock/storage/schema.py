"""How a schema gets from one version to the next while old and new processes work on it: phases, and what follows from them. Values.

Above: migrate, `postgres/migrate.py`. Below: statements. A script's first line says its phase, `-- phase: pre`:

- `pre` only adds (a table, a column with a default, an index). Processes of before go on working; those of now need it.
- `post` takes away or tightens what processes of before still used. Those of now work with and without it.
- `cut` is both at once: nobody may work meanwhile. Only the scripts from before there were phases are.

A schema's *floor* is the number of the last script that shut older versions out; `pre` scripts beyond it stand in a list of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, get_args

from msgspec import Struct

from interlock.core.errors import StoreUnavailable

from .statements import migration_files

Phase = Literal["pre", "post", "cut"]
PHASES: tuple[Phase, ...] = get_args(Phase)
_HEADER = "-- phase: "
BEFORE_SERVING: frozenset[Phase] = frozenset(("pre", "cut"))
"""What has to be done before a process of this version may work."""
EVERYTHING: frozenset[Phase] = frozenset(PHASES)


class Script(Struct, frozen=True):
    """One file of `migrations/`."""

    number: int
    """From 1 on, as its name says."""
    name: str
    phase: Phase
    sql: str


class Level(Struct, frozen=True):
    """How far a schema is."""

    floor: int = 0
    """Versions that know fewer scripts may not work on it; every script up to here is done. Zero: there is nothing yet."""
    ahead: frozenset[int] = frozenset()
    """Scripts beyond it that are done: additions, which versions of before do not mind."""

    def has(self, number: int) -> bool:
        return number <= self.floor or number in self.ahead

    def after(self, script: Script, known: Sequence[Script]) -> Level:
        """With this script done too. The floor rises only as far as nothing is left out below it."""
        ahead = self.ahead | {script.number}
        floor = self.floor
        shutting = max((each.number for each in known if each.number in ahead and each.phase != "pre"), default=floor)
        while floor < shutting and floor + 1 in ahead:
            floor += 1
        return Level(floor, frozenset(number for number in ahead if number > floor))


def scripts(database: str = "") -> tuple[Script, ...]:
    """The scripts in order; `database` as for `statements`. One without a phase counts as `post`, which hurts nobody but waits."""
    return tuple(_script(name, sql) for name, sql in migration_files(database))


def _script(name: str, sql: str) -> Script:
    first, _, _ = sql.partition("\n")
    said = first.removeprefix(_HEADER).strip() if first.startswith(_HEADER) else ""
    return Script(int(name[:4]), name, said if said in PHASES else "post", sql)


def pending(known: Sequence[Script], level: Level, phases: Collection[Phase] = EVERYTHING) -> list[Script]:
    """What this version would still do, in order."""
    return [each for each in known if each.phase in phases and not level.has(each.number)]


def wanted(level: Level) -> frozenset[Phase]:
    """What a process does by itself when it starts: everything where there is nothing yet, else what it cannot work without."""
    return EVERYTHING if not level.floor and not level.ahead else BEFORE_SERVING


def refuse_newer(name: str, level: Level, known: Sequence[Script]) -> None:
    """Raises StoreUnavailable where a newer version has shut this one out of the store `name`."""
    if level.floor > len(known):
        raise StoreUnavailable(
            f"{name} has schema {level.floor}, written by a newer Interlock; this one knows up to {len(known)}.",
            hint="Upgrade Interlock, or point `store:` elsewhere. Nothing was changed.",
        )


def too_old(name: str, level: Level, known: Sequence[Script]) -> StoreUnavailable | None:
    """Why this version cannot work on the store `name` yet; `None` where it can."""
    missing = [each.name for each in pending(known, level, BEFORE_SERVING)]
    if not missing:
        return None
    return StoreUnavailable(
        f"{name} has schema {level.floor}, which lacks what this Interlock needs: {', '.join(missing)}.",
        hint="Run `interlock migrate --pre` with a user who may change tables; the processes of before go on meanwhile.",
    )
