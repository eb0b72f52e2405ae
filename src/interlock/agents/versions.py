"""A task whose contract has changed since it began: whether it keeps the old one, goes on under the new one, or ends.

Above: `service`. Below: `contract`, `state`. Never silent: whichever it is stands in the log as a note.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from interlock.core.events import Noted

from .contract import Contract
from .decide import CHANGED_NOTE
from .state import RESUMED, State


class Kept(Protocol):
    """Contracts as they were when tasks began."""

    async def keep(self, contract: Contract) -> None:
        """Makes sure that this version can be found again."""
        ...

    async def find(self, contract: Contract, state: State) -> Contract | None:
        """The version that the task began with; `None` where it cannot be had any more. `contract`: the one of now."""
        ...


class NoneKept:
    """For agents whose contracts are made by programs: nothing is kept."""

    async def keep(self, contract: Contract) -> None: ...

    async def find(self, contract: Contract, state: State) -> Contract | None:
        return None


class Terms(Struct, frozen=True):
    """The contract that a task goes on under, and what is noted of it."""

    contract: Contract
    note: Noted
    changed: bool = True

    def is_new_to(self, state: State) -> bool:
        """The contract has changed, and the log does not say yet what that means."""
        return self.changed and all(note.reason != self.note.reason for note in state.notes)


def same(contract: Contract, state: State) -> bool:
    """Whether contract and prompt are those that the task began with."""
    began = state.started.versions if state.started else contract.versions
    return (began.contract, began.prompt) == (contract.versions.contract, contract.versions.prompt)


async def terms_of(contract: Contract, state: State, kept: Kept) -> Terms:
    """What a task that is taken up again goes on under."""
    if same(contract, state):
        return Terms(contract, Noted(RESUMED, "taken up again"), changed=False)
    if contract.when_changed == "migrate":
        return Terms(
            contract, Noted(RESUMED, "the contract has changed since it began; its log is read under the new one")
        )
    if contract.when_changed == "fail":
        return Terms(
            contract, Noted(CHANGED_NOTE, "the contract has changed since it began, and says that this ends it")
        )
    found = await kept.find(contract, state)
    if found is None:
        return Terms(
            contract, Noted(CHANGED_NOTE, "the contract has changed, and the one that it began with is not kept")
        )
    return Terms(
        found, Noted(RESUMED, "the contract has changed since it began; it goes on under the one it began with")
    )
