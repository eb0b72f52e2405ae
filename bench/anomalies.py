"""Anomalies of running tasks, judged on public runs: what is flagged, what is stopped, and how often a good run is troubled.

Data (`INTERLOCK_BENCH_DATA`, default `../shared/data`): `agents/tau_gpt4o_airline_200runs.json.gz`, the half of tau-bench's published GPT-4o airline
runs that is here (100 of 200, rewards by the state of its database), and `agents/whowhen_184.tar.gz` (Who&When: failed multi-agent runs).

Four questions. (1) Of runs as they were, is who is flagged a failure? A failed run need not go in circles, so recall is low by nature: the published
runs have 4 (of 116 failed) with a call made three times, 13 twice. (2) With loops planted into the same runs at a seeded place, are they found, and are
the unplanted runs left alone? (3) What would stopping have saved? (4) With the usual of successful runs of *other* tasks (five folds), how many
failures does a bound on cost and calls catch out of sample? Thresholds are the shipped defaults.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from interlock.core.caller import Caller, Versions
from interlock.core.events import Event, Intended, Record, Settled, Started, Usual
from interlock.core.money import Usage
from interlock.observe.anomaly import Finding, Terms, findings
from interlock.observe.usual import usual_of
from interlock.observe.watch import Watch, apply, hash_of

COMMAND = "python -m bench anomalies"
DATA = Path(os.environ.get("INTERLOCK_BENCH_DATA", "../shared/data")) / "agents"
IN_NANO, OUT_NANO = 2_500, 10_000
"""Nano-dollars by token: GPT-4o as of 2024, $2.50 and $10 per million."""
WRITES = ("book_", "cancel_", "update_", "send_", "transfer_")
SEED = 20_261_121
Message = dict[str, Any]


class Run(Struct, frozen=True):
    """One published run."""

    task: int
    ok: bool
    messages: list[Message]


class Verdict(Struct, frozen=True):
    """What the watch made of a run."""

    warned: frozenset[str] = frozenset()
    stopped: str = ""
    cost_nano_usd: int = 0
    """Of the whole run as it was recorded."""
    spent_nano_usd: int = 0
    """Until it was stopped."""
    model_calls: int = 0
    simulated_nano_usd: int = 0


def run(quick: bool) -> list[dict[str, Any]]:
    if not DATA.exists():
        print(f"no data at {DATA}; set INTERLOCK_BENCH_DATA")
        return []
    runs = tau_runs()
    return [*as_they_were(runs), *planted(runs, 1 if quick else 5), *usual_bound(runs), *who_and_when(), *speed(runs)]


def tau_runs() -> list[Run]:
    with gzip.open(DATA / "tau_gpt4o_airline_200runs.json.gz") as file:
        given: list[dict[str, Any]] = json.load(file)
    return [Run(each["task_id"], each["reward"] == 1.0, each["traj"]) for each in given]


def as_they_were(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Flagged and failed, next to the plain rules of the notes."""
    verdicts = [(each, judged(records_of(each.messages))) for each in runs]
    failed = sum(not each.ok for each in runs)

    def row(name: str, flagged: Callable[[Run, Verdict], bool]) -> list[dict[str, Any]]:
        hits = sum(flagged(*pair) for pair in verdicts if not pair[0].ok)
        false = sum(flagged(*pair) for pair in verdicts if pair[0].ok)
        share = round(hits / (hits + false), 3) if hits + false else "-"
        return [
            _figure(f"{name}: precision", share, f"share of {hits + false} flagged runs that failed"),
            _figure(f"{name}: recall", round(hits / failed, 3), f"share of {failed} failed runs"),
            _figure(f"{name}: good runs flagged", false, f"of {len(runs) - failed}"),
        ]

    return [
        *row("tau-bench, warned", lambda _, verdict: bool(verdict.warned)),
        *row("tau-bench, stopped", lambda _, verdict: bool(verdict.stopped)),
        *row("tau-bench, plain rule: same call twice", lambda each, _: _most_repeated(each) >= 2),
        *row("tau-bench, plain rule: same call three times", lambda each, _: _most_repeated(each) >= 3),
    ]


def planted(runs: Sequence[Run], rounds: int) -> list[dict[str, Any]]:
    """Loops of a known kind, planted at a seeded place into runs that have tool calls."""
    rng = random.Random(SEED)
    usable = [each for each in runs if len(_calls_of(each.messages)) >= 3]
    found: list[dict[str, Any]] = []
    hits = total = 0
    for kind, plant in PLANTS.items():
        caught = stopped = made = after = 0
        for _ in range(rounds):
            for each in usable:
                messages, first, repeats = plant(each.messages, rng)
                verdict = judged(records_of(messages))
                before = judged(records_of(messages[:first]))
                made += 1
                caught += bool(verdict.warned - before.warned) or bool(verdict.stopped)
                stopped += bool(verdict.stopped)
                after += repeats
        hits, total = hits + caught, total + made
        found.append(
            _figure(
                f"planted {kind}: warned",
                round(caught / made, 3),
                f"share of {made} runs",
                ">= 0.95",
                caught / made >= 0.95,
            )
        )
        found.append(
            _figure(
                f"planted {kind}: stopped",
                round(stopped / made, 3),
                "share of runs (12 rounds each)",
                ">= 0.95",
                stopped / made >= 0.95,
            )
        )
    good = [judged(records_of(each.messages)) for each in usable if each.ok]
    alarms = sum(bool(each.warned) for each in good)
    stops = sum(bool(each.stopped) for each in good)
    weight = rounds * len(PLANTS)  # the runs without a loop are looked at as often as those with one
    precision = hits / (hits + alarms * weight)
    found += [
        _figure(
            "planted loops: recall of the warning",
            round(hits / total, 3),
            f"of {total}",
            ">= 0.95",
            hits / total >= 0.95,
        ),
        _figure(
            "planted loops: precision of the warning",
            round(precision, 3),
            "against successful runs, repeated as often",
            ">= 0.95",
            precision >= 0.95,
        ),
        _figure("successful runs that are warned", alarms, f"of {len(good)}"),
        _figure("successful runs that are stopped", stops, f"of {len(good)}", "0", stops == 0),
    ]
    return found


def usual_bound(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The usual is learned on four fifths of the tasks and judged on the rest."""
    verdicts = {id(each): judged(records_of(each.messages)) for each in runs}
    tasks = sorted({each.task for each in runs})
    warned = {True: 0, False: 0}
    stopped = {True: 0, False: 0}
    saved = spent = 0
    for fold in range(5):
        held = set(tasks[fold::5])
        good = [verdicts[id(each)] for each in runs if each.ok and each.task not in held]
        usual = usual_of(good, at_least=10)
        for each in runs:
            if each.task in held:
                verdict = judged(records_of(each.messages, usual))
                warned[each.ok] += bool(verdict.warned & {"cost", "length"})
                stopped[each.ok] += bool(verdict.stopped)
                spent += verdict.cost_nano_usd
                saved += verdict.cost_nano_usd - verdict.spent_nano_usd
    failed, flagged = sum(not each.ok for each in runs), sum(warned.values())
    return [
        _figure(
            "beyond the usual: precision of the warning",
            round(warned[False] / flagged, 3) if flagged else "-",
            f"of {flagged} flagged, out of sample",
        ),
        _figure(
            "beyond the usual: recall of the warning", round(warned[False] / failed, 3), f"of {failed} failed runs"
        ),
        _figure("beyond the usual: good runs warned", warned[True], f"of {len(runs) - failed}"),
        _figure("beyond the usual: stopped", sum(stopped.values()), f"runs, {stopped[True]} of them good"),
        _figure("money that stopping saved", round(saved / spent, 4), "share of all spend (tokens = characters / 4)"),
    ]


def who_and_when() -> list[dict[str, Any]]:
    """Failed multi-agent runs have no tools in their logs, only messages: who repeats a message word for word."""
    found = early = total = 0
    with tarfile.open(DATA / "whowhen_184.tar.gz") as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member) if member.name.endswith(".json") else None
            if file is None:
                continue
            log = json.load(file)
            total += 1
            watch = Watch(wanted=1)
            decisive = int(log.get("mistake_step") or 0)
            for at, message in enumerate(log["history"]):
                text = str(message.get("content") or "").strip()
                watch = replace(watch, said=(*watch.said, hash_of(text))[-32:] if text else watch.said)
                if any(each.kind == "monologue" for each in findings(watch, Terms())):
                    found, early = found + 1, early + int(at <= decisive)
                    break
    return [
        _figure(
            "Who&When: runs that repeat a message",
            round(found / total, 3),
            f"share of {total} failed runs; 53 by the plain rule",
        ),
        _figure("Who&When: found by the decisive mistake", early, f"of {found}"),
    ]


def speed(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What the watch adds to a task."""
    records = [record for each in runs[:20] for record in records_of(each.messages)]
    best = float("inf")
    for _ in range(5):
        watch, started = Watch(), time.process_time()
        for record in records:
            watch = apply(watch, record)
            findings(watch, Terms())
        best = min(best, (time.process_time() - started) / len(records) * 1e6)
    return [_figure("watching, by record", round(best, 1), "µs of CPU", "<= 50", best <= 50)]


# --- Runs as records --------------------------------------------------------------------------------------------


def records_of(messages: Sequence[Message], usual: Usual | None = None) -> list[Record]:
    """A run as the ledger would hold it; tokens are characters / 4, as in the notes."""
    caller = Caller("bench")
    made: list[Record] = []

    def put(event: Event, content: dict[str, Any] | None = None) -> None:
        made.append(Record("tsk", len(made), "bench", 0, event, content))

    put(Started("airline", caller, Versions(), usual=usual))
    read = 0
    results = {each["tool_call_id"]: each["content"] for each in messages if each["role"] == "tool"}
    for message in messages:
        size = len(json.dumps(message)) // 4
        if message["role"] == "assistant":
            calls: list[Message] = message.get("tool_calls") or []
            usage = Usage(input=read, output=size)
            cost = read * IN_NANO + size * OUT_NANO
            settled = Settled("c", "model", "gpt-4o", caller, "ok", 0, usage=usage, cost_nano_usd=cost)
            put(settled, {"response": {"text": message.get("content") or "", "tool_calls": calls}})
            for call in calls:
                _call(put, made, caller, call["function"], str(results.get(call["id"], "")))
        read += size
    return made


def _call(put: Callable[..., None], made: list[Record], caller: Caller, function: dict[str, str], result: str) -> None:
    name, step = function["name"], len(made) + 1
    arguments = json.loads(function["arguments"] or "{}")
    effect = "once" if name.startswith(WRITES) else "none"
    put(Intended(step, "tool", name, f"k{step}", effect, hash_of(arguments)), {"arguments": arguments})
    put(Settled("c", "tool", name, caller, "ok", 0), {"result": result})


def judged(records: Sequence[Record]) -> Verdict:
    """What would have become of the run: warnings as they come, stopped as the agents stop (a warning first, then it goes on)."""
    watch, warned = Watch(), dict[str, int]()
    stopped, spent = "", 0
    for record in records:
        watch = apply(watch, record)
        for found in findings(watch, Terms()) if not stopped else ():
            stopped = stopped or _stopped(watch, found, warned)
            warned.setdefault(found.kind, record.seq)
        spent = spent if stopped else watch.cost_nano_usd
    return Verdict(frozenset(warned), stopped, watch.cost_nano_usd, spent, watch.model_calls)


def _stopped(watch: Watch, found: Finding, warned: dict[str, int]) -> str:
    last = watch.calls[-1].step if watch.calls and found.kind in ("loop", "ping_pong", "no_news") else watch.step
    went_on = (
        found.kind in warned and watch.wanted > 0 and last > warned[found.kind] and watch.step > warned[found.kind]
    )
    return found.kind if found.level == "stop" and went_on else ""


# --- Planting ---------------------------------------------------------------------------------------------------


def _calls_of(messages: Sequence[Message]) -> list[int]:
    return [at for at, each in enumerate(messages) if each["role"] == "assistant" and each.get("tool_calls")]


def _again(messages: Sequence[Message], at: int, number: int, rename: str = "") -> list[Message]:
    """The call at `at` with its results once more, under new ids; `rename` changes its arguments a little."""
    made: list[Message] = []
    calls: list[dict[str, Any]] = []
    for call in messages[at]["tool_calls"]:
        arguments = json.loads(call["function"]["arguments"] or "{}")
        given = json.dumps({**arguments, "note": f"{rename}{number}"} if rename else arguments)
        calls.append({**call, "id": f"{call['id']}-{number}", "function": {**call["function"], "arguments": given}})
    made.append({**messages[at], "tool_calls": calls})
    for each in messages[at + 1 :]:
        if each["role"] != "tool":
            break
        made.append({**each, "tool_call_id": f"{each['tool_call_id']}-{number}"})
    return made


def _plant(messages: Sequence[Message], at: int, inserted: list[Message]) -> tuple[list[Message], int, int]:
    end = at + 1
    while end < len(messages) and messages[end]["role"] == "tool":
        end += 1
    return [*messages[:end], *inserted, *messages[end:]], end, len(inserted)


def loop(messages: Sequence[Message], rng: random.Random) -> tuple[list[Message], int, int]:
    at = rng.choice(_calls_of(messages))
    return _plant(messages, at, [each for n in range(12) for each in _again(messages, at, n)])


def ping_pong(messages: Sequence[Message], rng: random.Random) -> tuple[list[Message], int, int]:
    places = _calls_of(messages)
    first = rng.randrange(len(places) - 1)
    pair = places[first : first + 2]
    return _plant(messages, pair[1], [each for n in range(12) for at in pair for each in _again(messages, at, n)])


def no_news(messages: Sequence[Message], rng: random.Random) -> tuple[list[Message], int, int]:
    """Other arguments each time, the same answer; of a call that reads."""
    reading = [
        at for at in _calls_of(messages) if not messages[at]["tool_calls"][0]["function"]["name"].startswith(WRITES)
    ]
    at = rng.choice(reading or _calls_of(messages))
    return _plant(messages, at, [each for n in range(14) for each in _again(messages, at, n, "try ")])


PLANTS = {"loop": loop, "ping-pong": ping_pong, "nothing new": no_news}


def _most_repeated(each: Run) -> int:
    counts: dict[str, int] = {}
    for at in _calls_of(each.messages):
        for call in each.messages[at]["tool_calls"]:
            key = call["function"]["name"] + json.dumps(
                json.loads(call["function"]["arguments"] or "{}"), sort_keys=True
            )
            counts[key] = counts.get(key, 0) + 1
    return max(counts.values(), default=0)


def _figure(name: str, value: object, unit: str, goal: str | None = None, ok: bool | None = None) -> dict[str, Any]:
    return {"figure": name, "value": value, "unit": unit, "goal": goal, "ok": ok, "command": COMMAND}
