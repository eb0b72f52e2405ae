"""Where the crash test is played, and everything that can happen there.

A round has a store of its own, on SQLite or PostgreSQL, sometimes on a disk that can be filled up; what the shop did stands outside of it.
The sleeps here are the instants at which real processes, servers and disks are met in the middle of their work: time itself is what is tried, and a seed draws it.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

from msgspec import Struct

from interlock.core.store import Store
from tests.crash.nursery import Nursery, Victim
from tests.crash.stepped import set_ahead
from tests.crash.worker import FROZEN, Told, opened
from tests.postgres import Postgres

PAUSE_S = 0.004
LEASE_S = 6.0
"""Long enough for workers that stand beside each other on a busy machine; the dead lose theirs at once."""
FROZEN_LEASE_S = 0.6
LIFE_S = {"": 0.15, "postgres": 0.3}
"""Longest time between a worker's first word and its end, without and with a server to go to."""
FARTHEST_S = 600.0
"""By how much clocks are set, forwards and back."""
FULL_S = 0.4
"""For how long a disk is full at most."""


class Ground(Struct):
    """One round's."""

    nursery: Nursery
    outside: Path
    """The shop's books and the machines' clocks."""
    within: Path
    """The store's file."""
    orders: tuple[int, ...]
    seed: int
    disk: Path | None = None
    """What may be filled up."""
    server: Postgres | None = None
    address: str = ""

    def told(self, *, machine: int = 0, lease_s: float = LEASE_S, fatal: int = 0, concurrency: int = 6) -> Told:
        return Told(
            str(self.within),
            str(self.outside),
            self.orders,
            self.seed,
            PAUSE_S,
            lease_s,
            self.address,
            machine,
            concurrency,
            fatal,
        )

    def start(self, machine: int = 0, lease_s: float = LEASE_S) -> Victim:
        return self.nursery.start(self.told(machine=machine, lease_s=lease_s))

    def wait(self, rng: random.Random) -> None:
        time.sleep(rng.uniform(0.0, LIFE_S["postgres" if self.server else ""]))

    def store(self) -> Store:
        return opened(self.within, self.address)

    def kinds(self) -> list[str]:
        """What may happen here, each as often as it is likely."""
        kinds = ["kill"] * 14 + ["freeze"] * 2 + ["clock"] * 3
        return kinds + ["restart"] * 3 * bool(self.server) + ["full"] * (2 if self.server else 4) * bool(self.disk)


def mishap(ground: Ground, kind: str, rng: random.Random) -> bool:
    """One life of the workers until something happens to them; whether they had finished by then."""
    match kind:
        case "freeze":
            return freeze(ground, rng)
        case "clock":
            return step_clocks(ground, rng)
        case "full":
            return fill_up(ground, rng)
        case "restart":
            return restart(ground, rng)
        case _:
            workers = [ground.start(at) for at in range(2 if rng.random() < 0.25 else 1)]
            ended = [die(ground, worker, rng) for worker in workers]
    return all(ended)


def die(ground: Ground, worker: Victim, rng: random.Random) -> bool:
    """The process is killed at an instant of its own, sometimes before it has begun; True when it had finished by then."""
    if rng.random() < 0.1 or worker.ready():
        ground.wait(rng)
    return worker.kill()


def restart(ground: Ground, rng: random.Random) -> bool:
    """The database's processes end as in a crash, and come back."""
    assert ground.server is not None
    workers = [ground.start(at) for at in range(2)]
    workers[0].ready()
    ground.wait(rng)
    ground.server.stop()
    time.sleep(rng.uniform(0.0, 0.1))
    ground.server.start()
    ended = [die(ground, worker, rng) for worker in workers]
    return all(ended)


def freeze(ground: Ground, rng: random.Random) -> bool:
    """A worker stands still until another one has taken its tasks over, wakes up in the middle of whatever it did, and is ended a moment later."""
    (ground.outside / FROZEN).touch()
    victim, other = (ground.start(at, FROZEN_LEASE_S) for at in range(2))
    victim.ready()
    other.ready()
    ground.wait(rng)
    victim.send(signal.SIGSTOP)
    time.sleep(FROZEN_LEASE_S * 1.5)
    victim.send(signal.SIGCONT)
    time.sleep(rng.uniform(0.0, 0.2))
    ended = [victim.kill(), other.kill()]
    (ground.outside / FROZEN).unlink()
    return all(ended)


def step_clocks(ground: Ground, rng: random.Random) -> bool:
    """The wall clocks of two machines are set, by different amounts and again, while a worker on each is in the middle of its tasks. They stay like that."""
    workers = [ground.start(at) for at in range(2)]
    workers[0].ready()
    for _ in range(3):
        ground.wait(rng)
        far_s = rng.choice((1.0, LEASE_S, FARTHEST_S))
        set_ahead(ground.outside / f"clock-{rng.randrange(2)}", round(rng.uniform(-far_s, far_s) * 1e9))
    ended = [die(ground, worker, rng) for worker in workers]
    return all(ended)


def fill_up(ground: Ground, rng: random.Random) -> bool:
    """The disk of the store is full for a while, in which its workers may be ended, and its server ends itself."""
    assert ground.disk is not None
    worker = ground.start()
    worker.ready()
    ground.wait(rng)
    filler = filled(ground.disk)
    time.sleep(rng.uniform(0.0, FULL_S))
    ended = worker.kill() if rng.random() < 0.5 else None
    filler.unlink()
    if ground.server is not None:
        with contextlib.suppress(subprocess.CalledProcessError):
            ground.server.start()  # where the full disk has ended it
    return die(ground, worker, rng) if ended is None else ended


def filled(disk: Path) -> Path:
    """Writes until nothing more goes on the disk; returns the file to remove."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - 16 * 4096))
        file.seek(0, os.SEEK_END)
        while True:
            file.write(b"x" * 4096)
    return filler


@contextlib.contextmanager
def small_disk(megabytes: int) -> Generator[Path | None]:
    """A file system of its own, where this process may mount one; PostgreSQL's user may go there."""
    folder = Path("/tmp/interlock-crash-disk") / f"{os.getpid()}-{megabytes}"
    if os.geteuid() != 0 or shutil.which("mount") is None:
        yield None
        return
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", folder], check=False, capture_output=True
    )
    try:
        yield folder if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()
