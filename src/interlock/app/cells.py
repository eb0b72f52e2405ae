"""`code.run`: one session per task, kept while it is used, rebuilt from its journal after a restart. Above: sandbox. Below: config, core."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from interlock.config.sandbox import SandboxSettings
from interlock.core.egress import EgressPolicy
from interlock.core.sandbox import Job, RunOutcome, Sandbox, Session
from interlock.core.time import NS_PER_S, Clock
from interlock.tools.define import ToolContext

_MOST_SESSIONS = 64
_MOST_JOURNAL_BYTES = 4 << 20
_DAY_S = 86_400


JOURNALS, FILES = Path(".interlock") / "sessions", Path(".interlock") / "files"


class _Held:
    """One session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.running = 0
        """Cells under way; nobody ends it meanwhile."""
        self.used_s = 0.0


class Cells:
    """The sessions of this process, least recently used first."""

    def __init__(
        self,
        sandbox: Callable[[], Sandbox],
        settings: SandboxSettings,
        root: Path,
        clock: Clock,
        policy: EgressPolicy | None,
    ) -> None:
        self._sandbox = sandbox
        self._settings = settings
        self._journals, self._files = root / JOURNALS, root / FILES
        self._clock = clock
        self._policy = policy
        self._open: OrderedDict[str, _Held] = OrderedDict()
        self._opening = asyncio.Lock()
        self._pruned = False

    async def run(self, code: str, ctx: ToolContext) -> dict[str, Any]:
        """Runs one cell.

        Args:
            code: Python source.
        """
        await self._forget()
        name = _name(ctx)
        kept = self._files / name / sha256(ctx.idempotency_key.encode()).hexdigest()[:12]
        await asyncio.to_thread(kept.mkdir, parents=True, exist_ok=True)
        job = msgspec.structs.replace(self._job(code), collect=True, collect_to=kept)
        async with self._used(name) as session:
            outcome = await session.run(job)
            if any(cell is job for cell in session.cells):
                await asyncio.to_thread(self._write, name, code)
        for line in outcome.stains:
            ctx.note(line)
        with suppress(OSError):
            kept.rmdir()  # when nothing came out
        return shown(outcome, str(kept.relative_to(self._files.parent.parent)))

    def _job(self, code: str) -> Job:
        return Job("code", code, limits=self._settings.limits.run_limits(), network=self._policy)

    async def close(self) -> None:
        for held in self._open.values():
            await held.session.close()
        self._open.clear()

    @asynccontextmanager
    async def _used(self, name: str) -> AsyncGenerator[Session]:
        """The task's session, which stays open meanwhile; one of an earlier process is rebuilt from its journal by its first cell."""
        async with self._opening:  # cells of one turn come at once, and belong to one session
            held = self._open.get(name)
            if held is None:
                codes, limits = await asyncio.to_thread(self._read, name), self._settings.limits.run_limits()
                cells = [Job("code", code, limits=limits) for code in codes]
                held = self._open[name] = _Held(self._sandbox().session(self._settings.image, cells))
            self._open.move_to_end(name)
            held.running += 1
        try:
            yield held.session
        finally:
            held.running -= 1
            held.used_s = self._clock.monotonic_s()

    async def _forget(self) -> None:
        """Ends sessions that nobody used for a while; their journals bring them back. Old journals go."""
        oldest_s = self._clock.monotonic_s() - self._settings.session_idle_seconds
        for name, held in list(self._open.items()):
            over = held.used_s <= oldest_s or len(self._open) >= _MOST_SESSIONS
            if over and not held.running and self._open.pop(name, None) is not None:
                await held.session.close()
        if not self._pruned:
            self._pruned = True
            await asyncio.to_thread(self._prune)

    def _read(self, name: str) -> list[str]:
        try:
            lines = (self._journals / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line)["code"] for line in lines if line.endswith("}")]

    def _write(self, name: str, code: str) -> None:
        """Notes a cell that changed the session; readable by this user only, like all that people and models wrote."""
        self._journals.mkdir(parents=True, exist_ok=True)
        file = self._journals / f"{name}.jsonl"
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as journal:
            if os.fstat(handle).st_size < _MOST_JOURNAL_BYTES:
                journal.write(json.dumps({"code": code}) + "\n")

    def _prune(self) -> None:
        oldest_s = self._clock.wall_ns() / NS_PER_S - self._settings.session_days * _DAY_S
        for journal in self._journals.glob("*.jsonl"):
            with suppress(OSError):
                if journal.stat().st_mtime < oldest_s:
                    journal.unlink()


def _name(ctx: ToolContext) -> str:
    return _of(ctx.tenant, ctx.task or ctx.idempotency_key)


def _of(tenant: str, task: str) -> str:
    """A file name for a task's session: of one tenant, never of another."""
    return sha256(json.dumps([tenant, task]).encode()).hexdigest()[:32]


def forget_cells(root: Path, tenant: str, tasks: Iterable[str]) -> int:
    """Deletes what code of these tasks was, and the files that it made; returns of how many tasks there was any."""
    gone = 0
    for name in {_of(tenant, task) for task in tasks}:
        journal, files = root / JOURNALS / f"{name}.jsonl", root / FILES / name
        gone += journal.is_file() or files.is_dir()
        journal.unlink(missing_ok=True)
        shutil.rmtree(files, ignore_errors=True)
    return gone


def shown(outcome: RunOutcome, folder: str = "") -> dict[str, Any]:
    """An outcome as a model and the ledger see it; what is empty is left out."""
    error = outcome.error
    told = {
        "status": outcome.status,
        "ended_by": outcome.ended_by,
        "value": outcome.value,
        "shown": outcome.shown,
        "stdout": outcome.stdout,
        "stderr": outcome.stderr,
        "error": error.traceback or f"{error.type}: {error.message}" if error else "",
        "exit_code": outcome.exit_code,
        "files": [{"path": f"{folder}/{each.path}", "size": each.size, "kind": each.kind} for each in outcome.files],
        "isolation": outcome.level,
    }
    return {name: value for name, value in told.items() if value not in ("", None, [])}
