"""Pages as bytes: the templates, what they may call, the headers that keep hostile text a text.

Above: face. Below: the pages' values, Jinja2. Every text goes through `clean` and is escaped; no template marks anything as safe.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from interlock.core.text import clean, millis, money, one_line, plural, words

HERE = Path(__file__).parent
HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    # Nothing is said to other sites; with `no-referrer` browsers would send our own forms with the origin `null` as well.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
STATES: Mapping[str, str] = {
    **dict.fromkeys(("resolved", "ok", "cache_hit", "closed", "approve", "edit"), "good"),
    **dict.fromkeys(
        (
            "waiting",
            "paused",
            "waiting_approval",
            "denied",
            "refused",
            "shed",
            "in_doubt",
            "half_open",
            "behind",
            "gone",
        ),
        "warn",
    ),
    **dict.fromkeys(("failed", "limit_reached", "error", "timeout", "crashed", "open", "full"), "bad"),
    **dict.fromkeys(("handed_to_human", "simulated"), "other"),
}
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def as_json(value: Any, status: int = 200) -> Response:
    """A page's value as its JSON twin."""
    return Response(msgspec.json.encode(value), status, HEADERS, media_type="application/json")


def pretty(value: Any) -> str:
    """A JSON value over several lines, on one where it is nested too deep for that; a text, or the JSON in a text, as what it is."""
    if isinstance(value, str):
        if not value.startswith(("{", "[")):
            return clean(value)
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return clean(value)
    try:
        return clean(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    except RecursionError:
        return clean(msgspec.json.encode(value, enc_hook=str).decode())


def moment(at: int | str) -> str:
    """A point in time (nanoseconds of the epoch or ISO 8601) in UTC; empty for none."""
    if not at:
        return ""
    known = dt.datetime.fromisoformat(at) if isinstance(at, str) else dt.datetime.fromtimestamp(at / 1e9, dt.UTC)
    return known.strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(value: float | None) -> str:
    """A duration; a dash for none."""
    return "–" if value is None else millis(round(value * 1000))


def state(word: str) -> str:
    """The class of the colour of an outcome or a status."""
    return STATES.get(word, "")


def segment(text: str) -> str:
    """A text as one part of an address."""
    return quote(text, safe="")


def query(asked: Mapping[str, str]) -> str:
    """What stands behind the question mark of an address."""
    return urlencode({name: value for name, value in asked.items() if value})


FILTERS: Mapping[str, Callable[..., Any]] = {
    "money": money,
    "moment": moment,
    "ms": milliseconds,
    "one_line": one_line,
    "plural": plural,
    "pretty": pretty,
    "query": query,
    "segment": segment,
    "state": state,
    "words": words,
}


class Drawing:
    """The templates and the static files, read once; a template is compiled when its page is first asked for."""

    def __init__(self) -> None:
        self._pages = Environment(
            loader=DictLoader({path.name: path.read_text("utf-8") for path in (HERE / "templates").glob("*.html")}),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_cleaned,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._pages.filters.update(FILTERS)
        self._files = {path.name: path.read_bytes() for path in (HERE / "static").iterdir() if path.suffix in TYPES}
        # An address changes with the files, so that no browser shows a new page in an old dress.
        known = sha256(b"".join(data for _, data in sorted(self._files.items()))).hexdigest()[:12]
        self._pages.globals["version"] = known  # pyright: ignore[reportArgumentType]

    def text(self, name: str, **values: Any) -> str:
        """A template filled in."""
        return self._pages.get_template(name).render(values)

    def page(self, name: str, status: int = 200, **values: Any) -> Response:
        """A template as an answer."""
        return Response(self.text(name, **values), status, HEADERS, media_type="text/html")

    def static(self, name: str) -> Response:
        """A file that comes with the package; 404 for another name."""
        data = self._files.get(name)
        if data is None:
            return Response("no such file", 404, HEADERS, media_type="text/plain")
        headers = {
            **HEADERS,
            "cache-control": "private, max-age=31536000, immutable",
            "content-type": TYPES[Path(name).suffix],
        }
        return Response(data, 200, headers)


def _cleaned(value: Any) -> Any:
    """Without control characters and reading-order overrides, which escaping leaves as they are."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
