"""Signed messages to other services and back, as the Standard Webhooks specification has them.

Above: `app`, the faces. Below: the standard library. Pure. Source: github.com/standard-webhooks/standard-webhooks, version 1.0.0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from .caller import Secret
from .errors import NotAuthorised

TOLERANCE_S = 300
"""How far the sender's clock may be from ours; what is older is a replay."""
_PREFIX = "whsec_"


def headers(secret: Secret, message_id: str, at_s: int, body: bytes) -> tuple[tuple[str, str], ...]:
    """The three headers that go with `body`."""
    return (
        ("webhook-id", message_id),
        ("webhook-timestamp", str(at_s)),
        ("webhook-signature", f"v1,{signature(secret, message_id, at_s, body)}"),
    )


def signature(secret: Secret, message_id: str, at_s: int, body: bytes) -> str:
    """Base64 of HMAC-SHA256 over id, time and body."""
    signed = f"{message_id}.{at_s}.".encode() + body
    return base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def verify(secrets: Sequence[Secret], given: Mapping[str, str], body: bytes, now_s: int) -> str:
    """The id of a message whose signature fits one of `secrets` (several while one is rotated).

    Raises:
        NotAuthorised: a header is missing, the time is off, or no signature fits; the same words for the last two.
    """
    message_id, at, signatures = (given.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not message_id or not at.isascii() or not at.isdigit() or len(at) > 12 or not signatures:
        raise NotAuthorised(
            "the message is not signed", hint="Send webhook-id, webhook-timestamp and webhook-signature."
        )
    fits = False
    for secret in filter(None, secrets):  # an empty one is everybody's
        expected = signature(secret, message_id, int(at), body)
        for each in signatures.split(" "):
            version, _, value = each.partition(",")
            fits |= version == "v1" and hmac.compare_digest(value.encode(), expected.encode())
    if not fits or abs(now_s - int(at)) > TOLERANCE_S:
        raise NotAuthorised(
            "the message's signature or time does not fit", hint="Check the secret and the sender's clock."
        )
    return message_id


def _key(secret: Secret) -> bytes:
    text = secret.reveal()
    if text.startswith(_PREFIX):
        return base64.b64decode(text.removeprefix(_PREFIX))
    return text.encode()
