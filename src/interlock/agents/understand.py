"""What the on-device tier made of a task's text, read from the answer that stands in the log.

Above: `flow`, `human`, `converse`. Below: `state`. The gateway answers `local/<workflow>` with this JSON as its text.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.chat import ChatRequest, Message

from .contract import TIER0_MODEL, Contract
from .state import Action, State


class Understood(Struct, frozen=True):
    """The tier's answer: which intent, how sure (0–1), and whether that is enough for the contract's promise."""

    intent: str = ""
    confidence: float = 0.0
    accepted: bool = False
    threshold: float = 0.0
    runner_up: str = ""
    reason: str = ""
    passage: dict[str, Any] | None = None


def request(state: State, contract: Contract) -> ChatRequest:
    """The call that asks the tier."""
    text = str(state.input.get(contract.text_input, ""))
    return ChatRequest(f"{TIER0_MODEL}{contract.engine}", (Message("user", text),))


def asked(state: State) -> Action | None:
    """The call to the tier, once it has been made."""
    return next((action for action in state.actions if action.tier0), None)


def understanding_of(state: State) -> Understood | None:
    """What the tier said; `None` before it was asked and where it could not answer."""
    action = asked(state)
    if action is None or not action.ok:
        return None
    text = (action.content or {}).get("response", {}).get("text", "")
    try:
        return msgspec.json.decode(text, type=Understood)
    except (msgspec.MsgspecError, TypeError):
        return None
