"""What `workers:` in interlock.yaml may say: how due tasks are shared out. Above: schema, app. Below: blocks."""

from __future__ import annotations

from pydantic import Field

from .blocks import Block, Positive, Seconds


class WorkerSettings(Block):
    """How each process that works on tasks does so: `interlock worker`, and `interlock serve` unless it leaves tasks alone."""

    concurrency: Positive = 32
    """Tasks that one process works on at once."""
    per_tenant: Positive | None = None
    """Tasks of one tenant that are worked on at once, over all processes; none for no bound."""
    priorities: dict[str, int] = Field(default_factory=dict[str, int])
    """By workflow: within a tenant, tasks of a higher number go first; 0 for those that are not named."""
    lease_s: Seconds = 30.0
    """How long a task stays with a process that has stopped without a word."""
    serve: bool = True
    """Whether `interlock serve` works on tasks too."""
