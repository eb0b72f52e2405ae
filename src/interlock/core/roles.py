"""What people and machines may do with a workspace, by role. Values.

Above: config, server, cli. Below: nothing. A role is held in one tenant; only the server's own key stands above tenants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Role = Literal["machine", "viewer", "approver", "auditor", "developer", "admin"]
"""`machine` is a key without a role: it calls models and runs tasks, and opens no page."""
ROLES: tuple[Role, ...] = get_args(Role)
Right = Literal[
    "call",  # ask models, begin tasks, keep files and batches
    "pages",  # open the dashboard
    "figures",  # lists, costs, P&L, routing: nothing that anybody wrote
    "content",  # prompts, arguments, answers
    "operate",  # cancel, pause, signal, replay, fork
    "decide",  # approvals, effects in doubt
    "audit",  # who did and read what
    "manage",  # keys, limits, configuration, erasure
]
RIGHTS: Mapping[Role, frozenset[Right]] = {
    "machine": frozenset(("call", "figures", "content", "operate")),
    "viewer": frozenset(("pages", "figures")),
    "approver": frozenset(("pages", "figures", "content", "decide")),
    "auditor": frozenset(("pages", "figures", "content", "audit")),
    "developer": frozenset(("call", "pages", "figures", "content", "operate")),
    "admin": frozenset(get_args(Right)),
}
"""Nobody but an admin both causes a risky call and approves it: a developer begins tasks, an approver decides on them."""


def holders(right: Right) -> str:
    """The roles that have `right`, for messages."""
    return ", ".join(role for role in ROLES if right in RIGHTS[role])
