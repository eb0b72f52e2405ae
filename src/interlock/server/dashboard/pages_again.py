"""One task decided once more, and where it can be forked. Above: face, templates. Below: agents' replay and contracts, the ledger's trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from interlock.agents.contract import Contract
from interlock.agents.fork import FORK
from interlock.agents.replay import Replay
from interlock.app.forking import Terms
from interlock.core.errors import InvalidRequest
from interlock.ledger.read import TaskSummary, Trace

LONGEST = 100_000
"""Characters of a prompt."""


class Place(Struct, frozen=True):
    """A step that a fork can decide anew."""

    step: int
    what: str


class AgainPage(Struct, frozen=True):
    """The page."""

    task: TaskSummary
    replay: Replay
    identical: bool
    places: tuple[Place, ...]
    at: int
    """The place that is chosen."""
    prompt: str
    """Of the contract now; hostile until somebody has read it."""
    model: str
    remark: str = ""
    """Why the last fork was not made."""


def again_page(trace: Trace, found: Replay, contract: Contract, at: int) -> AgainPage:
    """The page with the place `at`, or the last one before it, chosen."""
    places = tuple(_places(trace))
    chosen = max((place.step for place in places if place.step <= at), default=1)
    return AgainPage(trace.task, found, found.identical, places, chosen, contract.prompt, contract.model)


def terms_of(sent: Mapping[str, str], contract: Contract) -> Terms:
    """A form as what a fork is to do otherwise: a prompt that was left as it stands is none. Raises InvalidRequest."""
    at = sent.get("at", "1")
    if not (at.isascii() and at.isdigit() and len(at) < 10):
        raise InvalidRequest("at is the number of a step", param="at")
    said = sent.get("prompt", "").replace("\r\n", "\n")[:LONGEST]
    same = said.strip() == contract.prompt.strip() or not said.strip()
    return Terms(int(at), None if same else said, sent.get("model", "").strip()[:200], sent.get("effects", "") == "1")


def told(terms: Terms) -> str:
    """For the audit."""
    otherwise = [
        f"fork at {terms.at}",
        "another prompt" if terms.prompt is not None else "",
        f"model {terms.model}" if terms.model else "",
        "with effects" if terms.effects else "effects held back",
    ]
    return ", ".join(filter(None, otherwise))


def is_fork(task: TaskSummary) -> bool:
    return task.workflow.endswith(FORK)


def _places(trace: Trace) -> Iterator[Place]:
    """The beginning, and every step that lies between no call's beginning and its end."""
    yield Place(1, "the whole task")
    under_way: set[int] = set()
    for step in trace.steps:
        if step.type == "intended":
            if not under_way and step.step > 1:
                yield Place(step.step, f"{step.detail.get('kind', 'call')} {step.detail.get('name', '')}")
            under_way.add(step.detail["step"])
        elif step.call is not None:
            under_way.discard(step.step)
        elif step.type == "approval_asked" and not under_way and step.step > 1:
            yield Place(step.step, f"question about {step.detail.get('tool', '')}")
