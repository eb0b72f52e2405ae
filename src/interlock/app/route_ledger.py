"""Labels out of the ledger: tasks of which somebody has said whether they succeeded → examples for training a route.

Above: cli. Below: ledger, storage, config. A task tells of one model only (the one whose answers stood), so rates from here are those of
the prompts that the present route sent there; a labelled file that asked every model is the better teacher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interlock.config.load import load
from interlock.core.errors import ConfigError, Fault
from interlock.core.events import Record, Settled, Started
from interlock.core.ports import ON_DEVICE_TIER
from interlock.core.routes import Example
from interlock.core.store import Store, TaskFilter

from .labels import Labelled
from .stores import name_of, open_store

MOST_TASKS = 100_000


def from_ledger(path: Path, workflow: str) -> Labelled:
    """The examples of a workspace's store; simulated calls tell nothing and are left out.

    Raises:
        ConfigError: no task has a known outcome. StoreUnavailable: the store cannot be read.
    """
    workspace = load(path)
    store = open_store(workspace)
    try:
        rows = store.tasks.list(TaskFilter(workflow=workflow, limit=MOST_TASKS))
        known = [row for row in rows if row.success is not None and not row.simulated]
        examples = [each for row in known for each in _examples(store, row.id, float(bool(row.success)))]
    finally:
        store.close()
    models = _in_order(workspace.settings.models, examples)
    if not examples:
        message = f"{len(rows)} tasks, none with a known outcome that a model worked on"
        hint = "Say whether tasks succeeded (labels in the input file, or feedback), or give --data FILE."
        raise ConfigError([Fault(name_of(workspace), 0, 0, "ledger", message, hint)])
    return Labelled(tuple(examples), models, len(rows) - len(known))


def _examples(store: Store, task: str, right: float) -> Iterator[Example]:
    """One for each model call of the task that brought an answer."""
    records = store.records(task)
    given = next((each for each in records if isinstance(each.event, Started)), None)
    for record in records:
        event = record.event
        if not isinstance(event, Settled) or event.kind != "model" or event.status != "ok" or event.simulated:
            continue
        name = event.tier or event.deployment
        if name == ON_DEVICE_TIER or event.cache or event.degraded:
            continue
        cost = sum(each.cost_nano_usd for each in event.attempts if each.tier == event.tier and not each.purpose)
        answer = _text(record.content, "response")
        yield Example(
            prompt=_asked(record) or _input(given),
            task=_task_type(given),
            right={name: right},
            answers={name: answer} if answer else {},
            costs_nano_usd={name: cost},
        )


def _asked(record: Record) -> str:
    """The last user message, where the workflow stores prompts."""
    content: Mapping[str, Any] = record.content or {}
    messages: list[dict[str, Any]] = content.get("request") or []
    return next((str(each.get("text", "")) for each in reversed(messages) if each.get("role") == "user"), "")


def _input(given: Record | None) -> str:
    content: Mapping[str, Any] = (given.content if given else None) or {}
    value: Any = content.get("input")
    return str(value.get("text", "")) if isinstance(value, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _task_type(given: Record | None) -> str:
    facts = given.event.facts if given is not None and isinstance(given.event, Started) else {}
    said = facts.get("task_type") or facts.get("intent")
    return said if isinstance(said, str) else ""


def _text(content: Mapping[str, Any] | None, key: str) -> str:
    value: Any = (content or {}).get(key)
    return str(value.get("text", "")) if isinstance(value, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _in_order(aliases: Mapping[str, Mapping[str, Any]], examples: list[Example]) -> tuple[str, ...]:
    """Tiers in the order of the files, then whatever else answered."""
    seen = {name for each in examples for name in each.right}
    tiers = [tier for alias in aliases.values() for tier in alias if tier in seen]
    return tuple(dict.fromkeys([*tiers, *sorted(seen)]))
