"""What `schedules:` in interlock.yaml may say: tasks that come round by themselves. Above: schema, app. Below: blocks, core's cron."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from interlock.core.cron import every, parse_cron
from interlock.core.due import MOST_URGENT

from .blocks import Block, Name, Plain, Seconds, Text


def _readable(value: str) -> str:
    if value:
        parse_cron(value)
    return value


class Schedule(Block):
    """One task that is begun again and again."""

    name: Annotated[Name, Field(min_length=1)]
    """Under which it is remembered when it last came round."""
    workflow: Annotated[Text, Field(min_length=1)]
    input: dict[Name, Plain] = Field(default_factory=dict[str, Any])
    """What each of its tasks is given."""
    cron: Annotated[Text, AfterValidator(_readable)] = ""
    """Minute, hour, day, month, weekday, in UTC: `0 7 * * mon-fri`."""
    every_s: Seconds | None = None
    """Instead of `cron`."""
    user: Text = ""
    """On whose behalf."""
    priority: int = Field(default=0, ge=-MOST_URGENT, le=MOST_URGENT)
    """Of its tasks, beside others of the tenant."""
    lock: Annotated[Text, Field(max_length=200)] = ""
    """Of its tasks, too: one does not begin while an older one with the same lock is not over."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Schedule:
        if bool(self.cron) == (self.every_s is not None):
            raise ValueError("expected either cron or every_s")
        if self.every_s is not None and self.every_s < 1:
            raise ValueError("every_s: expected one second or more")
        return self

    def next_after(self, at_ns: int) -> int:
        """When it comes round next, in nanoseconds since the epoch."""
        return parse_cron(self.cron).next_after(at_ns) if self.cron else every(self.every_s or 1.0, at_ns)
