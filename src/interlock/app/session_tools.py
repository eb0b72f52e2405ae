"""`session.get` and `session.put`: what an agent keeps of a user from one task to the next, for as long as a session lasts.

Above: toolbox. Below: app's sessions. A session is the task's user's; a task without a user has none.
"""

from __future__ import annotations

from typing import Any

from interlock.core.caller import Caller
from interlock.core.errors import ToolError
from interlock.tools.define import Tool, ToolContext, make

from .sessions import Sessions

SESSION = "agents"
"""Beside those that a user's own key reads and writes."""
LABELS = "labels of "
"""Before a name: what the text bore that is kept under it, in the same change. A task that reads it back bears that, too."""


class SessionTools:
    """The tools; `open` gives them where sessions are kept."""

    def __init__(self) -> None:
        self._sessions: Sessions | None = None
        self.tools: dict[str, Tool] = {
            "session.get": make(self.get, name="session.get", effect="none"),
            "session.put": make(self.put, name="session.put", effect="idempotent"),
        }

    def open(self, sessions: Sessions) -> None:
        """From now on they answer."""
        self._sessions = sessions

    async def get(self, name: str, ctx: ToolContext) -> dict[str, Any]:
        """Reads what was kept of this user under a name.

        Args:
            name: under which it was kept.
        """
        sessions, caller = self._of(ctx, name)
        kept = await sessions.read(caller, SESSION)
        ctx.bear(kept.get(f"{LABELS}{name}", ()))
        return {"name": name, "value": kept.get(name)}

    async def put(self, name: str, value: str, ctx: ToolContext) -> dict[str, Any]:
        """Keeps a short text of this user under a name, in the place of what was there; an empty one removes it.

        Args:
            name: under which it is found again.
            value: the text.
        """
        sessions, caller = self._of(ctx, name)
        labels = list(ctx.labels) if value else None
        await sessions.change(caller, SESSION, {name: value or None, f"{LABELS}{name}": labels or None})
        return {"name": name, "kept": bool(value)}

    def _of(self, ctx: ToolContext, name: str) -> tuple[Sessions, Caller]:
        """Where this user's texts are. Raises ToolError: there is no user, or the name is one of ours, by which a model could take labels off."""
        if self._sessions is None or not ctx.user:
            raise ToolError("no_user", "there is no session: the task was begun for nobody", hint="Give it a user.")
        if name.startswith(LABELS):
            raise ToolError("bad_name", f"a name does not begin with {LABELS.strip()!r}", hint="Choose another name.")
        return self._sessions, Caller(ctx.tenant, ctx.user)
