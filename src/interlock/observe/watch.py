"""What is known of how a task goes about its work: a fold over its records, a few microseconds each.

Above: `anomaly` draws the conclusions; agents fold it beside their state. Below: core's events. Results are kept as hashes, so the watch
holds nothing that somebody said, and a log whose content was removed folds to a watch that finds nothing.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from interlock.core.events import Finished, Intended, Record, Settled, Started, Usual
from interlock.core.ports import ON_DEVICE

REMEMBERED = 32
"""The newest so many calls and answers are compared with each other."""
_SENT = frozenset({"ok", "cache_hit", "error", "timeout"})


class Call(Struct, frozen=True):
    """One tool call that has ended."""

    tool: str
    arguments: str
    """Hash of the canonical arguments."""
    result: str
    """Hash of the result, or of the error."""
    step: int
    reads: bool = True
    """It changes nothing."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Two calls with the same key did the same and heard the same."""
        return self.tool, self.arguments, self.result


class Watch(Struct, frozen=True):
    """The task so far."""

    usual: Usual | None = None
    """What successful runs of the workflow need, as it was known when the task began."""
    open: tuple[tuple[int, str, str, bool], ...] = ()
    """(step, tool, hash of the arguments, whether it only reads) of calls under way."""
    calls: tuple[Call, ...] = ()
    """The newest `REMEMBERED` by their steps, in whatever order parallel ones ended."""
    said: tuple[str, ...] = ()
    """Hashes of the newest texts of the model, `REMEMBERED` at most."""
    wanted: int = 0
    """Tool calls that the newest answer of the model asks for."""
    inputs: tuple[int, ...] = ()
    """Input tokens of the newest eight model calls."""
    model_calls: int = 0
    cost_nano_usd: int = 0
    step: int = 0
    """Of the newest model answer."""
    depth: int = 0
    """How many tasks stand above this one."""
    signed: tuple[str, ...] = ()
    """Tools whose results showed signs of an injection, once for each result, `REMEMBERED` at most."""
    over: bool = False

    @property
    def nothing_new(self) -> int:
        """How many of the newest calls, in a row, read what the same tool had told before."""
        heard: set[tuple[str, str]] = set()
        row = 0
        for call in self.calls:
            known = (call.tool, call.result) in heard
            row = row + 1 if known and call.reads else 0
            heard.add((call.tool, call.result))
        return row


def fold(records: list[Record] | tuple[Record, ...]) -> Watch:
    """The watch after `records`, in order."""
    watch = Watch()
    for record in records:
        watch = apply(watch, record)
    return watch


def apply(watch: Watch, record: Record) -> Watch:
    """The watch after one more record."""
    event = record.event
    match event:
        case Started():
            return replace(watch, usual=event.usual, depth=event.depth)
        case Intended() if event.kind == "tool" and not event.compensates:
            begun = (event.step, event.name, event.arguments_hash, event.effect == "none")
            return replace(watch, open=(*watch.open, begun))
        case Settled() if event.kind == "tool":
            return _heard(watch, record, event)
        case Settled() if not event.name.startswith(f"{ON_DEVICE}/"):
            return _answered(watch, record, event)
        case Finished():
            return replace(watch, over=True)
        case _:
            return watch


def hash_of(value: Any) -> str:
    """16 hex digits of a JSON value, whatever the order of its names."""
    try:
        text = msgspec.json.encode(value, order="sorted", enc_hook=str)
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = repr(value).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _heard(watch: Watch, record: Record, event: Settled) -> Watch:
    begun = next((each for each in watch.open if each[0] == record.seq), None)
    watch = replace(watch, cost_nano_usd=watch.cost_nano_usd + _known_cost(event))
    if any(signal.startswith("injection:") for signal in event.signals):
        watch = replace(watch, signed=(*watch.signed, event.name)[-REMEMBERED:])
    if begun is None:
        return watch
    watch = replace(watch, open=tuple(each for each in watch.open if each is not begun))
    result = _result(record)
    if event.status not in _SENT or result is None:
        return watch
    _, tool, arguments, reads = begun
    calls = sorted((*watch.calls, Call(tool, arguments, result, record.seq, reads)), key=lambda call: call.step)
    return replace(watch, calls=tuple(calls[-REMEMBERED:]))


def _known_cost(event: Settled) -> int:
    """What a crash cut off is booked by its upper estimate, which says nothing about the task."""
    return 0 if event.status == "crashed" else event.cost_nano_usd


def _result(record: Record) -> str | None:
    """Hash of what the call told; `None` where the log no longer holds it."""
    content = record.content
    if content is None:
        return None
    return hash_of(["error", content["error"]] if "error" in content else ["result", content.get("result")])


def _answered(watch: Watch, record: Record, event: Settled) -> Watch:
    response: dict[str, Any] = (record.content or {}).get("response") or {}
    text = str(response.get("text") or "").strip()
    used = event.usage.input_total
    return replace(
        watch,
        said=(*watch.said, hash_of(text))[-REMEMBERED:] if text else watch.said,
        wanted=len(response.get("tool_calls") or ()),
        inputs=(*watch.inputs, used)[-8:] if used else watch.inputs,
        model_calls=watch.model_calls + int(event.status in _SENT),
        cost_nano_usd=watch.cost_nano_usd + _known_cost(event),
        step=record.seq,
    )
