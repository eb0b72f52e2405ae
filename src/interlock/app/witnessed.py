"""What the store itself shows of a period: questions to people, versions, sums, the audit, keys, as facts of an evidence pack.

Above: evidence. Below: the store. Everything is read, nothing is written; content is passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median

from msgspec import Struct

from interlock.config.workspace import Workspace
from interlock.core.audit import Checked, Entry
from interlock.core.caller import Versions
from interlock.core.events import ApprovalAsked, ApprovalDecided, DoubtSettled, Settled, Started, is_lone
from interlock.core.store import Store
from interlock.core.time import NS_PER_S

from .looking import Look, book_of
from .pack import LONE, Fact, Row

PAGE = 2000


class Period(Struct, frozen=True):
    """From `since_ns` (zero: the beginning) to `until_ns`, both included."""

    since_ns: int
    until_ns: int

    def holds(self, at_ns: int) -> bool:
        return self.since_ns <= at_ns <= self.until_ns


class Told:
    """One reading of the ledger, in the order in which it was written."""

    def __init__(self, store: Store, period: Period) -> None:
        """Raises StoreUnavailable."""
        self._store, self._period = store, period
        self._asked: dict[tuple[str, int], int] = {}
        self._workflows: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.decided: Counter[tuple[str, str]] = Counter()
        self.waits_s: dict[str, list[float]] = {}
        self.doubts: Counter[str] = Counter()
        self.versions: Counter[tuple[str, Versions]] = Counter()
        self._read()

    def _read(self) -> None:
        place = ""
        while True:
            records, place = self._store.tail.read(place, PAGE)
            if not records:
                return
            for each in records:
                if each.at_ns <= self._period.until_ns:
                    self._take(each.task, each.seq, each.at_ns, each.event)

    def _take(self, task: str, seq: int, at_ns: int, event: object) -> None:
        inside = self._period.holds(at_ns)
        match event:
            case Started() if inside:
                self.versions[event.workflow, event.versions] += 1
            case Settled() if inside and is_lone(task, event.call):
                self.versions[event.caller.workflow, event.caller.versions] += 1
            case ApprovalAsked():
                self._asked[task, seq] = at_ns
                if inside:
                    self.asked[self._workflow(task)] += 1
            case ApprovalDecided() if inside:
                self._decide(task, event, at_ns)
            case DoubtSettled() if inside:
                self.doubts[event.decision] += 1
            case _:
                pass

    def _decide(self, task: str, event: ApprovalDecided, at_ns: int) -> None:
        workflow = self._workflow(task)
        self.decided[workflow, event.decision] += 1
        asked_ns = self._asked.get((task, event.step))
        if asked_ns is not None and event.decision != "expire":
            self.waits_s.setdefault(workflow, []).append((at_ns - asked_ns) / NS_PER_S)

    def _workflow(self, task: str) -> str:
        if task not in self._workflows:
            row = self._store.tasks.get(task)
            self._workflows[task] = "" if row is None else row.workflow
        return self._workflows[task]


def questions(told: Told) -> Fact:
    """How people were asked, and how they answered."""
    workflows = sorted({*told.asked, *(name for name, _ in told.decided)})
    rows = tuple(
        {
            "contract": name,
            "asked": told.asked[name],
            "approved": told.decided[name, "approve"],
            "edited": told.decided[name, "edit"],
            "denied": told.decided[name, "deny"],
            "expired": told.decided[name, "expire"],
            "median wait in s": round(median(told.waits_s[name]), 3) if name in told.waits_s else None,
        }
        for name in workflows
    )
    note = "The wait is that of questions a person answered. What was asked before the period and answered in it counts as answered only."
    return Fact("oversight.asked", "Questions to people in the period", rows, "Nobody was asked anything.", note)


def doubts(told: Told) -> Fact:
    """Calls of which a crash left open whether they were made."""
    rows = tuple({"decision": name, "times": n} for name, n in sorted(told.doubts.items()))
    return Fact("oversight.doubts", "Doubts that a person settled in the period", rows, "None had to be settled.")


def versions_seen(told: Told) -> Fact:
    """Which versions worked, and how often."""
    seen = sorted(told.versions.items(), key=lambda each: (each[0][0], each[0][1].contract, str(each[0][1])))
    rows = tuple(
        {
            "of": workflow or LONE,
            "contract": each.contract,
            "prompt": each.prompt,
            "policy": each.policy,
            "route": each.route,
            "tasks and calls": n,
        }
        for (workflow, each), n in seen
    )
    return Fact("versions.seen", "Versions that worked in the period", rows, "Nothing was done.")


def outcomes(store: Store, period: Period) -> Fact:
    """How tasks and calls ended."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in store.tasks.outcomes(since_ns=period.since_ns, until_ns=period.until_ns):
        counted[row.workflow, row.kind, row.outcome or row.status] += row.n
    rows = tuple(
        {"contract": name or LONE, "kind": kind, "ended": ended, "times": n}
        for (name, kind, ended), n in sorted(counted.items())
    )
    return Fact("work.outcomes", "How work of the period ended", rows, "Nothing was done.", "Hours are whole.")


def sums(store: Store) -> Fact:
    """The three sums of the ledger."""
    found = store.totals()
    equal = len({found.events_nano_usd, found.tasks_nano_usd, found.rolls_nano_usd}) == 1
    row: Row = {
        "events_nano_usd": found.events_nano_usd,
        "tasks_nano_usd": found.tasks_nano_usd,
        "rolls_nano_usd": found.rolls_nano_usd,
        "equal": equal,
    }
    return Fact(
        "ledger.sums",
        "The ledger's three sums",
        (row,),
        note="Over all time, in nano-dollars. Unequal: the ledger is broken.",
    )


def span(store: Store) -> Fact:
    """From when on every record is there, and what has left."""
    rows = tuple(
        {
            "file": each.file or "(dropped)",
            "first": moment(each.first_ns),
            "last": moment(each.last_ns),
            "records": each.records,
        }
        for each in store.retention.archives()
    )
    note = "Questions and versions of what has left are not counted in this pack; outcomes and sums are."
    return Fact(
        "ledger.span", "What has left the store", rows, "Nothing: every record since the beginning is there.", note
    )


def audit(store: Store, period: Period) -> tuple[Fact, ...]:
    """The chain read from its beginning: its head, its faults, what was done, who read prompts."""
    checked = Checked()
    deeds: Counter[str] = Counter()
    reads: Counter[tuple[str, str, str]] = Counter()
    touched: dict[tuple[str, str, str], set[str]] = {}
    for page in _pages(store):
        checked = checked.through(page)
        for deed in (each.deed for each in page if period.holds(each.deed.at_ns)):
            deeds[deed.action] += 1
            if deed.action == "content.read":
                who = (deed.tenant, deed.who, deed.role)
                reads[who] += 1
                touched.setdefault(who, set()).add(deed.target)
    head: Row = {
        "entries": checked.head.seq,
        "head": str(checked.head),
        "sound": not checked.faults,
        "faults": list(checked.faults),
    }
    readers = tuple(
        {"tenant": who[0], "who": who[1], "role": who[2], "readings": n, "of tasks": len(touched[who])}
        for who, n in sorted(reads.items())
    )
    done = tuple({"did": action, "times": n} for action, n in sorted(deeds.items()))
    return (
        Fact(
            "audit.chain",
            "The audit's chain, sealed anew from its beginning",
            (head,),
            note="That its end was cut off shows only against a head that was noted elsewhere: `interlock audit verify --expect HEAD`.",
        ),
        Fact(
            "audit.readers",
            "Who read prompts, arguments and answers in the period",
            readers,
            "Nobody, over HTTP or on the dashboard.",
            "Reading the same task again within an hour adds no entry. Whoever reads the store's file at the machine is not seen.",
        ),
        Fact("audit.deeds", "What people and keys did in the period", done, "Nothing."),
    )


def _pages(store: Store) -> Iterator[list[Entry]]:
    after = 0
    while page := store.audit.read(after, PAGE):
        yield page
        after = page[-1].seq


def keys(store: Store, now_ns: int) -> Fact:
    """Every key, without anything that opens a door."""
    found = sorted(store.keys.records(), key=lambda each: (each.tenant, each.holds, each.name, each.id))
    rows = tuple(
        {
            "tenant": each.tenant,
            "role": each.holds,
            "name": each.name,
            "user": each.user,
            "state": each.state(now_ns),
            "made": moment(each.created_ns),
            "expires": moment(each.expires_ns) or "never",
            "models": list(each.models) or ["any"],
            "limits": len(each.limits),
        }
        for each in found
    )
    return Fact("access.keys", "Keys by role", rows, "There is none but the server's own.")


def promises(workspace: Workspace, store: Store, now_ns: int) -> Fact:
    """How each promise is kept."""
    rows = tuple(
        {
            "contract": name,
            "promise": each.objective.label,
            "verdict": each.verdict,
            "seen": each.seen.n,
            "bad": each.seen.bad,
            "budget left": None if each.left is None else round(each.left, 4),
        }
        for name, held in sorted(Look(workspace, store).standings(now_ns).items())
        for each in held
    )
    return Fact("work.promises", "How promises (SLOs) are kept", rows, "Nothing was promised.")


def incidents(workspace: Workspace, store: Store, period: Period) -> Fact:
    """What went wrong and touched the period."""
    book = book_of(store, workspace.settings.tenant)
    rows = tuple(
        {
            "opened": moment(each.opened_ns),
            "closed": moment(each.closed_ns) or "open",
            "contract": each.found.workflow,
            "kind": each.found.kind,
            "severity": each.found.severity,
            "title": each.found.title,
        }
        for each in sorted(book.incidents, key=lambda each: (each.opened_ns, each.id))
        if each.opened_ns <= period.until_ns and (each.open or each.closed_ns >= period.since_ns)
    )
    looked = f"Looked last at {moment(book.looked_ns)}." if book.looked_ns else "Nobody has looked: no server has run."
    return Fact("work.incidents", "Incidents in the period", rows, "None is known.", looked)


def moment(at_ns: int) -> str:
    """UTC, ISO 8601; empty for zero."""
    return "" if not at_ns else datetime.fromtimestamp(at_ns // NS_PER_S, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
