"""Files and batches as they are kept: rows, and the seams to them.

A batch is a file of requests that may wait. Its lines settle in the ledger at (task = the batch, step = the line's number), so that a line
that was settled before a crash is found there and never asked again.

Above: the faces for files and batches, gateway, ledger, storage. Below: caller, chat, ports.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from .caller import Caller
from .chat import ChatRequest, ChatResponse
from .ports import Deployment
from .time import Deadline

BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
ENDED: frozenset[str] = frozenset(("failed", "completed", "expired", "cancelled"))
STRIDE = 10_000_000
"""A line that is tried again later settles this many steps further on; no file has so many lines."""


def call_of(batch: str, line: int, tries: int) -> str:
    """Id of the call that asks a line the n-th time: the same before and after a crash, and so is the vendor's idempotency key."""
    return f"cal_{tail(batch)}.{line}" + (f".{tries}" if tries else "")


def asks_a_line(task: str, call: str) -> bool:
    """Whether a call of this task is one of `call_of`, so that it may be made again under the same id."""
    return bool(tail(task)) and call.startswith(f"cal_{tail(task)}.")


def tail(batch: str) -> str:
    """What is a batch's own in its id; its files and lines are named by it."""
    return batch.partition("_")[2]


class FileRow(Struct, frozen=True, omit_defaults=True):
    """One file of a tenant; its bytes stand in the folder of files."""

    id: str
    tenant: str
    purpose: str
    name: str
    size: int
    created_ns: int
    expires_ns: int = 0
    """Zero: never."""
    user: str = ""
    """Whose it is, where its key was made for somebody."""


class Fault(Struct, frozen=True, omit_defaults=True):
    """One thing wrong with an input file."""

    code: str
    message: str
    line: int = 0
    param: str = ""


class BatchRow(Struct, frozen=True, omit_defaults=True):
    """One batch. Times are nanoseconds since the Unix epoch, zero where it has not come to that."""

    id: str
    tenant: str
    caller: Caller
    endpoint: str
    input_file: str
    window: str
    metadata: dict[str, str] = {}
    status: BatchStatus = "validating"
    created_ns: int = 0
    expires_ns: int = 0
    begun_ns: int = 0
    finalizing_ns: int = 0
    ended_ns: int = 0
    cancelling_ns: int = 0
    total: int = 0
    completed: int = 0
    failed: int = 0
    unasked: int = 0
    """Of those that failed: lines that were never asked, since it was cancelled or its time was up."""
    output_file: str = ""
    error_file: str = ""
    output_ttl_ns: int = 0
    faults: tuple[Fault, ...] = ()
    how: Literal["", "queue", "vendor"] = ""
    """Line by line from here, or through the vendor's own batch API."""
    deployment: str = ""
    """`provider/model` where it goes through the vendor."""
    vendor_id: str = ""
    submitted_ns: int = 0
    """When it was about to be submitted; without a `vendor_id` nobody knows whether it was."""


class Line(Struct, frozen=True):
    """One request of a batch: where it stands in the input file, and what came of it."""

    line: int
    """Counted from 1."""
    custom_id: str
    at: int
    """Offset in the file."""
    size: int
    tries: int = 0
    status: int = 0
    """The HTTP status of the answer; zero while there is none."""
    reply: bytes = b""
    """The answer's body."""


class FileStore(Protocol):
    """Rows of files. Whoever asks sees those of its own tenant only."""

    def put(self, row: FileRow) -> None: ...
    def get(self, tenant: str, file: str, now_ns: int) -> FileRow | None: ...

    def list(self, tenant: str, purpose: str, after: str, limit: int, now_ns: int) -> list[FileRow]:
        """Newest first, older than `after`; empty texts do not filter."""
        ...

    def delete(self, tenant: str, file: str) -> bool: ...

    def expired(self, now_ns: int, limit: int = 100) -> Sequence[FileRow]: ...


class BatchStore(Protocol):
    """Rows of batches and their lines."""

    def create(self, row: BatchRow) -> None: ...
    def get(self, tenant: str, batch: str) -> BatchRow | None: ...

    def list(self, tenant: str, kind: str, after: str, limit: int) -> list[BatchRow]:
        """Those whose ids begin with `kind`, newest first, older than `after`."""
        ...

    def save(self, row: BatchRow, owner: str) -> bool:
        """The worker's word on its batch; a wish to cancel that came meanwhile stays. False, and nothing was written, where somebody else than `owner` holds it."""
        ...

    def cancel(self, tenant: str, batch: str, now_ns: int) -> bool:
        """Notes the wish; False where there is no such batch or it has ended."""
        ...

    def claim(
        self, owner: str, *, now_ns: int, lease_until_ns: int, alive: Callable[[str], bool] | None = None
    ) -> BatchRow | None:
        """The oldest batch that is not over and that nobody works on, now held by `owner`; `None` where there is none."""
        ...

    def renew(self, batch: str, owner: str, *, lease_until_ns: int) -> bool:
        """False where somebody else holds it now."""
        ...

    def release(self, batch: str, owner: str, *, until_ns: int = 0) -> None:
        """Gives it back; nobody takes it before `until_ns`."""
        ...

    def add_lines(self, batch: str, lines: Sequence[Line]) -> None:
        """Lines that are there already are passed over."""
        ...

    def pending(self, batch: str, after: int, limit: int) -> Sequence[Line]:
        """Lines without an answer, in order, after line `after`."""
        ...

    def answered(self, batch: str, lines: Sequence[Line]) -> None:
        """Keeps answers (or only `tries`, where `status` is zero); an answer that is there already stays."""
        ...

    def answers(self, batch: str, after: int, limit: int) -> Sequence[Line]:
        """Lines with an answer, in order, after line `after`."""
        ...

    def counts(self, batch: str) -> tuple[int, int, int]:
        """(lines, answered with success, answered with failure)."""
        ...

    def drop_lines(self, batch: str) -> None:
        """Of a batch that is over; with an empty name, of every such batch."""
        ...


class Blobs(Protocol):
    """The folder of files. Methods block: call them off the event loop, but for `write`."""

    async def write(self, row: FileRow, pieces: AsyncIterator[bytes]) -> int:
        """Streams to disk; returns the size. The file is there whole or not at all."""
        ...

    def write_now(self, row: FileRow, pieces: Iterator[bytes]) -> int: ...

    def path(self, row: FileRow) -> str | None:
        """Where the bytes stand as they are; `None` where they stand sealed."""
        ...

    def pieces(self, row: FileRow) -> Iterator[bytes]:
        """The whole file, some kilobytes at a time."""
        ...

    def lines(self, row: FileRow, at: int = 0) -> Iterator[tuple[int, bytes]]:
        """(offset, line without its end) from an offset on, empty lines left out.

        Raises:
            TooLarge: a line is longer than any request may be.
        """
        ...

    def read(self, row: FileRow, at: int, size: int) -> bytes: ...

    def delete(self, row: FileRow) -> None: ...


# --- Vendors' own batch APIs ------------------------------------------------------------------------------------


class VendorBatch(Struct, frozen=True, omit_defaults=True):
    """A vendor's batch as the vendor tells it."""

    id: str
    ended: bool = False
    failed: str = ""
    """Why nothing of it was done at all; empty else."""
    answers: tuple[str, ...] = ()
    """Where its answers stand at the vendor, once it has ended."""


class VendorAnswer(Struct, frozen=True):
    """One line's answer."""

    name: str
    """As the line was named when it was submitted."""
    status: int
    response: ChatResponse | None
    """`None` where it failed; `error` says how."""
    error: str = ""


class BatchApi(Protocol):
    """One vendor's batch API. Every method may raise UpstreamError."""

    def offered(self, deployment: Deployment) -> bool:
        """Whether this deployment's server has one."""
        ...

    def line(self, deployment: Deployment, request: ChatRequest, name: str) -> bytes:
        """A request as it stands in a vendor's batch. Raises InvalidRequest where it cannot be carried."""
        ...

    async def submit(self, deployment: Deployment, lines: Sequence[bytes], mark: str, deadline: Deadline) -> str:
        """The vendor's id of a batch that `find` finds by its mark."""
        ...

    async def find(self, deployment: Deployment, mark: str, since_ns: int, deadline: Deadline) -> str:
        """The vendor's id of a batch that was submitted under this mark, not long before `since_ns`; empty where there is none."""
        ...

    async def look(self, deployment: Deployment, vendor_id: str, deadline: Deadline) -> VendorBatch: ...

    def answers(
        self, deployment: Deployment, batch: VendorBatch, deadline: Deadline
    ) -> AsyncIterator[VendorAnswer]: ...

    async def cancel(self, deployment: Deployment, vendor_id: str, deadline: Deadline) -> None: ...


@runtime_checkable
class HasBatches(Protocol):
    """A provider whose vendor has a batch API."""

    @property
    def batches(self) -> BatchApi: ...
