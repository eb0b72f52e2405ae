"""Tokens that stand for a value and can be turned back by whoever holds the tenant's key: `[email:mfzg…]`.

The same value of the same tenant always becomes the same token, so that conversations, caches and comparisons go on working, and nothing has
to be stored to turn it back. Deterministic authenticated encryption built as SIV is (RFC 5297), over keyed BLAKE2b (RFC 7693): a token that
was changed, made up, or made for another tenant or kind is no token and stays as it is.

Above: standins, veil. Below: nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

MARK = 6
"""Bytes that authenticate: nobody guesses one of 2^48."""
MAX_VALUE = 1024
"""Bytes of the longest value that is kept inside its token; a longer one is redacted."""


class TenantKey:
    """What one tenant's tokens are made with, and what those of before were made with. Shows itself nowhere."""

    __slots__ = ("_mark", "_older", "_stream")

    def __init__(self, master: bytes, tenant: str, older: Sequence[TenantKey] = ()) -> None:
        """`master`: at least 16 bytes, the same in every process that shares tokens. `older`: keys of before, newest first."""
        if len(master) < 16:
            raise ValueError("a key of at least 16 bytes is needed")
        root = hashlib.blake2b(tenant.encode(), key=hashlib.blake2b(master).digest(), person=b"il-pii-tenant").digest()
        self._mark, self._stream = root[:32], root[32:]
        self._older = tuple(older)

    def sealed(self, kind: str, value: bytes) -> bytes:
        """`value`, made unreadable; six bytes longer."""
        mark = self._marked(kind, value)
        return mark + self._mixed(mark, value)

    def opened(self, kind: str, sealed: bytes) -> bytes | None:
        """What was sealed; `None` where it was not sealed with this key, or one of before, for this kind."""
        if len(sealed) < MARK:
            return None
        mark = sealed[:MARK]
        value = self._mixed(mark, sealed[MARK:])
        if hmac.compare_digest(mark, self._marked(kind, value)):
            return value
        for key in self._older:
            if (value := key.opened(kind, sealed)) is not None:
                return value
        return None

    def for_digits(self, kind: str) -> bytes:
        """The key of the permutations of one kind's digits; see `standins`. They carry no mark that would tell with which key they were made, so it
        is the oldest one's for as long as that lives: rotating changes tokens, and leaves these as they are.
        """
        if self._older:
            return self._older[-1].for_digits(kind)
        return hashlib.blake2b(kind.encode(), key=self._stream, person=b"il-pii-digits", digest_size=32).digest()

    def _marked(self, kind: str, value: bytes) -> bytes:
        return hashlib.blake2b(kind.encode() + b"\0" + value, key=self._mark, digest_size=MARK).digest()

    def _mixed(self, mark: bytes, value: bytes) -> bytes:
        blocks = -(-len(value) // 64)
        stream = b"".join(
            hashlib.blake2b(mark + block.to_bytes(4, "big"), key=self._stream).digest() for block in range(blocks)
        )
        return bytes(a ^ b for a, b in zip(value, stream, strict=False))

    def __repr__(self) -> str:
        return "TenantKey('***')"


def token(key: TenantKey, kind: str, value: str) -> str | None:
    """The token of a value; `None` where the value is too long for one."""
    raw = value.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_VALUE:
        return None
    return f"[{kind}:{base32(key.sealed(kind, raw))}]"


def value_of(key: TenantKey, kind: str, body: str) -> str | None:
    """What `[kind:body]` stands for; `None` where it is no token of this key."""
    sealed = unbase32(body)
    raw = None if sealed is None else key.opened(kind, sealed)
    return None if raw is None else raw.decode("utf-8", "surrogatepass")


def base32(data: bytes) -> str:
    """RFC 4648 in lower case without padding: letters that models copy well and no casing harms."""
    return base64.b32encode(data).decode().rstrip("=").lower()


def unbase32(text: str) -> bytes | None:
    """Its inverse; `None` for what it cannot have made."""
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        return None
