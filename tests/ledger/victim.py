"""A process that makes calls until it is killed; it says on standard output which calls it began and which it settled."""

import random
import sys
from pathlib import Path

from interlock.core.time import SystemClock
from interlock.ledger import Recorder, RecorderLimits
from interlock.storage import SqliteStore
from tests.ledger.kit import call, crashed


def main(path: Path, name: str, seed: int) -> None:
    rng = random.Random(seed)
    store = SqliteStore.open(path, busy_timeout_s=5)
    recorder = Recorder(
        store, SystemClock(), path=path, limits=RecorderLimits(calls=2048, group=8, flush_window_s=0.002)
    )
    recorder.start()
    print(f"ready {recorder.health().recovered}", flush=True)
    open_calls: list[tuple[int, str]] = []
    for n in range(1_000_000):
        task = f"{name}-{n}"
        # Said before it is done: a call that was announced may be missing, one that was not must never appear.
        print(f"open {task}", flush=True)
        open_calls.append((recorder.open(crashed(task)), task))
        print(f"opened {task}", flush=True)
        if len(open_calls) > rng.randrange(1, 12):
            slot, done = open_calls.pop(rng.randrange(len(open_calls)))
            recorder.settle(slot, call(done), {"response": {"text": "x" * rng.randrange(2_000)}})
            print(f"settled {done}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
