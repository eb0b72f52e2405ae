"""Who was refused at the door lately, by address: beyond so many in a minute nothing is even looked at.

Above: guard. Below: core. Keys have 256 random bits, so this spares work and shows attempts; it is not what keeps anybody out.
"""

from __future__ import annotations

from collections import OrderedDict

from interlock.core.errors import RequestRefused
from interlock.core.time import Clock

WINDOW_S = 60.0
MOST = 20
ADDRESSES = 10_000
"""That are remembered; the one refused longest ago is forgotten first."""


class TooManyAttempts(RequestRefused):
    """This address is not listened to for a while."""

    status = 429
    code = "too_many_attempts"


class Refusals:
    """Of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raises TooManyAttempts for an address that was refused too often."""
        since_s, count = self._standing(address)
        if count >= MOST:
            left_s = since_s + WINDOW_S - self._clock.monotonic_s()
            raise TooManyAttempts(
                f"{MOST} attempts of this address were refused within a minute",
                hint=f"Try again in {max(1, round(left_s))} seconds.",
            )

    def add(self, address: str) -> bool:
        """Counts one; whether it is the first of its minute."""
        since_s, count = self._standing(address)
        self._known[address] = (since_s, count + 1)
        self._known.move_to_end(address)
        if len(self._known) > ADDRESSES:
            self._known.popitem(last=False)
        return count == 0

    def _standing(self, address: str) -> tuple[float, int]:
        now_s = self._clock.monotonic_s()
        since_s, count = self._known.get(address, (now_s, 0))
        return (now_s, 0) if now_s - since_s >= WINDOW_S else (since_s, count)
