"""What was said, kept with bodies and without: bytes in the store and CPU of the writer, on a month of support conversations in small.

Each call is one of a conversation of four turns: a system prompt (one of three versions, 2.5 KB), two passages out of 200 (1.2 KB, some asked for far more often than others),
everything said before, and an answer. All of it is kept (`store_prompts: full`), each call a task of its own, in commits of 256. Words are drawn from 3,000 by Zipf's law.
"""

from __future__ import annotations

import gc
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import structs

from interlock.core.events import Record
from interlock.ledger.flight import encode, encode_content
from interlock.storage import SqliteStore

from .ledger import PRICE, settled

COMMAND = "python -m bench bodies"
TURNS, GROUP = 4, 256
_WORDS = 3_000
Message = dict[str, str]


class Talk:
    """Texts of given lengths."""

    def __init__(self, rng: random.Random) -> None:
        letters = "etaoinshrdlucmfwypvbgk"
        self._rng = rng
        self._words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(_WORDS)]
        self._weights = [1 / place for place in range(1, _WORDS + 1)]

    def text(self, size: int) -> str:
        return " ".join(self._rng.choices(self._words, self._weights, k=size // 6))[:size]


def contents(calls: int) -> Iterator[dict[str, Any]]:
    """What was said in so many calls."""
    rng = random.Random(11)
    talk = Talk(rng)
    prompts = [talk.text(2_500) for _ in range(3)]
    passages = [talk.text(1_200) for _ in range(200)]
    popular = [1 / place for place in range(1, len(passages) + 1)]
    for _ in range(calls // TURNS):
        said: list[Message] = [{"role": "system", "text": rng.choice(prompts)}]
        for _ in range(TURNS):
            found = rng.choices(passages, popular, k=2)
            said = [*said, {"role": "user", "text": talk.text(rng.randint(60, 400))}]
            said += [{"role": "tool", "text": each} for each in found]
            answer = talk.text(rng.randint(150, 700))
            yield {"request": said, "response": {"text": answer, "finish": "stop"}}
            said = [*said, {"role": "assistant", "text": answer}]


def made(calls: int) -> list[list[list[Record]]]:
    """Commits of lone calls."""
    groups: list[list[Record]] = []
    for number, content in enumerate(contents(calls)):
        call = structs.replace(settled(number), started_ns=settled(0).started_ns + number * 50_000_000)
        record = Record(call.caller.task, 1, "fernhill", call.started_ns, call, content)
        groups.append([structs.replace(record, encoded=encode(call), body=encode_content(content))])
    return [groups[at : at + GROUP] for at in range(0, len(groups), GROUP)]


def written(path: Path, commits: list[list[list[Record]]], *, bodies: bool) -> tuple[float, int]:
    """(CPU µs of the writer for each call, bytes of the file when all is in it)."""
    SqliteStore.open(path).close()
    if not bodies:
        with sqlite3.connect(path) as db:  # as a store is kept while processes of before may still work on it
            db.execute("DELETE FROM body_secret")
    store = SqliteStore.open(path, synchronous="normal")
    before = time.process_time()
    for commit in commits:
        store.write(commit, [PRICE])
    spent_s = time.process_time() - before
    store.settle()
    store.close()
    return spent_s / sum(map(len, commits)) * 1e6, path.stat().st_size


def run(quick: bool) -> list[dict[str, Any]]:
    """Size and CPU with bodies, beside those without, and without anything said."""
    commits = made(4_000 if quick else 20_000)
    calls = sum(map(len, commits))
    said = sum(len(record.body) for commit in commits for group in commit for record in group)
    silent = [[[structs.replace(r, content=None, body=b"") for r in group] for group in commit] for commit in commits]
    gc.collect()
    gc.freeze()
    cpu: dict[str, list[float]] = {"bodies": [], "before": [], "nothing": []}
    size: dict[str, int] = {}
    for _ in range(1 if quick else 3):
        for name, rows in (("bodies", commits), ("before", commits), ("nothing", silent)):
            with tempfile.TemporaryDirectory() as folder:
                spent_us, size[name] = written(Path(folder) / "store.db", rows, bodies=name != "before")
                cpu[name].append(spent_us)
    with_us, before_us, silent_us = (statistics.median(cpu[name]) for name in ("bodies", "before", "nothing"))
    kept, was = ((size[name] - size["nothing"]) / calls for name in ("bodies", "before"))
    return [
        _figure("what was said in a call, as JSON", said / calls, "bytes"),
        _figure("the same in the store, as it was kept before there were bodies", was, "bytes"),
        _figure("the same in the store with bodies", kept, "bytes"),
        _figure("bytes with bodies ÷ before", kept / was, "ratio", 0.2),
        _figure("CPU of the writer for what was said in a call, with bodies", with_us - silent_us, "µs"),
        _figure("the same before", before_us - silent_us, "µs"),
        _figure("CPU of the writer for a call in which nothing is kept", silent_us, "µs"),
    ]


def _figure(figure: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    said = None if goal is None else f"<= {goal:g}"
    ok = None if goal is None else value <= goal
    return {"figure": figure, "value": float(f"{value:.4g}"), "unit": unit, "goal": said, "ok": ok, "command": COMMAND}
