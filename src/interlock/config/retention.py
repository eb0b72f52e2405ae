"""What `retention:` in interlock.yaml may say: how long the ledger keeps what. Above: schema, app. Below: blocks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .blocks import Block, Positive, Text


class RetentionSettings(Block):
    """Sums by the hour stay for ever; what they were summed from need not."""

    raw_days: Positive | None = None
    """Days after which the events of finished tasks and calls leave the store; none: they stay."""
    bodies_days: Positive | None = None
    """Days after which what was said in them is forgotten, though the events stay; none: as long as the events."""
    breakers_days: Positive | None = None
    """Days after which changes of breakers are forgotten, though they stay counted by the hour; none: as long as the events."""
    max_size_mb: Annotated[int, Field(ge=16)] | None = None
    """From this size on the oldest days leave before their time, today's never; none: no bound."""
    then: Literal["archive", "delete"] = "archive"
    """What becomes of events that leave: Parquet files, or nothing."""
    folder: Annotated[Text, Field(min_length=1)] = "archive"
    """Where those files go, relative to the workspace."""
