"""A batch through its vendor's own batch API: at the vendor's batch price, submitted once whatever happens in between.

Above: batch. Below: `core.batches.BatchApi`, `ledger.BatchLog`. That it is about to be submitted is written down first; whoever finds that note and no
vendor's id asks the vendor for a batch with our mark before submitting anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, structs

from interlock.core.batches import BatchApi, BatchRow, HasBatches, Line, VendorAnswer, call_of
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import BadReply, InterlockError, NotPermitted, UpstreamRejected
from interlock.core.events import Attempt, Record, Settled
from interlock.core.limits import NOTHING, Vector, vector
from interlock.core.money import cost_of
from interlock.core.ports import Deployment, PriceOf, Provider
from interlock.core.time import NS_PER_S, Clock, Deadline
from interlock.ledger import BatchLog

from . import shape, tokens
from .batch_files import AT_ONCE, body_of
from .quota import Held, Quotas
from .settings import Profile

LARGEST_BYTES = 64 * 1024 * 1024
"""Of a file that goes through a vendor; a larger one goes line by line."""
STEP_S = 600.0


class Speaks(Protocol):
    """The dialect of a batch's lines."""

    def request(self, endpoint: str, body: bytes) -> ChatRequest | None:
        """The request of a line; `None` where it has no other form. Raises InvalidRequest."""
        ...

    def reply(self, endpoint: str, response: ChatResponse, settled: Settled) -> bytes:
        """The body of an answer."""
        ...

    def refusal(self, endpoint: str, status: int, said: str) -> bytes:
        """The body of an error that the vendor told of one line."""
        ...


class VendorParts(Struct, frozen=True):
    """What is needed to go through vendors."""

    log: BatchLog
    clock: Clock
    providers: Mapping[str, Provider]
    """By dialect."""
    first_of: Callable[[Caller, str], Deployment]
    """The deployment that a call for this name of a model begins with. Raises UnknownModel, UpstreamAuth."""
    batch_price_of: PriceOf
    speaks: Speaks
    profile_of: Callable[[Deployment], Profile]
    quotas: Quotas | None = None


class VendorBatches:
    """`batch.Vendors`."""

    def __init__(self, parts: VendorParts) -> None:
        self._parts = parts
        self._held: dict[str, tuple[Held, Vector]] = {}
        """By batch: what is held back for it at the limits of its key and tenant, and what was used of it."""

    async def takes(self, row: BatchRow) -> str:
        """The deployment that every line would begin with, if its vendor has a batch API and can take them all."""
        file = await self._parts.log.file(row.tenant, row.input_file)
        if file.size > LARGEST_BYTES:
            return ""
        try:
            found = await asyncio.to_thread(self._common, row)
        except InterlockError:  # a line that is at fault is told so in its place, line by line
            return ""
        return "" if found is None else found.name

    def _common(self, row: BatchRow) -> Deployment | None:
        found: Deployment | None = None
        for line, request in self._requests(row):
            deployment = self._parts.first_of(row.caller, request.model)
            found = found or deployment
            api = self._api(found)
            if deployment.name != found.name or api is None or not api.offered(found):
                return None
            api.line(found, request, _name(row, line))
        return found

    async def go_on(self, row: BatchRow) -> BatchRow | None:
        parts = self._parts
        deployment, api = await asyncio.to_thread(self._at, row)
        deadline = Deadline.after(parts.clock, STEP_S)
        if not row.vendor_id:
            return await self._submitted(row, deployment, api, deadline)
        seen = await api.look(deployment, row.vendor_id, deadline)
        if seen.failed:
            self._give_back(row)
            return structs.replace(row, how="queue", vendor_id="", deployment="")
        if not seen.ended:
            return row
        if row.id in self._held:  # fetching may have broken off before: every answer is told once more
            self._held[row.id] = (self._held[row.id][0], NOTHING)
        gathered: list[VendorAnswer] = []
        async for answer in api.answers(deployment, seen, deadline):
            gathered.append(answer)
            if len(gathered) >= AT_ONCE:
                await self._settle(row, deployment, gathered)
                gathered = []
        await self._settle(row, deployment, gathered)
        self._give_back(row)
        return None

    async def cancel(self, row: BatchRow) -> None:
        if not row.vendor_id:
            return
        deployment, api = await asyncio.to_thread(self._at, row)
        seen = await api.look(deployment, row.vendor_id, Deadline.after(self._parts.clock, STEP_S))
        if not seen.ended:
            await api.cancel(deployment, row.vendor_id, Deadline.after(self._parts.clock, STEP_S))

    def over(self, row: BatchRow) -> None:
        self._give_back(row)

    async def _submitted(self, row: BatchRow, deployment: Deployment, api: BatchApi, deadline: Deadline) -> BatchRow:
        """Once, under our mark: a process that died in between may have submitted it, and only the vendor knows."""
        log, clock = self._parts.log, self._parts.clock
        if row.submitted_ns:
            found = await api.find(deployment, row.id, row.submitted_ns, deadline)
            if found:
                return await log.save(structs.replace(row, vendor_id=found))
        else:
            row = await log.save(structs.replace(row, submitted_ns=clock.wall_ns()))
        lines = await asyncio.to_thread(self._lines, row, deployment, api)
        try:
            await self._hold(row, deployment)
            vendor_id = await api.submit(deployment, lines, row.id, deadline)
        except (UpstreamRejected, NotPermitted):  # it cannot go as a batch; each line finds out why by itself
            self._give_back(row)
            return structs.replace(row, how="queue", deployment="")
        return await log.save(structs.replace(row, vendor_id=vendor_id))

    async def _hold(self, row: BatchRow, deployment: Deployment) -> None:
        """Holds the upper estimate of the whole batch back, as one request.

        Raises:
            LimitReached, LimitUnknown: there is no room for it now. NotPermitted: its key may not use the model.
        """
        quotas = self._parts.quotas
        if quotas is None or row.id in self._held:
            return
        into, out, model = await asyncio.to_thread(self._upper, row, deployment)
        price = self._parts.batch_price_of(deployment, 0)
        cost = shape.upper_cost(price, into, out)
        held = quotas.reserve(row.caller, model, into, out, cost, price.rates.output, out)
        if held is None:
            return
        if held.who.shared:
            await quotas.confirm(held, max(1.0, (row.expires_ns - self._parts.clock.wall_ns()) / NS_PER_S))
        self._held[row.id] = (held, NOTHING)

    def _upper(self, row: BatchRow, deployment: Deployment) -> tuple[int, int, str]:
        """(input tokens, output tokens, model) that the batch may use at most; blocks."""
        into = out = 0
        model = ""
        usual = self._parts.profile_of(deployment).max_output
        for _, request in self._requests(row):
            into += tokens.of_request(request)
            out += (request.max_output_tokens or usual) * request.n
            model = request.model
        return into, out, model

    def _give_back(self, row: BatchRow) -> None:
        """What was used takes the place of what was held."""
        held = self._held.pop(row.id, None)
        if held is not None and self._parts.quotas is not None:
            self._parts.quotas.settle(*held)

    def _at(self, row: BatchRow) -> tuple[Deployment, BatchApi]:
        """Where it was decided to go. Raises BadReply where the workspace no longer leads there."""
        for _, request in self._requests(row):
            deployment = self._parts.first_of(row.caller, request.model)
            api = self._api(deployment)
            if deployment.name == row.deployment and api is not None:
                return deployment, api
            break
        raise BadReply(f"batch {row.id} was sent to {row.deployment}, which this workspace no longer names.")

    def _api(self, deployment: Deployment) -> BatchApi | None:
        provider = self._parts.providers.get(deployment.dialect)
        return provider.batches if isinstance(provider, HasBatches) else None

    def _requests(self, row: BatchRow) -> Iterator[tuple[int, ChatRequest]]:
        """(line, request) of each line, as long as they have one; blocks."""
        file = self._parts.log.file_now(row.tenant, row.input_file)
        for number, (_, raw) in enumerate(self._parts.log.blobs.lines(file), 1):
            request = self._parts.speaks.request(row.endpoint, body_of(raw))
            if request is None:
                return
            yield number, structs.replace(request, tenant=row.tenant)

    def _lines(self, row: BatchRow, deployment: Deployment, api: BatchApi) -> list[bytes]:
        return [api.line(deployment, request, _name(row, line)) for line, request in self._requests(row)]

    # --- what came back ---

    async def _settle(self, row: BatchRow, deployment: Deployment, answers: Sequence[VendorAnswer]) -> None:
        """Each answer is booked at its line's place and noted with its line; both may be done again without harm."""
        if not answers:
            return
        now_ns = self._parts.clock.wall_ns()
        records: list[Record] = []
        lines: list[Line] = []
        for answer in answers:
            mark, _, number = answer.name.rpartition("-")
            if mark != row.id or not number.isdigit():
                continue
            settled = self._event(row, deployment, int(number), answer, now_ns)
            records.append(Record(row.id, int(number), row.tenant, now_ns, settled))
            speaks = self._parts.speaks
            body = (
                speaks.refusal(row.endpoint, answer.status, answer.error)
                if answer.response is None
                else speaks.reply(row.endpoint, answer.response, settled)
            )
            lines.append(Line(int(number), "", 0, 0, 1, answer.status, body))
        await self._parts.log.append(records)
        await self._parts.log.answered(row.id, lines)
        if row.id in self._held:
            held, used = self._held[row.id]
            events = [record.event for record in records if isinstance(record.event, Settled)]
            into, out = sum(e.usage.input_total for e in events), sum(e.usage.output_total for e in events)
            more = vector(1 if used is NOTHING else 0, into, out, sum(e.cost_nano_usd for e in events))
            total: Any = tuple(a + b for a, b in zip(used, more, strict=True))
            self._held[row.id] = (held, total)

    def _event(self, row: BatchRow, deployment: Deployment, line: int, answer: VendorAnswer, now_ns: int) -> Settled:
        """The one event of a line that went through the vendor, at the vendor's batch price."""
        response = answer.response or ChatResponse(deployment.model)
        price = self._parts.batch_price_of(deployment, response.usage.input_total)
        cost = cost_of(price.rates, response.usage)
        status = "error" if answer.response is None else "ok"
        took_us = max(0, now_ns - row.submitted_ns) // 1000
        attempt = Attempt(
            deployment.name,
            status,
            row.submitted_ns,
            took_us,
            usage=response.usage,
            cost_nano_usd=cost,
            price=price.version,
            region=deployment.region,
            error="" if answer.response else "upstream_rejected",
            message=answer.error[:500],
        )
        return Settled(
            call=call_of(row.id, line, 0),
            kind="model",
            name=deployment.name,
            caller=structs.replace(row.caller, task=row.id, step=line),
            status=status,
            started_ns=row.submitted_ns,
            duration_us=took_us,
            deployment=deployment.name if answer.response else "",
            attempts=(attempt,),
            usage=response.usage,
            cost_nano_usd=cost,
            price=price.version,
            reasons=(f"through the vendor's batch API, {row.vendor_id}",),
            error=attempt.error,
            message=attempt.message,
        )


def _name(row: BatchRow, line: int) -> str:
    return f"{row.id}-{line}"
