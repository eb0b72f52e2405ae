"""An upgrade under load: processes of an older version and of this one work on one PostgreSQL, through `--pre`, a rolling restart and `--post`.

`python -m bench.workers_upgrade SEED RESULT` writes its figures to RESULT. The older version is taken out of git and run from its own source. Judged as in
workers_storm: no call and no task may be lost, no effect happen under two keys.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interlock.app.migrating import migrate
from interlock.config.load import load
from interlock.core.errors import InvalidRequest
from interlock.storage.schema import Phase

from .workers_ground import Ground, ground
from .workers_storm import GIVE_UP_S, WAIT_S, WORKERS, Storm, judged

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "cf0fb936a4"
"""The last version from before schemas changed in phases."""
BETWEEN_S = 0.5
"""Load between two steps of the upgrade."""


@contextmanager
def source_of(commit: str) -> Generator[Path]:
    """The `src` of another version. Raises LookupError where git does not know it (a copy without its history)."""
    found = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=False)
    if found.returncode:
        raise LookupError(f"git has no {commit} here")
    folder = Path(tempfile.mkdtemp(prefix="interlock-before-"))
    try:
        with tarfile.open(fileobj=io.BytesIO(found.stdout)) as packed:
            packed.extractall(folder, filter="data")
        yield folder / "src"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Upgrade(Storm):
    """One run: a storm of one kind, and in an order."""

    def __init__(self, place: Ground, rng: random.Random, before: Path, *, workers: int) -> None:
        super().__init__(place, rng, every_s=BETWEEN_S, workers=workers)
        self.source: Path | None = before
        self.said: list[str] = []

    async def go(self) -> None:
        """Load from the first step to the last, then until everything that was accepted has ended."""
        await self.begin()
        crowd = self.load()
        await asyncio.sleep(BETWEEN_S)
        await self._step("migrate --pre", self._migrate("pre"))
        await self._step("old worker killed and started again", self._again(self.workers, 0, signal.SIGKILL))
        self.source = None
        for at in range(len(self.replicas)):
            await self._step("replica replaced", self._again(self.replicas, at, signal.SIGTERM))
        await self._step("migrate --post refused", self._migrate("post", refused=True))
        for at in range(len(self.workers)):
            await self._step("worker replaced", self._again(self.workers, at, signal.SIGTERM))
        await self._step("migrate --post", self._migrate("post"))
        self.stopping.set()
        await asyncio.gather(*crowd)
        store = await asyncio.to_thread(self.place.store)
        try:
            await self.place.finished(store, len(set(self.seen.tasks)), GIVE_UP_S)
        finally:
            store.close()
        for each in (*self.replicas, *self.workers):
            await asyncio.to_thread(self.place.end, each)

    async def _step(self, name: str, step: Any) -> None:
        await step
        self.seen.happened[name] += 1
        await asyncio.sleep(BETWEEN_S)

    async def _again(self, among: list[subprocess.Popen[bytes]], at: int, how: int) -> None:
        await asyncio.to_thread(self.place.end, among[at], how)
        among[at] = self._replica(self.ports[at]) if among is self.replicas else self._worker()
        await self.place.ready(among[at])

    async def _migrate(self, phase: Phase, *, refused: bool = False) -> None:
        """What `interlock migrate` does."""
        try:
            done = await asyncio.to_thread(migrate, load(self.place.folder), phase)
            self.said.append(f"{phase}: {', '.join(done)}")
            assert done, f"{phase} had nothing to do"
            assert not refused, f"{phase} was run while older processes were there"
        except InvalidRequest as error:
            if not refused:
                raise
            self.said.append(f"{phase}: {error.message}")

    def _replica(self, port: int) -> subprocess.Popen[bytes]:
        return self.place.start("serve", "--port", str(port), source=self.source)

    def _worker(self) -> subprocess.Popen[bytes]:
        return self.place.start("worker", "--concurrency", "8", source=self.source)


async def upgrade(seed: int, *, workers: int = WORKERS, commit: str = BEFORE) -> dict[str, Any]:
    """Figures of one run. Raises AssertionError where anything was lost or doubled, LookupError where git does not know the older version."""
    with source_of(commit) as before:
        async with ground(WAIT_S, replicas=True) as place:
            run = Upgrade(place, random.Random(seed), before, workers=workers)
            await run.go()
            return {**judged(place, run.seen), "migrations": run.said}


if __name__ == "__main__":
    figures = {"before": BEFORE, "seed": int(sys.argv[1])} | asyncio.run(upgrade(int(sys.argv[1])))
    Path(sys.argv[2]).write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
