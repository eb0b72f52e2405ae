"""Deciding a call by where its values come from: CPU per decision, with what a task has read so far behind it."""

from __future__ import annotations

import time
from typing import Any

from interlock.governance import SessionPolicy, policy

COMMAND = "python -m bench policy"
PROMPT = "Please send 50.00 for lunch to GB29NWBK60161331926819 and then email the summary to ann@example.com"
TRANSACTIONS = [
    {
        "id": number,
        "sender": "me",
        "recipient": f"DE8937040044053201{number:04}",
        "amount": 1.5 * number,
        "subject": f"Order {number}",
        "date": "2022-03-01",
        "recurring": False,
    }
    for number in range(100)
]


def run(quick: bool) -> list[dict[str, Any]]:
    rounds = 400 if quick else 4_000
    good = (
        "send_money",
        {"recipient": "GB29NWBK60161331926819", "amount": 50.0, "subject": "lunch", "date": "2022-04-01"},
    )
    bad = (
        "send_money",
        {"recipient": "US133000000121212121212", "amount": 50.0, "subject": "see www.evil.com", "date": "2022-04-01"},
    )
    return [
        _figure("a payment that is allowed", _before(good, rounds), 50.0),
        _figure("a payment that is asked about", _before(bad, rounds), 50.0),
        _figure("a message with numbers, two readers of 1,000 known people", _message(rounds), 50.0),
        _figure("a look-up", _before(("get_most_recent_transactions", {"n": 100}), rounds), 50.0),
        *_spread(),
        _figure("taking in 100 records of an output", _after(max(20, rounds // 40)), None),
        _figure("the answer, 300 characters with two links", _final(rounds), 50.0),
    ]


def _session() -> SessionPolicy:
    made = policy({"suite": "banking", "prompt": PROMPT})
    made.after({"name": "get_most_recent_transactions", "args": {"n": 100}}, TRANSACTIONS)
    return made


def _before(call: tuple[str, dict[str, Any]], rounds: int) -> float:
    """Microseconds of CPU, the best of five rounds."""
    played = _session().flow
    return _best(lambda: played.before(*call), rounds)


def _crowd() -> SessionPolicy:
    made = policy({"suite": "slack", "prompt": "Tell Alice that the code is 1234 and Bob that it is 5678."})
    people = ["Alice", "Bob", *(f"Person {number}" for number in range(1_000))]
    made.after({"name": "get_users_in_channel", "args": {"channel": "code"}}, people)
    return made


def _message(rounds: int) -> float:
    made = _crowd()
    sent = {"recipient": "Alice", "body": "The code is 1234"}
    return _best(lambda: made.flow.before("send_direct_message", sent), rounds)


def _spread() -> list[dict[str, Any]]:
    """One decision at a time, each about other values than the one before."""
    payments, messages = _session().flow, _crowd().flow
    made: list[dict[str, Any]] = []
    for what, policy_of, tool, call in (
        ("payments", payments, "send_money", _payment),
        ("messages", messages, "send_direct_message", _told),
    ):
        told: list[float] = []
        for number in range(1_000):
            given = call(number)
            started = time.thread_time_ns()
            policy_of.before(tool, given)
            told.append((time.thread_time_ns() - started) / 1e3)
        told.sort()
        made += [
            _figure(f"1,000 {what}, each of other values: median", told[500], 35.0),
            _figure(f"1,000 {what}, each of other values: 95 of 100 take at most", told[950], 35.0),
        ]
    return made


def _payment(number: int) -> dict[str, Any]:
    recipient = f"DE8937040044053201{number:04}" if number % 2 else "GB29NWBK60161331926819"
    return {"recipient": recipient, "amount": float(number), "subject": f"lunch {number}", "date": "2022-04-01"}


def _told(number: int) -> dict[str, Any]:
    return {"recipient": f"Person {number}" if number % 2 else "Alice", "body": f"The code is {number}"}


def _after(rounds: int) -> float:
    played = _session().flow
    return _best(lambda: played.after("get_most_recent_transactions", {"n": 100}, TRANSACTIONS), rounds)


def _final(rounds: int) -> float:
    played = _session()
    text = "I have sent the money. " * 12 + "See https://example.com/a and www.example.org/b."
    return _best(lambda: played.final(text), rounds)


def _best(what: Any, rounds: int) -> float:
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        for _ in range(rounds):
            what()
        best = min(best, (time.process_time() - started) / rounds * 1e6)
    return best


def _figure(figure: str, value: float, goal: float | None) -> dict[str, Any]:
    return {
        "figure": figure,
        "value": round(value, 2),
        "unit": "µs of CPU",
        "goal": None if goal is None else f"<= {goal:g}",
        "ok": None if goal is None else value <= goal,
        "command": COMMAND,
    }
