"""What became of a task according to somebody who knows: at its end by the contract's own rules, later by users, judges and people.

Above: control, service, score. Below: state, the journal. A verdict is a record like any other; who knows better speaks last: a person over a user, a user over a
tool's acknowledgement, and so on in the order of `SOURCES`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal, get_args

from interlock.core.errors import Fenced, InterlockError, InvalidRequest, UnknownTask
from interlock.core.events import Finished, OutcomeSeen, Record, Settled, is_lone
from interlock.core.time import NS_PER_S, Clock

from .contract import Ends
from .journal import Journal
from .state import State

Source = Literal["sla", "schema", "judge", "expected", "tool", "user", "person"]
SOURCES: tuple[Source, ...] = get_args(Source)
LONGEST_NOTE = 2_000
TRIES = 5


def at_end(state: State, ends: Ends, now_ns: int) -> OutcomeSeen | None:
    """What the contract's rules say of a task that has just ended; `None` where they say nothing."""
    if state.finished is None or state.finished.outcome != "resolved":
        return None
    took_s = (now_ns - state.started_ns) / NS_PER_S
    if ends.sla_s and took_s > ends.sla_s:
        return OutcomeSeen(False, "sla", f"it took {took_s:.1f} s, agreed were {ends.sla_s:g} s")
    if ends.tool:
        done = any(a.kind == "tool" and a.name == ends.tool and a.ok and not a.compensates for a in state.actions)
        return OutcomeSeen(done, "tool", f"{ends.tool} {'acknowledged it' if done else 'acknowledged nothing'}")
    return None


class Verdicts:
    """Writes down what came later."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock

    async def seen(self, task: str, *, success: bool, source: Source, who: str, note: str = "") -> OutcomeSeen:
        """Somebody says whether a task, or a lone call, was a success; written once, and counted from then on.

        Raises:
            UnknownTask. InvalidRequest: it is not over, the note is too long, or somebody who knows better has spoken.
        """
        if len(note) > LONGEST_NOTE:
            raise InvalidRequest(f"a note has at most {LONGEST_NOTE} characters", param="note")
        said = OutcomeSeen(success, source, f"{who}: {note}" if who and note else who or note)
        for _ in range(TRIES):
            records = await self._journal.records(task)
            known = _known(records, task)
            if known is not None and known == said:
                return said
            if known is not None and _rank(known.source) > _rank(source):
                raise InvalidRequest(
                    f"{known.source} has spoken of task {task} before",
                    param="source",
                    hint=f"A word of {source} weighs less.",
                )
            place = records[-1].seq + 1
            with suppress(Fenced):  # somebody else spoke at the same moment
                await self._journal.append([Record(task, place, records[0].tenant, self._clock.wall_ns(), said)])
                return said
        raise InterlockError(f"others kept speaking of task {task}", hint="Send it again.")


def _known(records: list[Record], task: str) -> OutcomeSeen | None:
    """What was said so far. Raises UnknownTask, InvalidRequest: it is not over."""
    if not records:
        raise UnknownTask(task)
    if not any(map(_ends, records)):
        raise InvalidRequest(f"task {task} is not over", param="task", hint="Say what became of it once it is.")
    return next((each.event for each in reversed(records) if isinstance(each.event, OutcomeSeen)), None)


def _ends(record: Record) -> bool:
    """A task's end, or the one call that a lone call is."""
    event = record.event
    return isinstance(event, Finished) or (isinstance(event, Settled) and is_lone(record.task, event.call))


def _rank(source: str) -> int:
    return SOURCES.index(source) if source in SOURCES else -1
