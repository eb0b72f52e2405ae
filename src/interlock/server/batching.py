"""The faces for files and batches, and the worker that answers them. Above: edition. Below: app, the faces."""

from __future__ import annotations

from msgspec import Struct

from interlock.app import Interlock
from interlock.core.ids import SystemIds
from interlock.core.time import Clock
from interlock.gateway.batch import BatchWorker

from .auth import Keys
from .batch_lines import Lines
from .batches import BatchesFace
from .files import FilesFace
from .message_batches import MessageBatchesFace


class Waiting(Struct, frozen=True):
    """Files and batches, as faces and as work."""

    faces: tuple[FilesFace, BatchesFace, MessageBatchesFace]
    worker: BatchWorker


def waiting_of(il: Interlock, keys: Keys, clock: Clock) -> Waiting:
    """The faces for files and batches of an open `Interlock`, and the worker that answers them."""
    ids = SystemIds(clock)
    worker = il.waiting.worker(Lines(il.gateway, il.gateway.embeddings, ids, clock))
    files = FilesFace(il.waiting.log, keys, il.auditing, ids, clock, il.waiting.max_file_bytes)
    batches = BatchesFace(il.waiting.log, keys, ids, clock, worker.wake)
    messages = MessageBatchesFace(il.waiting.log, keys, il.auditing, ids, clock, worker.wake)
    return Waiting((files, batches, messages), worker)
