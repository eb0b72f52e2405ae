"""What `databases:` in interlock.yaml may say: which tables, columns and rows of a database an agent may ask about.

Above: schema, app. Below: blocks.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from .blocks import Amount, Block, Name, Positive, Seconds, SecretText, Text, Texts

_DIALECTS: dict[str, Literal["sqlite", "postgres", "mysql"]] = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
}
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


class GovernedTable(Block):
    """One table that may be read."""

    columns: Annotated[Texts, Field(min_length=1)]
    where: Text = ""
    """Which rows: a condition over its columns; `:tenant` and `:user` stand for the caller's."""
    in_schema: Text = Field(default="", alias="schema")

    @model_validator(mode="after")
    def _known_parameters(self) -> GovernedTable:
        unknown = sorted(set(_PARAMETER.findall(self.where)) - {"tenant", "user"})
        if unknown:
            raise ValueError(f"where: expected :tenant or :user, found :{', :'.join(unknown)}")
        return self


class Database(Block):
    """A database that agents may query through the tool `sql.NAME`."""

    url: SecretText
    """`sqlite:PATH` (relative to the workspace), `postgresql://…` or `mysql://…`; may hold a password, so it is never shown."""
    tables: Annotated[dict[str, GovernedTable], Field(min_length=1)]
    functions: Texts = ()
    """Further functions that queries may call."""
    max_rows: Annotated[Positive, Field(le=10_000)] = 200
    max_bytes: Annotated[Positive, Field(le=10_000_000)] = 65_536
    timeout_s: Seconds = 5.0
    max_cost: Amount = 0.0
    """PostgreSQL: the planner's highest estimate; 0: any."""

    @property
    def dialect(self) -> Literal["sqlite", "postgres", "mysql"]:
        return _DIALECTS[urlsplit(self.url.reveal()).scheme]

    @model_validator(mode="after")
    def _known_address(self) -> Database:
        scheme = urlsplit(self.url.reveal()).scheme
        if scheme not in _DIALECTS:
            raise ValueError("url: expected sqlite:PATH, postgresql://USER:PASSWORD@HOST/DATABASE or mysql://…")
        return self


Databases = dict[Name, Database]
