"""What steers calls, out of a workspace: the checks of answers, learned routes, the premium cap, and the vectors of prompts.

Above: policy, compose. Below: config, the gateway's values, `verifiers`, `tier0`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from interlock.config.schema import Settings as Files
from interlock.config.steering import RouteFile
from interlock.config.workspace import Agent, Workspace
from interlock.gateway.checks import Check, Learned, PremiumCap

from .tier0 import Model
from .verifiers import built

WAITING = 32
"""Prompts that may wait for their vector; one more does without."""


def checks_of(workspace: Workspace, agent: Agent | None) -> tuple[Check, ...]:
    """The checks of a contract's answers, or of calls of none: cheap ones first."""
    own = agent.contract.verifiers if agent is not None else None
    named = workspace.settings.routing.verifiers if own is None else own
    learned = _file_of(workspace, agent)
    weighed = learned is not None and bool(learned.route.after)
    wanted = {**{name: {} for name in (learned.route.verifiers if learned is not None else ())}, **named}
    return tuple(built(wanted, weighed=weighed).values())


def learned_of(workspace: Workspace, agent: Agent | None) -> Learned | None:
    """The learned route of a contract's calls, or of calls of none."""
    found = _file_of(workspace, agent)
    return None if found is None else Learned(found.route, found.version)


def premium_of(files: Files) -> PremiumCap | None:
    """The cap on premium calls; `None` where there is none."""
    share = files.routing.premium_share_cap
    return None if share is None else PremiumCap(share, frozenset(files.routing.premium_tiers))


def _file_of(workspace: Workspace, agent: Agent | None) -> RouteFile | None:
    return workspace.learned if agent is None else agent.learned


class PromptVectors:
    """Sentence vectors of prompts, worked out one after the other on a thread of their own."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="interlock-route")
        self._waiting = 0
        self._thread.submit(model)  # loaded before the first call needs it

    async def __call__(self, prompt: str) -> Sequence[float] | None:
        """`None` while too many wait."""
        if self._waiting >= WAITING:
            return None
        self._waiting += 1
        work = self._thread.submit(self._vector, prompt)
        work.add_done_callback(lambda _: self._done())
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """Lets go of the thread; what waits is dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self) -> None:
        self._waiting -= 1

    def _vector(self, prompt: str) -> list[float]:
        return self._model().features([prompt])[0].tolist()


def vectors_for(workspace: Workspace, model: Model) -> PromptVectors | None:
    """The vectors, where a route in use decides by them."""
    files = [workspace.learned, *(agent.learned for agent in workspace.agents.values())]
    return PromptVectors(model) if any(each is not None and each.route.wants_vector for each in files) else None
