"""What a task's end says of its sources: whether knowledge had something that answers, and how many of them the answer names.

Above: `intend`, which writes it down. Below: `understand`, `state`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from interlock.core.events import Finished

from .state import State
from .understand import understanding_of


def sourced(state: State, finished: Finished, content: Mapping[str, Any] | None) -> Finished:
    """The end with it. Only a resolved task that looked something up, in knowledge or with a tool, could name a source; one that names some all the same counts too."""
    understood = understanding_of(state)
    passage = None if understood is None else understood.passage
    searched = "" if passage is None else "hit" if passage.get("good") else "miss"
    named: Any = (content or {}).get("citations")
    cited = len(named) if isinstance(named, list) else 0  # pyright: ignore[reportUnknownArgumentType]
    looked = searched or any(action.kind == "tool" and action.ok for action in state.actions)
    could = finished.outcome == "resolved" and bool(looked or cited)
    workflow = "" if state.started is None else state.started.workflow
    return replace(finished, workflow=workflow, searched=searched, cited=cited if could else None)
