"""Mail about incidents, by SMTP. Above: alerting. Below: the standard library, off the event loop, under a deadline.

A message that the server does not take is tried again, ever more seldom, for a day; what waits is lost with the process, and open incidents are told
again at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
import ssl
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from email.utils import make_msgid

from interlock.config.alerts import Email
from interlock.core.text import clean

from .letters import Letter

MAX_WAITING = 200
DEADLINE_S = 20.0
FIRST_WAIT_S, LONGEST_WAIT_S, GIVE_UP_AFTER = 5.0, 1_800.0, 60
_log = logging.getLogger("interlock.alerts")


class Mail:
    """Sends. `run` until cancelled; `post` only queues."""

    def __init__(self, settings: Email, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._settings, self._sleep = settings, sleep
        self._queue: asyncio.Queue[Letter] = asyncio.Queue(MAX_WAITING)
        self.lost = 0

    def post(self, letter: Letter) -> None:
        """A letter to everybody named in the settings."""
        try:
            self._queue.put_nowait(letter)
        except asyncio.QueueFull:
            self.lost += 1
            _log.warning("no room for mail about %s", letter.subject)

    async def run(self) -> None:
        """Sends one after the other until cancelled."""
        while True:
            await self._deliver(await self._queue.get())

    async def _deliver(self, letter: Letter) -> None:
        wait_s, why = FIRST_WAIT_S, ""
        for _ in range(GIVE_UP_AFTER):
            try:
                await asyncio.to_thread(self._send, letter)
                return
            except (OSError, smtplib.SMTPException) as failed:
                why = str(failed)
            await self._sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        self.lost += 1
        _log.warning("mail %r was given up: %s", letter.subject, why)

    def _send(self, letter: Letter) -> None:
        given = self._settings
        with self._server() as server:
            if given.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if given.user:
                server.login(given.user, given.password.reveal())
            server.send_message(message_of(letter, given), given.sender, list(given.to))

    def _server(self) -> smtplib.SMTP:
        given = self._settings
        if given.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(given.host, given.port, timeout=DEADLINE_S, context=context)
        return smtplib.SMTP(given.host, given.port, timeout=DEADLINE_S)


def message_of(letter: Letter, settings: Email) -> EmailMessage:
    """The letter as it goes out: plain text, nothing of it a header."""
    message = EmailMessage()
    message["Subject"] = " ".join(clean(letter.subject).split())[:200]
    message["From"], message["To"] = settings.sender, ", ".join(settings.to)
    message["Message-ID"] = make_msgid(letter.id, domain=settings.sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(clean(letter.text))
    return message
