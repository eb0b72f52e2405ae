"""What vendors say they have billed: their usage and cost exports, by day, model and key.

Sources (November 2026): OpenAI, "Usage" and "Costs" of the API reference (developers.openai.com/docs/api-reference/usage), the CSV
of the usage page (its columns are those of the API); Anthropic, "Usage and Cost API" (platform.claude.com/docs), the CSVs of the
Console's usage and cost pages. Token counts of Anthropic are apart from each other, OpenAI's input includes what was cached.

Above: verify. Below: `core`. Files may hold one page, a list of pages, or the CSV; a kind of file is known by its fields.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from interlock.core.errors import InvalidRequest
from interlock.core.money import NANO_PER_USD, Usage

Vendor = Literal["openai", "anthropic"]
_DATED = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})$")
_CENTS_PER_USD = 100


class Billed(Struct, frozen=True):
    """What one vendor billed on one day for one model to one key, as far as its export says."""

    day: str
    """ISO 8601, UTC."""
    model: str
    """As the vendor names it, without the date of its version; empty where the export does not tell models apart."""
    key: str = ""
    usage: Usage | None = None
    """`None` in exports of cost alone."""
    requests: int | None = None
    cost_nano_usd: int | None = None


class Export(Struct, frozen=True):
    """One file."""

    vendor: Vendor
    lines: tuple[Billed, ...]

    def of_keys(self, keys: Collection[str]) -> Export:
        """The same with the lines of these keys only; all of them where none is named."""
        return Export(self.vendor, tuple(line for line in self.lines if not keys or line.key in keys))


def read(data: bytes, name: str = "the file") -> Export:
    """An export, whatever of the known kinds it is.

    Raises:
        InvalidRequest: it is none of them; says what was looked for.
    """
    text = data.decode("utf-8-sig", errors="replace").strip()
    try:
        if text.startswith(("{", "[")):
            return _from_json(msgspec.json.decode(text.encode()))
        return _from_csv(csv.DictReader(io.StringIO(text)))
    except (msgspec.DecodeError, KeyError, ValueError, TypeError, InvalidOperation) as fault:
        raise InvalidRequest(
            f"{name} is no usage or cost export that is known: {type(fault).__name__}: {fault}",
            param="FILE",
            hint="Known: JSON of OpenAI's organization/usage/completions and organization/costs, JSON of Anthropic's "
            "usage_report/messages and cost_report, and the CSVs of both vendors' usage and cost pages.",
        ) from fault


def plain(model: str) -> str:
    """A model's name without the date of its version: vendors bill `gpt-4o-2024-08-06` for what was asked for as `gpt-4o`."""
    return _DATED.sub("", model)


# --- JSON -------------------------------------------------------------------------------------------------------


def _from_json(value: Any) -> Export:
    pages = cast("list[dict[str, Any]]", value if isinstance(value, list) else [value])
    buckets = [bucket for page in pages for bucket in page.get("data", [page])]
    lines: list[Billed] = []
    vendors: set[Vendor] = set()
    for bucket in buckets:
        anthropic = "starting_at" in bucket
        vendors.add("anthropic" if anthropic else "openai")
        day = str(bucket["starting_at"])[:10] if anthropic else _day_of(int(bucket["start_time"]))
        lines.extend((_anthropic if anthropic else _openai)(result, day) for result in bucket["results"])
    if len(vendors) != 1:
        raise ValueError("no buckets of one vendor")
    return Export(vendors.pop(), tuple(lines))


def _openai(result: Mapping[str, Any], day: str) -> Billed:
    amount = result.get("amount")
    if amount is not None:
        model = str(result.get("line_item") or "").partition(",")[0].strip()
        return Billed(day, plain(model), str(result.get("api_key_id") or ""), cost_nano_usd=_usd(amount["value"]))
    cached = int(result.get("input_cached_tokens") or 0)
    written = int(result.get("input_cache_write_tokens") or 0)
    usage = Usage(
        input=int(result["input_tokens"]) - cached - written,
        cache_read=cached,
        cache_write=written,
        output=int(result.get("output_tokens") or 0),
    )
    requests = result.get("num_model_requests")
    key = str(result.get("api_key_id") or "")
    return Billed(day, plain(str(result.get("model") or "")), key, usage, None if requests is None else int(requests))


def _anthropic(result: Mapping[str, Any], day: str) -> Billed:
    model, key = plain(str(result.get("model") or "")), str(result.get("api_key_id") or "")
    if "amount" in result:
        return Billed(day, model, key, cost_nano_usd=_usd(result["amount"]) // _CENTS_PER_USD)
    created: Mapping[str, Any] = result.get("cache_creation") or {}
    usage = Usage(
        input=int(result["uncached_input_tokens"]),
        cache_read=int(result.get("cache_read_input_tokens") or 0),
        cache_write=int(created.get("ephemeral_5m_input_tokens") or result.get("cache_creation_5m_input_tokens") or 0),
        cache_write_1h=int(
            created.get("ephemeral_1h_input_tokens") or result.get("cache_creation_1h_input_tokens") or 0
        ),
        output=int(result.get("output_tokens") or 0),
    )
    return Billed(day, model, key, usage)


# --- CSV --------------------------------------------------------------------------------------------------------


def _from_csv(rows: csv.DictReader[str]) -> Export:
    names = set(rows.fieldnames or ())
    if "usage_date_utc" in names:
        return Export("anthropic", tuple(_anthropic_rows(rows)))
    if names & {"start_time", "start_time_iso", "date"} and names & {"input_tokens", "amount_value", "cost_usd"}:
        return Export("openai", tuple(_openai_rows(rows)))
    raise ValueError(f"the columns {', '.join(sorted(names)[:12]) or 'are missing'}")


def _anthropic_rows(rows: Iterable[Mapping[str, str]]) -> Iterator[Billed]:
    for row in rows:
        model = plain(row.get("model_version") or row.get("model") or "")
        if "cost_usd" in row:
            yield Billed(
                row["usage_date_utc"][:10], model, row.get("api_key") or "", cost_nano_usd=_usd(row["cost_usd"])
            )
            continue
        written = _int(row, "usage_input_tokens_cache_write_5m") or _int(row, "usage_input_tokens_cache_write")
        usage = Usage(
            input=_int(row, "usage_input_tokens_no_cache"),
            cache_read=_int(row, "usage_input_tokens_cache_read"),
            cache_write=written,
            cache_write_1h=_int(row, "usage_input_tokens_cache_write_1h"),
            output=_int(row, "usage_output_tokens"),
        )
        yield Billed(row["usage_date_utc"][:10], model, row.get("api_key") or "", usage)


def _openai_rows(rows: Iterable[Mapping[str, str]]) -> Iterator[Billed]:
    for row in rows:
        start = row.get("start_time_iso") or row.get("date") or ""
        day = start[:10] if start else _day_of(int(float(row["start_time"])))
        key = row.get("api_key_id") or row.get("api_key_name") or ""
        cost = row.get("amount_value") or row.get("cost_usd")
        if cost is not None and not row.get("input_tokens"):
            model = row.get("model") or (row.get("line_item") or "").partition(",")[0].strip()
            yield Billed(day, plain(model), key, cost_nano_usd=_usd(cost))
            continue
        cached = _int(row, "input_cached_tokens")
        usage = Usage(input=_int(row, "input_tokens") - cached, cache_read=cached, output=_int(row, "output_tokens"))
        yield Billed(day, plain(row.get("model") or ""), key, usage, _int(row, "num_model_requests") or None)


def _int(row: Mapping[str, str], name: str) -> int:
    return int(float((row.get(name) or "0").replace(",", "")))


def _usd(amount: str | float) -> int:
    return int(Decimal(str(amount)) * NANO_PER_USD)


def _day_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
