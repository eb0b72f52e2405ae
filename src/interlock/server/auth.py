"""Who may call: a bearer key, on by default, compared in constant time.

Above: openai, asgi, serve. Below: `core`.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from interlock.core.caller import Caller, Secret
from interlock.core.errors import NotAuthorised

KEY_PREFIX = "il-"


class Keys:
    """The credentials that open the door, each with the caller it stands for."""

    def __init__(self, keys: Mapping[Secret, Caller]) -> None:
        self._keys = tuple((key.reveal().encode(), caller) for key, caller in keys.items() if key)

    def caller(self, authorization: bytes) -> Caller:
        """Who presents this `Authorization` header.

        Raises:
            NotAuthorised: missing, or no key of ours. Every key is compared, so the time tells nothing.
        """
        scheme, _, presented = authorization.partition(b" ")
        presented = presented.strip()
        found: Caller | None = None
        for key, caller in self._keys:
            if hmac.compare_digest(key, presented):
                found = caller
        if found is not None and scheme.lower() == b"bearer":
            return found
        if not authorization:
            raise NotAuthorised(
                "no key was presented", hint="Send it as `Authorization: Bearer <key>` (the client's `api_key`)."
            )
        raise NotAuthorised(
            "the key that was presented is not one of this server's",
            hint="It is `server.api_key` of interlock.yaml, or the one in the file that `interlock serve` names.",
        )


def load_or_make_key(path: Path) -> tuple[Secret, bool]:
    """The server's own key from `path`, made and stored there (readable by the owner only) if there is none.

    Returns:
        The key, and whether it is new: a new one is shown once.
    """
    try:
        stored = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        stored = ""
    if stored:
        return Secret(stored), False
    key = KEY_PREFIX + secrets.token_urlsafe(24)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key + "\n")
    return Secret(key), True
