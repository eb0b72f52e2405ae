"""Tells other services what happens to tasks: questions for people, and results.

Above: server. Below: the HTTP client, `core.webhook`. Each message is tried again, ever more seldom, until it is taken or too old; its id stays the
same, so a receiver knows a repeat. Questions that still wait are told again at the next start; results that a crash kept from being told are not.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from interlock.agents.question import Question
from interlock.config.webhooks import Webhook
from interlock.core import webhook
from interlock.core.errors import UpstreamError
from interlock.core.ports import HttpClient, HttpRequest
from interlock.core.time import NS_PER_S, Clock, Deadline

MAX_WAITING = 10_000
TRY_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 600.0
_log = logging.getLogger("interlock.webhooks")


class Message(Struct, frozen=True):
    """One thing to be told to one receiver."""

    id: str
    to: Webhook
    body: bytes
    since_s: float


class Webhooks:
    """Sends. `run` until cancelled; `asked` and `finished` only queue."""

    def __init__(
        self,
        receivers: Sequence[Webhook],
        http: HttpClient,
        clock: Clock,
        rng: random.Random,
        *,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._receivers, self._http, self._clock, self._rng, self._sleep = receivers, http, clock, rng, sleep
        self._queue: asyncio.Queue[Message] = asyncio.Queue(MAX_WAITING)
        self._told: set[str] = set()
        self._away: set[str] = set()
        self.lost = 0
        """Messages that were given up or found no room; shown on /healthz."""

    def asked(self, workflow: str, question: Question) -> None:
        """A person is wanted."""
        about = msgspec.to_builtins(question)
        about["decide"] = f"/api/approvals/{question.task}/{question.step}"
        self._tell("approval_asked", workflow, f"{question.task}:{question.step}", about)

    def finished(self, workflow: str, task: str, result: dict[str, Any]) -> None:
        """A task has ended."""
        self._tell("task_finished", workflow, f"{task}:finished", result)

    def _tell(self, event: str, workflow: str, about: str, data: dict[str, Any]) -> None:
        if about in self._told:
            return
        if len(self._told) > MAX_WAITING:
            self._told.clear()
        self._told.add(about)
        body = msgspec.json.encode({"type": event, "workflow": workflow, "data": data}, enc_hook=str)
        for number, receiver in enumerate(self._receivers):
            if event not in receiver.events or (receiver.workflows and workflow not in receiver.workflows):
                continue
            message = Message(f"msg_{about}:{number}", receiver, body, self._clock.monotonic_s())
            try:
                self._queue.put_nowait(message)
            except asyncio.QueueFull:
                self.lost += 1
                _log.warning("no room to tell %s of %s", receiver.url, about)

    async def run(self, *, at_once: int = 8) -> None:
        """Delivers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._deliver(await self._queue.get())

    async def _deliver(self, message: Message) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            why = await self._try(message)
            self._note(message.to.url, why)
            if not why:
                return
            if self._clock.monotonic_s() - message.since_s + wait_s > message.to.give_up_after_s:
                self.lost += 1
                _log.warning("%s was not told of %s: %s", message.to.url, message.id, why)
                return
            await self._sleep(wait_s * self._rng.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _note(self, url: str, why: str) -> None:
        """Whoever runs this hears of an address that does not answer now, and not only when a message is given up."""
        if why and url not in self._away:
            self._away.add(url)
            _log.warning("%s does not take messages, they are sent again: %s", url, why)
        elif not why and url in self._away:
            self._away.discard(url)
            _log.warning("%s takes messages again", url)

    async def _try(self, message: Message) -> str:
        """Why it was not taken; empty when it was."""
        at_s = self._clock.wall_ns() // NS_PER_S
        signed = webhook.headers(message.to.secret, message.id, at_s, message.body)
        request = HttpRequest("POST", message.to.url, (("content-type", "application/json"), *signed), message.body)
        try:
            reply = await self._http.request(request, Deadline.after(self._clock, TRY_S))
        except UpstreamError as failed:
            return failed.message
        return "" if 200 <= reply.status < 300 else f"it answered {reply.status}"
