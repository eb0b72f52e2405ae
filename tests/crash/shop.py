"""The outside world of the crash test: effects are counted in a file of their own, with nothing that could hide a repetition."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.core.errors import ToolError
from interlock.tools.define import Tool, ToolContext, make

LINE_BYTES = 64
"""Of each line of a book: no line crosses the edge of a page, where a kill cuts a write in two."""


class Shop:
    """Appends a line per effect; what is idempotent keeps its keys in a database, as a real payment service does."""

    def __init__(self, folder: Path, pause_s: float, edge: Callable[[], None] = lambda: None) -> None:
        """`edge` is passed before and after each effect."""
        self.folder, self.pause_s, self._edge = folder, pause_s, edge

    def tools(self) -> list[Tool]:
        return [
            make(self.look_up, name="orders.get", effect="none"),
            make(self.reserve, name="stock.reserve", effect="idempotent", reversible_by="stock.release"),
            make(self.release, name="stock.release", effect="idempotent"),
            make(self.refund, name="payments.refund", effect="reconcile", reconcile=self.was_refunded),
            make(self.post, name="letters.post", effect="once"),
            make(self.explode, name="stock.fail", effect="none"),
        ]

    def look_up(self, order: str) -> dict[str, Any]:
        self._pause()
        return {"order": order, "total": 5}

    def reserve(self, order: str, ctx: ToolContext) -> dict[str, Any]:
        self._pause()
        self._keyed("reserve", order, ctx.idempotency_key)
        self._pause()
        return {"reservation": f"r-{order}"}

    def release(self, reservation: str, ctx: ToolContext) -> str:
        self._pause()
        self._keyed("release", reservation, ctx.idempotency_key)
        return "released"

    def refund(self, order: str, ctx: ToolContext) -> dict[str, Any]:
        """Pays again when it is called again: only asking first keeps it from being doubled."""
        self._pause()
        self.note("refund", f"{order} {ctx.idempotency_key}")
        self._pause()
        return {"refunded": order}

    def was_refunded(self, order: str, ctx: ToolContext) -> dict[str, Any] | None:
        lines = read(self.folder, "refund")
        return {"refunded": order} if f"{order} {ctx.idempotency_key}" in lines else None

    def post(self, order: str) -> str:
        self._pause()
        self.note("post", order)
        self._pause()
        return "posted"

    def explode(self, order: str) -> None:
        raise ToolError("broken", f"{order} cannot be packed")

    def _keyed(self, name: str, what: str, key: str) -> None:
        with sqlite3.connect(self.folder / "keys.db", timeout=10) as keys:
            keys.execute("CREATE TABLE IF NOT EXISTS done (name, what, key, PRIMARY KEY (name, key))")
            keys.execute("INSERT OR IGNORE INTO done VALUES (?, ?, ?)", (name, what, key))
        keys.close()

    def note(self, name: str, line: str) -> None:
        file = os.open(self.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{line:{LINE_BYTES - 1}}\n".encode())
        os.close(file)

    def _pause(self) -> None:
        self._edge()
        time.sleep(self.pause_s)


def read(folder: Path, name: str) -> list[str]:
    path = folder / f"{name}.log"
    return [line.rstrip() for line in path.read_text().splitlines()] if path.exists() else []


def keyed(folder: Path, name: str) -> list[str]:
    if not (folder / "keys.db").exists():
        return []
    with sqlite3.connect(folder / "keys.db", timeout=10) as keys:
        rows = keys.execute("SELECT what FROM done WHERE name = ?", (name,)).fetchall()
    keys.close()
    return [row[0] for row in rows]


Function = Callable[..., Any]
