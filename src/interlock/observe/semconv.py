"""The words of OpenTelemetry's GenAI conventions, by version, read from `semconv.toml`.

Above: spans, instruments. Below: nothing. Source of each table: its `source` key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

from msgspec import Struct

Emit = Literal["1.41", "latest", "both"]
"""Which names are written; `both` while backends are being moved from one to the other."""


class Words(Struct, frozen=True):
    """What our facts are called."""

    attributes: Mapping[str, tuple[str, ...]]
    """Fact → names; none where the conventions have no word in this version."""
    metrics: Mapping[str, tuple[str, ...]]
    providers: Mapping[str, str]
    schema_url: str

    def named(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """`facts` by their names: what is `None` or empty is left out, as is what this version has no word for."""
        return {
            name: value
            for fact, value in facts.items()
            if value is not None and value != ""
            for name in self.attributes.get(fact, ())
        }

    def provider(self, own: str) -> str:
        """The conventions' name of a vendor."""
        return self.providers.get(own, own)


def words(emit: Emit) -> Words:
    """The tables of `emit`."""
    tables = tomllib.loads((resources.files("interlock.observe") / "semconv.toml").read_text(encoding="utf-8"))
    chosen = [tables[each] for each in (("1.41", "latest") if emit == "both" else (emit,))]
    return Words(
        _joined([table["attributes"] for table in chosen]),
        _joined([table["metrics"] for table in chosen]),
        tables["providers"],
        chosen[0]["schema_url"] if len(chosen) == 1 else "",
    )


def _joined(tables: list[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    names: dict[str, dict[str, None]] = {}
    for table in tables:
        for fact, name in table.items():
            names.setdefault(fact, {})[name] = None
    return {fact: tuple(each) for fact, each in names.items()}
