"""A caller's own bytes with single fields exchanged where they stand: everything else stays byte for byte, unread.

Above: the `_ask` codecs of dialects whose callers have their bytes forwarded. Below: `core`. A field is exchanged by search only where its
place cannot be mistaken; else `None` is returned and the codec takes the body apart field by field.
"""

from __future__ import annotations

import re

import msgspec

from interlock.core.chat import ChatRequest

CAPS = (b'"max_tokens"', b'"max_completion_tokens"')
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
_STREAM = re.compile(rb'"stream"\s*:\s*true\b')
_NUMBER = re.compile(rb"\s*:\s*(\d{1,18})\s*[,}]")
_SPELT_OUT = re.compile(rb"\\u00[567]")
"""A letter of a key written as its number: nobody does that, but then a search would miss the key."""
_WISH = b'"stream_options":{"include_usage":true},'


def forwarded(request: ChatRequest, model: str, *, stream: bool, usage: bool) -> bytes | None:
    """`request.raw` for `model`, streamed or not; `None` where more than model and the wish for usage would have to change."""
    raw = request.raw
    cap = request.max_output_tokens
    if (cap is not None and not _caps_at(raw, cap)) or _SPELT_OUT.search(raw) is not None:
        return None
    if not stream:
        return None if b'"stream' in raw else with_model(raw, model)
    if raw.count(b'"stream"') != 1 or _STREAM.search(raw) is None:
        return None
    if not usage or request.include_usage:
        return with_model(raw, model)
    if b'"stream_options"' in raw or raw[:1] != b"{":
        return None
    named = with_model(raw, model)
    return None if named is None else b"{" + _WISH + named[1:]


def with_model(raw: bytes, model: str) -> bytes | None:
    """`raw` with its one `model` exchanged; `None` where the name stands in several places, or in none."""
    if raw.count(b'"model"') != 1:
        return None
    found = _MODEL.search(raw)
    if found is None:
        return None
    return b"%b%b%b" % (raw[: found.start(1)], msgspec.json.encode(model), raw[found.end(1) :])


def _caps_at(raw: bytes, cap: int) -> bool:
    """Whether the bytes say this output cap, once."""
    places = [(name, raw.find(name)) for name in CAPS if name in raw]
    if len(places) != 1 or raw.count(places[0][0]) != 1:
        return False
    name, at = places[0]
    found = _NUMBER.match(raw, at + len(name))
    return found is not None and int(found[1]) == cap
