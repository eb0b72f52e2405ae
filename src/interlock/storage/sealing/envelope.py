"""Sealing and opening: AES-256-GCM with a key of its own for each text, bound to the tenant and the place where it stands.

Above: the wrappers of this folder. Below: a keyring, `cryptography`. A seal is, in this order: one byte of version, 8 bytes of the data key's id, where it is a user's (version 2) 8 bytes of
which of that key's, 24 bytes of nonce, the sealed text and its mark of 16 bytes. The first half of the nonce makes, with the data key, the key of this one text, and the second half is GCM's own nonce: the
construction of XAES-256-GCM (C2SP, c2sp.org/XAES-256-GCM), with keyed BLAKE2b (RFC 7693) for its derivation. GCM alone allows 2^32 texts under one key with
random nonces (NIST SP 800-38D, 8.3); this allows 2^80, so keys are rotated when somebody wants to and never because they must.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import zlib
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from interlock.core.errors import StoreUnavailable
from interlock.core.sealing import SEALED, UNREADABLE, KeyKind, Keys, SealBroken

TENANTS, USERS = b"\x01", b"\x02"
"""How a seal begins: under a key of the tenant, under one of a user."""
VERSIONS = (TENANTS, USERS)
_HEADS = {TENANTS: 1 + 8, USERS: 1 + 8 + 8}
_NONCE, _MARK = 24, 16
_ZLIB = b"x"
"""How a compressed text begins (RFC 1950); a JSON object begins with a brace."""
_LEVEL = 1
_WORTH = 128


class Envelope:
    """Seals and opens with the keys of a workspace. Raises KeyMissing and StoreUnavailable from every method that seals or opens."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def seal(self, tenant: str, place: str, data: bytes, *, user: str = "", kind: KeyKind = "content") -> bytes:
        """`data`, to be opened at this place of this tenant only: under the key of `user`, or where it is nobody's under the tenant's of that kind."""
        if user:
            key = self.keys.of_user(tenant, user)
            head, secret = USERS + bytes.fromhex(key.key) + key.leaf.to_bytes(8), key.secret
        else:
            data_key = self.keys.current(tenant, kind)
            head, secret = TENANTS + bytes.fromhex(data_key.entry.id), data_key.secret
        nonce = os.urandom(_NONCE)
        sealed = _cipher(secret, nonce).encrypt(nonce[12:], data, _bound(tenant, place))
        return b"".join((head, nonce, sealed))

    def open(self, place: str, sealed: bytes, tenant: str = "") -> bytes:
        """What was sealed; `tenant`, where it is given, must be whose key it is.

        Raises:
            KeyDestroyed: erased for good. SealBroken: changed, cut, or sealed for another place or tenant.
        """
        if sealed[:1] not in VERSIONS or len(sealed) < overhead(sealed):
            raise SealBroken(f"{place}: what stands there is no seal, or was cut")
        key = self.keys.named(sealed[1:9].hex())
        if tenant and key.entry.tenant != tenant:
            raise SealBroken(f"{place}: sealed with a key of another tenant")
        head, secret = _HEADS[sealed[:1]], key.secret
        if sealed[:1] == USERS:
            secret = self.keys.leaf(key.entry.id, int.from_bytes(sealed[9:head])).secret
        nonce = sealed[head : head + _NONCE]
        try:
            found = _cipher(secret, nonce).decrypt(nonce[12:], sealed[head + _NONCE :], _bound(key.entry.tenant, place))
        except InvalidTag as broken:
            raise SealBroken(
                f"{place}: the content was changed, or sealed for another place",
                hint="Somebody wrote into the store past Interlock, or a row was moved: look at a backup.",
            ) from broken
        return found

    def current(self, sealed: bytes, tenant: str, user: str) -> bool:
        """Whether a seal is one under the key that would seal now what belongs to `user`, or where that is empty to the tenant."""
        key, leaf = sealed[1:9].hex(), int.from_bytes(sealed[9:17])
        if not user:
            return sealed[:1] == TENANTS and key == self.keys.current(tenant, "content").entry.id
        now = self.keys.of_user(tenant, user)
        return sealed[:1] == USERS and (key, leaf) == (now.key, now.leaf)

    # --- as texts ---------------------------------------------------------------------------------------------------

    def text(self, tenant: str, place: str, text: str, user: str = "") -> str:
        """A text as one that can stand in its column: `~sealed:` and base64."""
        return f"{SEALED}:{base64.b64encode(self.seal(tenant, place, text.encode(), user=user)).decode()}"

    def plain(self, place: str, text: str, tenant: str = "") -> str:
        """Its inverse; a text that is not sealed stays: it was written before."""
        if not text.startswith(f"{SEALED}:"):
            return text
        return self.open(place, _raw(place, text[len(SEALED) + 1 :]), tenant).decode()

    # --- as JSON objects ---------------------------------------------------------------------------------------------

    def body(self, tenant: str, place: str, body: bytes, user: str = "") -> bytes:
        """Content (a JSON object) as the JSON object that stands for it; compressed before, since nothing can do so afterwards."""
        small = zlib.compress(body, _LEVEL) if len(body) >= _WORTH else body
        least = small if len(small) < len(body) else body
        return b'{"%b":"%b"}' % (SEALED.encode(), base64.b64encode(self.seal(tenant, place, least, user=user)))

    def content(self, place: str, content: dict[str, Any] | None, tenant: str = "") -> dict[str, Any] | None:
        """Content as it was; where it cannot be opened, an object that says why (`core.sealing.why_unreadable`)."""
        sealed = None if content is None else content.get(SEALED)
        if content is None or not isinstance(sealed, str):
            return content
        try:
            return msgspec.json.decode(self.raw(place, sealed, tenant), type=dict[str, Any])
        except StoreUnavailable as away:
            return {UNREADABLE: str(away)}

    def raw(self, place: str, seal: str, tenant: str = "") -> bytes:
        """What the value of such an object holds."""
        found = self.open(place, _raw(place, seal), tenant)
        return zlib.decompress(found) if found[:1] == _ZLIB else found

    def anew(self, tenant: str, place: str, content: bytes, user: str = "") -> bytes:
        """Content (a JSON object), sealed or not, under the key that would seal it now; as it stands where it is, or where nobody can open it."""
        seal = msgspec.json.decode(content, type=dict[str, Any]).get(SEALED)
        if not isinstance(seal, str):
            return self.body(tenant, place, content, user)
        if self.current(_raw(place, seal), tenant, user):
            return content
        try:
            opened = self.raw(place, seal, tenant)
        except StoreUnavailable:
            return content
        return self.body(tenant, place, opened, user)

    # --- as bytes ----------------------------------------------------------------------------------------------------

    def known(self, place: str, value: bytes, tenant: str = "") -> bytes | None:
        """Bytes that were kept for speed: `None` where they cannot be opened, or were never sealed."""
        try:
            return self.open(place, value, tenant)
        except StoreUnavailable:
            return None


def overhead(head: bytes) -> int:
    """Bytes by which a seal that begins so is longer than what it holds."""
    return _HEADS[head[:1]] + _NONCE + _MARK


def _cipher(secret: bytes, nonce: bytes) -> AESGCM:
    return AESGCM(hashlib.blake2b(nonce[:12], key=secret, digest_size=32, person=b"il-seal").digest())


def _bound(tenant: str, place: str) -> bytes:
    return f"{len(tenant)}:{tenant}:{place}".encode()


def _raw(place: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as wrong:
        raise SealBroken(f"{place}: what stands there is no seal, or was cut") from wrong
