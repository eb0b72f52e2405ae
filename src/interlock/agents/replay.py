"""A finished or waiting task decided once more, from its log alone: nothing is called, nothing is written.

Above: `app`. Below: `decide`, `intend`, `state`. What came from outside (results of calls, people's answers) is taken from the log; every record that the loop
itself decided on is decided again and compared, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from interlock.core.events import (
    ApprovalAsked,
    ApprovalDecided,
    Arrived,
    DoubtSettled,
    Event,
    Finished,
    Intended,
    Noted,
    OutcomeSeen,
    Record,
    Settled,
    Started,
)
from interlock.core.time import NS_PER_S

from . import waits
from .contract import TIER0_MODEL, Contract
from .decide import CANCEL_NOTE, CHANGED_NOTE, decide
from .intend import intend
from .repeat import ANSWER_DIFFERS
from .state import CALL_FAILED, CALLED, PAUSED, RESUMED, UNPAUSED, State, apply, fold

_FROM_OUTSIDE = frozenset(
    {
        CALL_FAILED,
        RESUMED,
        CANCEL_NOTE,
        CHANGED_NOTE,
        PAUSED,
        UNPAUSED,
        CALLED,
        ANSWER_DIFFERS,
        "signal_ignored",
        "forked",
    }
)
CLOCK = "clock"


class Divergence(Struct, frozen=True):
    """A record that would not be written again as it stands."""

    step: int
    recorded: dict[str, Any] | None
    """`None` where the log ends and the task would go on."""
    decided: dict[str, Any] | None
    """`None` where the loop would wait here."""


class Replay(Struct, frozen=True):
    """What came of deciding again."""

    task: str
    decisions: int
    """Records that were decided again."""
    outside: int
    """Records that came from outside and were taken from the log."""
    divergences: tuple[Divergence, ...]
    contract_changed: bool
    """The contract is another one than the task began with, so divergences are to be expected."""
    content_missing: bool
    """Texts were removed or redacted when the task ended, so decisions that looked at them cannot be repeated; of redacted ones it is said where one came out otherwise."""
    prompts: int = 0
    """Of the decisions, requests to models; each is the same to the last word."""
    prompts_unread: int = 0
    """Further ones whose words cannot be compared: texts were redacted when the task ended, or the log is older than the hashes."""

    @property
    def identical(self) -> bool:
        return not self.divergences


def replay(records: Sequence[Record], contract: Contract) -> Replay:
    """Decides every step of a task again. `records` is its whole log, in order; stops at the first divergence."""
    state = State()
    contract = waits.within(_as_asked(records, contract), fold(records[:1]))
    decided = outside = at = prompts = unread = 0
    kept = contract.store_prompts == "full" or fold(records).finished is None
    divergences: list[Divergence] = []
    while at < len(records) and not divergences:
        record = records[at]
        if from_outside(record.event):
            state, at, outside = apply(state, record), at + 1, outside + 1
            continue
        made = _decided(state, contract, record)
        fault, words = _compare(made, records[at:], kept=kept)
        prompts, unread = prompts + words.count(True), unread + words.count(False)
        if fault is not None:
            divergences.append(fault)
            break
        for each in records[at : at + len(made)]:
            state = apply(state, each)
        at, decided = at + len(made), decided + len(made)
    started = fold(records[:1]).started
    changed = started is not None and started.versions.contract != contract.versions.contract
    task, lost = (records[0].task, _scrubbed(records)) if records else ("", False)
    lost = lost or (bool(divergences) and not kept)
    return Replay(task, decided, outside, tuple(divergences), changed, lost, prompts, unread)


def _as_asked(records: Sequence[Record], contract: Contract) -> Contract:
    """The contract with the model that stood in for its own when the task ran (`-m`): of that, the log alone knows."""
    started = fold(records[:1]).started
    if started is None or started.versions.contract != contract.versions.contract:
        return contract
    asked = (r.event.name for r in records if isinstance(r.event, Intended) and r.event.kind == "model")
    model = next((name for name in asked if not name.startswith(TIER0_MODEL)), contract.model)
    return replace(contract, model=model)


def from_outside(event: Event) -> bool:
    """Whether a record tells of something that the loop did not decide."""
    match event:
        case Started() | Settled() | Arrived() | OutcomeSeen() | DoubtSettled():
            return True
        case ApprovalDecided():
            return event.who != CLOCK
        case Noted():
            return event.name in _FROM_OUTSIDE
        case _:
            return False


def _decided(state: State, contract: Contract, record: Record) -> tuple[Record, ...]:
    """What the loop would write at this point, at the time at which it wrote what stands there."""
    now_ns = record.at_ns
    if isinstance(record.event, ApprovalAsked):  # its end was counted from the instant of the decision
        now_ns = record.event.expires_ns - int(contract.approval_expires_s * NS_PER_S)
    return intend(state, decide(state, contract, now_ns), now_ns, record.fence).records


def _compare(made: Sequence[Record], recorded: Sequence[Record], *, kept: bool) -> tuple[Divergence | None, list[bool]]:
    """The first record that would come out otherwise, and of each request to a model whether its words could be compared.

    `kept`: the log holds every text as it was.
    """
    if not made:
        return Divergence(recorded[0].seq, _plain(recorded[0]), None), []
    words: list[bool] = []
    for index, would in enumerate(made):
        stands = recorded[index] if index < len(recorded) else None
        if stands is None:
            break  # the process ended between two records of one decision
        if _words(would) is not None and _words(stands) is not None:
            words.append(_words(would) == _words(stands))
        unread = bool(words) and not words[-1] and (not _words(stands) or not kept)
        seen = _with_words_of(would, stands) if unread and _words(would) is not None else would
        if stands.seq != would.seq or _bytes(stands) != _bytes(seen):
            return Divergence(stands.seq, _plain(stands), _plain(would)), words
    return None, words


def _words(record: Record) -> str | None:
    """The hash of a request to a model; `None` for any other record."""
    event = record.event
    return event.arguments_hash if isinstance(event, Intended) and event.kind == "model" else None


def _with_words_of(record: Record, other: Record) -> Record:
    assert isinstance(record.event, Intended)
    return replace(record, event=replace(record.event, arguments_hash=_words(other) or ""))


def _bytes(record: Record) -> bytes:
    """What makes a record the same: its event and content, not the instant and the worker, nor the labels that the worker added."""
    event = record.event
    if isinstance(event, ApprovalAsked):
        event = replace(event, expires_ns=0)
    if isinstance(event, Finished):  # what is counted of it follows from the rest, and older logs do not have it
        event = replace(event, labels=(), workflow="", searched="", cited=None)
    return msgspec.json.encode([event, record.content or {}], order="sorted")


def _plain(record: Record) -> dict[str, Any]:
    return {"event": msgspec.to_builtins(record.event), "content": record.content}


def _scrubbed(records: Sequence[Record]) -> bool:
    return any(record.content is None and isinstance(record.event, Started) for record in records)
