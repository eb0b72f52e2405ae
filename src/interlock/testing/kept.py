"""Kept responses in memory, for tests of faces. Above: tests. Below: `core.kept`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.core.caller import Caller
from interlock.core.kept import KeptResponse, unknown


class MemoryResponses:
    """`core.kept.Responses` without an end of time."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.keeps = keeps
        self.rows: dict[tuple[str, str, str], KeptResponse] = {}

    async def earlier(self, caller: Caller, response: str) -> Sequence[bytes]:
        turns: list[KeptResponse] = []
        at = response
        while at:
            row = self.rows.get((caller.tenant, caller.key_id, at))
            if row is None:
                raise unknown(response, "previous_response_id")
            turns.append(row)
            at = row.previous
        parts = [part for turn in reversed(turns) for part in (turn.items, turn.output)]
        return [bytes(item) for part in parts for item in msgspec.json.decode(part, type=list[msgspec.Raw])]

    async def keep(
        self, caller: Caller, response: str, previous: str, items: Sequence[bytes], output: bytes, body: bytes
    ) -> None:
        given = b"[" + b",".join(items) + b"]"
        row = KeptResponse(response, caller.tenant, caller.key_id, previous, given, output, body, 0, 0)
        self.rows[caller.tenant, caller.key_id, response] = row

    async def find(self, caller: Caller, response: str) -> KeptResponse:
        row = self.rows.get((caller.tenant, caller.key_id, response))
        if row is None:
            raise unknown(response, "response_id")
        return row

    async def delete(self, caller: Caller, response: str) -> None:
        await self.find(caller, response)
        del self.rows[caller.tenant, caller.key_id, response]
