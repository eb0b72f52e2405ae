"""A command that lives on in its sandbox, its standard streams in our hands. Above: local. Below: talk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from interlock.core.egress import EgressDecision
from interlock.core.sandbox import Ended, Job, Level

from .talk import Talk

_READ = 65_536
_LOOP_BUFFER = 1 << 18


class LocalProgram:
    """The port `Program` over a child of this machine."""

    def __init__(
        self, talk: Talk, decisions: list[EgressDecision], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._talk = talk
        self._decisions = decisions
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(cls, talk: Talk, job: Job, decisions: list[EgressDecision]) -> LocalProgram:
        """Starts the command; `decisions` grows with each of its requests."""
        loop = asyncio.get_running_loop()
        into, out = talk.lend(job)
        reader = asyncio.StreamReader(_LOOP_BUFFER)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(out, "rb", 0))
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
        transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(into, "wb", 0))
        return cls(talk, decisions, reader, asyncio.StreamWriter(transport, protocol, None, loop))

    @property
    def level(self) -> Level:
        return self._talk.level

    async def read(self) -> bytes:
        return await self._reader.read(_READ)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def decided(self) -> Sequence[EgressDecision]:
        told = tuple(self._decisions)
        self._decisions.clear()
        return told

    @property
    def ended_by(self) -> Ended:
        return self._talk.ended_by

    def words(self) -> str:
        return self._talk.words

    def close(self) -> None:
        """Closes its input; the child itself is ended by whoever took it."""
        self._writer.close()
