"""The master key that a workspace holds itself: 32 bytes out of the environment or a file.

Above: `app` hands it to the keyring. Below: `cryptography`. AES-256-GCM (NIST SP 800-38D) with a fresh nonce of 96 bits for each of the few data keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from interlock.core.sealing import KeyMissing

BYTES = 32
_NONCE = 12


class LocalMaster:
    """`core.sealing.MasterKey` on a key at hand. Shows itself nowhere."""

    def __init__(self, key: bytes) -> None:
        """`key`: 32 bytes."""
        self._cipher = AESGCM(key)
        self.name = hashlib.blake2b(key, digest_size=8, person=b"il-master-name").hexdigest()

    def wrap(self, key: bytes, about: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Raises KeyMissing: another master key wrapped it, or it was changed."""
        try:
            return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], about)
        except (InvalidTag, ValueError) as wrong:
            raise KeyMissing(
                f"master key {self.name} does not open a data key that names it",
                hint="The keyring was damaged or changed: put back a copy of it.",
            ) from wrong

    def __repr__(self) -> str:
        return f"LocalMaster({self.name}, '***')"


def read_master(text: str) -> bytes:
    """The key that `text` writes down: 64 hexadecimal digits, or 32 bytes in base64. Raises ValueError, which repeats nothing of it."""
    said = text.strip()
    if len(said) == 2 * BYTES:
        try:
            return bytes.fromhex(said)
        except ValueError:
            pass
    try:
        key = base64.b64decode(said, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != BYTES:
        raise ValueError("expected 32 bytes: 64 hexadecimal digits, or base64 (draw one: openssl rand -hex 32)")
    return key
