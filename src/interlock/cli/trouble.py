"""Models that could not answer, out of what tasks say about it: what to do, instead of two hundred equal lines.

Above: `run`, `batch`. Below: `reach`. Such tasks were handed to people, as their contracts say, so nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from interlock.config.workspace import Workspace

from .reach import deployments, variable_of
from .text import one_line, plural

NO_MODEL = re.compile(r"no model could answer: (\w+): (.*)", re.DOTALL)


def troubles(messages: Iterable[str]) -> dict[str, list[str]]:
    """What kept models from answering: error code → the messages of the tasks that say so."""
    found: dict[str, list[str]] = {}
    for message in messages:
        said = NO_MODEL.search(message)
        if said:
            found.setdefault(said[1], []).append(said[2])
    return found


AGAIN = "--fresh runs them again"


def advice(workspace: Workspace, model: str, found: dict[str, list[str]], again: str = AGAIN) -> list[str]:
    """A line for each kind of trouble: how often, what was said, what to do; `again` is how the tasks are run once more."""
    return [
        f"{plural(len(said), 'task')} got no answer from a model: {one_line(said[0], 200)} {remedy(workspace, model, code, again)}".strip()
        for code, said in found.items()
    ]


def remedy(workspace: Workspace, model: str, code: str, again: str) -> str:
    """What to do about an error code."""
    called = list(deployments(workspace, model)) if model else []
    if code == "upstream_credential_refused":
        variables = sorted({variable_of(each.provider) for each in called if each.api_key})
        return f"→ Check the key: {' or '.join(variables)}, or `api_key` in interlock.yaml; then {again}."
    if code in (
        "upstream_unreachable",
        "upstream_timeout",
        "upstream_stalled",
        "upstream_cut",
        "upstream_error",
        "deadline_missed",
    ):
        addresses = sorted({each.base_url for each in called if each.base_url})
        return f"→ Is {' or '.join(addresses)} up and reachable from here? Then {again}."
    if code == "upstream_rate_limited":
        return "→ Lower --concurrency, or ask the vendor for a higher limit."
    return ""
