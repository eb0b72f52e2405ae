"""Kept responses for the faces: reads off the event loop, writes on the writing thread behind the ledger's.

Above: server (through the port `core.kept.Responses`). Below: record, and a `core.store.Store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from interlock.core.caller import Caller
from interlock.core.kept import KeptResponse, UnknownResponse, unknown
from interlock.core.store import Store
from interlock.core.time import NS_PER_S, Clock

from .record import Recorder

LONGEST = 500
"""Turns of one conversation that are put together again; a longer one has to be summarised by its client."""
_PURGE_EVERY = 1024
_AT_ONCE = 256
_GATHER_S = 0.002
"""What a turn waits for others to be committed with it."""
_items = msgspec.json.Decoder(list[msgspec.Raw])


class KeptResponses:
    """`core.kept.Responses` over a store."""

    def __init__(self, store: Store, recorder: Recorder, clock: Clock, *, ttl_s: float, keeps: bool = True) -> None:
        """`ttl_s`: how long a conversation lives after its last turn. `keeps`: faces are to keep anything at all."""
        self.keeps = keeps
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._ttl_ns = int(ttl_s * NS_PER_S)
        self._kept = 0
        self._waiting: list[tuple[KeptResponse, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def earlier(self, caller: Caller, response: str) -> Sequence[bytes]:
        now_ns = self._clock.wall_ns()
        read = self._store.responses.chain
        turns = await asyncio.to_thread(read, caller.tenant, caller.key_id, response, now_ns, LONGEST)
        if not turns:
            raise unknown(response, "previous_response_id")
        if turns[0].previous:
            why = f"has more than {LONGEST} turns" if len(turns) == LONGEST else "lacks a turn that was deleted"
            raise UnknownResponse(
                f"the conversation of {response!r} {why}",
                param="previous_response_id",
                hint="Begin a new one with the items that matter in `input`.",
            )
        return [bytes(item) for turn in turns for part in (turn.items, turn.output) for item in _items.decode(part)]

    async def keep(
        self, caller: Caller, response: str, previous: str, items: Sequence[bytes], output: bytes, body: bytes
    ) -> None:
        now_ns = self._clock.wall_ns()
        given = b"[" + b",".join(items) + b"]"
        row = KeptResponse(
            response,
            caller.tenant,
            caller.key_id,
            previous,
            given,
            output,
            body,
            now_ns,
            now_ns + self._ttl_ns,
            user=caller.user,
        )
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await written

    async def _write(self) -> None:
        """Everything that waits in one transaction, and again what came meanwhile: turns that end together cost one commit."""
        try:
            while self._waiting:
                await asyncio.sleep(_GATHER_S)
                some, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                error: Exception | None = None
                try:
                    await self._recorder.run(self._keeping([row for row, _ in some]))
                except Exception as fault:  # noqa: BLE001 - whatever it is belongs to those who wait, who would else wait for ever
                    error = fault
                for _, written in some:
                    if written.done():
                        continue  # whoever waited has gone
                    if error is None:
                        written.set_result(None)
                    else:
                        written.set_exception(error)
        finally:
            self._writing = None

    def _keeping(self, rows: Sequence[KeptResponse]) -> Callable[[Store], None]:
        due = self._kept // _PURGE_EVERY != (self._kept + len(rows)) // _PURGE_EVERY or not self._kept
        self._kept += len(rows)

        def keeping(store: Store) -> None:
            store.responses.put(rows)
            if due:
                store.responses.purge(rows[0].created_ns)

        return keeping

    async def find(self, caller: Caller, response: str) -> KeptResponse:
        now_ns = self._clock.wall_ns()
        row = await asyncio.to_thread(self._store.responses.get, caller.tenant, caller.key_id, response, now_ns)
        if row is None:
            raise unknown(response, "response_id")
        return row

    async def delete(self, caller: Caller, response: str) -> None:
        if not await self._recorder.run(lambda store: store.responses.delete(caller.tenant, caller.key_id, response)):
            raise unknown(response, "response_id")
