"""How content (prompts, answers, arguments) is stored: long texts once for each tenant, the rest compressed.

Above: said. Below: zlib, core. Pure: bytes in, bytes out. Content is JSON; a text of `SHARED` characters or more in it becomes a reference to a
body, which is found by a keyed hash of tenant and text, so that a system prompt, or the turns of a conversation that every step repeats,
are there once. `packed` and `unpacked` are all that touches bytes at rest.

What is kept begins with a form (one byte: 1), then how many bodies it names (two bytes, little-endian), their names, and the packed rest. Anything
else is JSON as it was kept before there were bodies.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.sealing import SEALED

SHARED = 256
"""Characters from which on a text stands by itself; below, its name and its row would take more than they save."""
NAME_BYTES = 15
NOTHING = b"null"
"""In the place of content that is not kept."""
MOST_NAMES = 65_535
"""In one kept value; further texts stand where they are."""
_FORM = b"\x01"
_NO_NAMES = _FORM + (0).to_bytes(2, "little")
_MARK, _MARK_JSON = "\x01", b"\\u0001"
"""What a reference begins with; a text that begins so itself gets one more in front."""
_PLAIN, _ZLIB = b"p", b"z"
_SEAL = f'{{"{SEALED}":'.encode()
"""How sealed content begins: no two seals are alike, so none stands by itself."""
_LEVEL = 1
"""Of zlib: a third of the CPU of its usual level, for a tenth more bytes."""
_WORTH = SHARED
"""Bytes below which compressing gains a few dozen bytes, and clears a table of 64 KiB for it."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_pieces = msgspec.json.Decoder(list[msgspec.Raw])


def kept_short(content: bytes) -> bytes | None:
    """What is kept for content in which no text can be long; `None` where it has to be looked through."""
    if len(content) >= SHARED or _MARK_JSON in content or content.startswith(_SEAL):
        return None
    return _NO_NAMES + _PLAIN + content


class Kept(Struct, frozen=True):
    """A kept value, taken apart: the names of the bodies that it holds, and its JSON with references to them."""

    names: tuple[bytes, ...]
    json: bytes
    old: bool = False
    """From before there were bodies: it has no references, whatever its texts look like."""

    def pieces(self) -> list[bytes]:
        """The elements of its list, each as it stands."""
        return [bytes(each) for each in _pieces.decode(self.json)]

    def told(self, piece: bytes, texts: Mapping[bytes, str]) -> bytes:
        """One of `pieces`, or the whole, as it was before `split`; a body that is gone reads as an empty text."""
        if self.old or _MARK_JSON not in piece:
            return piece
        return _encode(mapped(_decode(piece), lambda text: self._told(text, texts)))

    def _told(self, text: str, texts: Mapping[bytes, str]) -> str:
        place = _place(text)
        if place is None:
            return text.removeprefix(_MARK)
        return texts.get(self.names[place], "")


def name_of(secret: bytes, tenant: str, text: str) -> bytes:
    """A text's name: nobody who lacks the store's secret can tell which text it is of, and no two tenants share one."""
    whose = hashlib.blake2b(tenant.encode(), digest_size=16).digest()
    return hashlib.blake2b(text.encode(), digest_size=NAME_BYTES, key=secret, person=whose).digest()


def packed(plain: bytes) -> bytes:
    """`plain` as it rests."""
    if len(plain) >= _WORTH and _SEAL not in plain[: len(_SEAL) + 1]:  # seals were compressed before, and gain nothing
        small = zlib.compress(plain, _LEVEL)
        if len(small) < len(plain):
            return _ZLIB + small
    return _PLAIN + plain


def unpacked(kept: bytes) -> bytes:
    """What `packed` was given."""
    return zlib.decompress(kept[1:]) if kept[:1] == _ZLIB else kept[1:]


class Splitter:
    """Takes long texts out of contents that are kept together."""

    def __init__(self, name: Callable[[str], bytes] | None) -> None:
        """`name` gives a text's name; without it everything is kept as it was before there were bodies."""
        self._name = name
        self._places: dict[bytes, int] = {}
        self.texts: dict[bytes, str] = {}
        """By name, those that were taken out here."""

    def split(self, content: bytes) -> bytes:
        """`content` (JSON) with references."""
        if self._name is None or content.startswith(_SEAL):
            return content
        if len(content) < SHARED and _MARK_JSON not in content:
            return content
        try:
            return _encode(mapped(_decode(content), self._referred))
        except (msgspec.DecodeError, RecursionError):
            return content  # what JSON's readers refuse is not made worse

    def again(self, piece: bytes, kept: Kept) -> bytes:
        """One of the pieces of what was kept before, which stays among others."""
        if kept.old:
            return self.split(piece)
        if _MARK_JSON not in piece:
            return piece
        return _encode(mapped(_decode(piece), lambda text: self._moved(text, kept.names)))

    def kept(self, json: bytes) -> bytes | str:
        """The whole, of which each part went through `split` or `again`."""
        if self._name is None:
            return json.decode()
        count = len(self._places).to_bytes(2, "little")
        return b"".join((_FORM, count, *self._places, packed(json)))

    def _referred(self, text: str) -> str:
        if self._name is not None and len(text) >= SHARED and len(self._places) < MOST_NAMES:
            name = self._name(text)
            self.texts[name] = text
            return self._at(name)
        return _MARK + text if text.startswith(_MARK) else text

    def _moved(self, text: str, names: Sequence[bytes]) -> str:
        place = _place(text)
        return text if place is None else self._at(names[place])

    def _at(self, name: bytes) -> str:
        return f"{_MARK}{self._places.setdefault(name, len(self._places))}"


def taken_apart(kept: bytes | str) -> Kept:
    """A kept value, of whatever form."""
    if isinstance(kept, str):
        return Kept((), kept.encode(), old=True)
    if kept[:1] != _FORM:
        return Kept((), kept, old=True)
    names = names_in(kept)
    return Kept(names, unpacked(kept[3 + len(names) * NAME_BYTES :]))


def names_in(kept: bytes | str | None) -> tuple[bytes, ...]:
    """The bodies that a kept value holds, without opening it."""
    if not isinstance(kept, bytes) or kept[:1] != _FORM:
        return ()
    end = 3 + int.from_bytes(kept[1:3], "little") * NAME_BYTES
    return tuple(kept[at : at + NAME_BYTES] for at in range(3, end, NAME_BYTES))


def _place(text: str) -> int | None:
    """Which name a text refers to, if it is a reference."""
    return int(text[1:]) if text[:1] == _MARK and text[1:2] != _MARK else None


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """`value` with every text in it passed through `change`, in their order; keys stay. By a stack of its own, since callers choose how deep JSON is nested."""
    whole = [value]
    under_way: list[tuple[Any, Iterator[tuple[Any, Any]]]] = [(whole, enumerate(whole))]
    while under_way:
        held, places = under_way[-1]
        for place, each in places:
            if isinstance(each, str):
                held[place] = change(each)
            elif isinstance(each, list | dict):
                held[place] = own = each.copy()  # pyright: ignore[reportUnknownVariableType]
                under_way.append((own, iter(own.items()) if isinstance(own, dict) else enumerate(own)))  # pyright: ignore[reportUnknownArgumentType]
                break
        else:
            under_way.pop()
    return whole[0]
