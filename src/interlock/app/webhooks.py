"""Sends what is kept for other services: questions for people, reminders of them, and results.

Above: server. Below: the HTTP client, `core.webhook`, the outbox. Each message is sent once it is true, and again, ever more seldom, until it is taken or too old; its id
stays the same, so a receiver knows a repeat. What a crash kept from being sent is sent by whoever comes next.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from interlock.agents.journal import Journal
from interlock.agents.question import questions_of
from interlock.agents.state import fold
from interlock.config.webhooks import Webhook
from interlock.core import webhook
from interlock.core.errors import LedgerFull, StoreUnavailable, UpstreamError
from interlock.core.outbox import OutboxRow
from interlock.core.ports import HttpClient, HttpRequest
from interlock.core.time import NS_PER_S, Clock, Deadline
from interlock.observe.incidents import Incident

from .telling import receiver_id

TRY_S = 10.0
HELD_S = 3 * TRY_S
"""For how long a message is this process's to send."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 600.0
AT_ONCE = 8
MOST_POSTED = 1_000
IDLE_S = 2.0
_log = logging.getLogger("interlock.webhooks")


class Outbox(Protocol):
    """`ledger.Beside` as far as it is needed here."""

    async def tell(self, rows: Sequence[OutboxRow]) -> None: ...

    async def take(self, until_ns: int, *, limit: int) -> list[OutboxRow]: ...

    async def again(self, message: str, next_ns: int) -> None: ...

    async def done(self, message: str) -> None: ...


class Webhooks:
    """Sends; `run` until cancelled."""

    def __init__(
        self,
        receivers: Sequence[Webhook],
        outbox: Outbox,
        journal: Journal,
        http: HttpClient,
        clock: Clock,
        rng: random.Random,
        *,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._receivers = {each.url: each for each in receivers}
        self._outbox, self._journal = outbox, journal
        self._http, self._clock, self._rng, self._sleep = http, clock, rng, sleep
        self._away: set[str] = set()
        self._due = asyncio.Event()
        self._posted: list[OutboxRow] = []
        self.lost = 0
        """Messages that were given up."""

    def nudge(self) -> None:
        """There is something to be sent."""
        self._due.set()

    def alerted(self, incident: Incident, address: str) -> None:
        """Something is wrong, has become worse, or is over; `address`: where a person sees more of it."""
        found = incident.found
        event = "alert" if incident.open else "alert_closed"
        about = f"{incident.id}:{found.severity if incident.open else 'closed'}"
        self.post(event, found.workflow, about, {**msgspec.to_builtins(incident), "address": address})

    def post(self, event: str, workflow: str, about: str, data: Any) -> None:
        """A message that is of no task; kept with the next delivery. `about` is its id: the same one again is the same message."""
        now_ns = self._clock.wall_ns()
        body = msgspec.json.encode({"type": event, "workflow": workflow, "data": data}, enc_hook=str).decode()
        for to in self._receivers.values():
            if (
                event in to.events
                and (not to.workflows or workflow in to.workflows)
                and len(self._posted) < MOST_POSTED
            ):
                message = f"msg_{about}:{receiver_id(to)}"
                self._posted.append(OutboxRow(message, "", "", 0, workflow, to.url, body, 0, now_ns, now_ns))
        self._due.set()

    async def run(self) -> None:
        """Delivers until cancelled; a store that is away is waited for."""
        if not self._receivers:
            await asyncio.Event().wait()  # nobody is to be told of anything
        while True:
            try:
                sent = await self.deliver()
            except (StoreUnavailable, LedgerFull):
                sent = 0
            if not sent:
                await self._idle()

    async def deliver(self) -> int:
        """Sends what is due, at most `AT_ONCE` messages at a time; how many there were."""
        if posted := tuple(self._posted):
            await self._outbox.tell(posted)
            del self._posted[: len(posted)]  # they are kept now; before, a store that was away would have lost them
        until_ns = self._clock.wall_ns() + int(HELD_S * NS_PER_S)
        rows = await self._outbox.take(until_ns, limit=AT_ONCE)
        await asyncio.gather(*(self._one(row) for row in rows))
        return len(rows)

    async def _idle(self) -> None:
        """Until somebody nudges, or for a while: other processes keep messages too."""
        self._due.clear()
        waiting = [asyncio.ensure_future(self._due.wait()), asyncio.ensure_future(self._sleep(IDLE_S))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        if self._due.is_set():
            await self._sleep(FIRST_WAIT_S / 10)  # what was kept is about to become true

    async def _one(self, row: OutboxRow) -> None:
        to = self._receivers.get(row.receiver)
        true = await self._is_true(row)
        if to is None or true == "no":
            await self._outbox.done(row.id)
            return
        why = await self._try(to, row) if true == "yes" else "it is not true yet"
        if true == "yes":
            self._note(to.url, why)
        if not why:
            await self._outbox.done(row.id)
            return
        now_ns = self._clock.wall_ns()
        if now_ns - row.since_ns > to.give_up_after_s * NS_PER_S:
            self.lost += true == "yes"
            _log.warning("%s was not told of %s: %s", to.url, row.id, why)
            await self._outbox.done(row.id)
            return
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(row.tries, 20)) * self._rng.uniform(0.5, 1.0)
        await self._outbox.again(row.id, now_ns + int(wait_s * NS_PER_S))

    async def _is_true(self, row: OutboxRow) -> Literal["yes", "no", "not_yet"]:
        """Whether what a message tells has been written: an end, or a question that nobody has answered."""
        if not row.task:
            return "yes"
        task = await self._journal.get(row.task)
        if task is None:
            return "not_yet"
        if not row.step:
            return "yes" if task.status == "finished" else "not_yet"
        if task.status == "finished":
            return "no"
        state = fold(await self._journal.records(row.task))
        if any(question.step == row.step for question in questions_of(state)):
            return "yes"
        return "no" if state.next_seq > row.step else "not_yet"

    def _note(self, url: str, why: str) -> None:
        """Whoever runs this hears of an address that does not answer now, and not only when a message is given up."""
        if why and url not in self._away:
            self._away.add(url)
            _log.warning("%s does not take messages, they are sent again: %s", url, why)
        elif not why and url in self._away:
            self._away.discard(url)
            _log.warning("%s takes messages again", url)

    async def _try(self, to: Webhook, row: OutboxRow) -> str:
        """Why it was not taken; empty when it was."""
        body = row.body.encode()
        signed = webhook.headers(to.secret, row.id, self._clock.wall_ns() // NS_PER_S, body)
        request = HttpRequest("POST", to.url, (("content-type", "application/json"), *signed), body)
        try:
            reply = await self._http.request(request, Deadline.after(self._clock, TRY_S))
        except UpstreamError as failed:
            return failed.message
        return "" if 200 <= reply.status < 300 else f"it answered {reply.status}"
