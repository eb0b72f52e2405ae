"""A clock that goes on by a second whenever it is asked: whoever looks again after some time looks each time."""

from itertools import count


class Stepping:
    """`core.time.Clock`."""

    def __init__(self) -> None:
        self._seconds = count(1)

    def monotonic_s(self) -> float:
        return float(next(self._seconds))

    def wall_ns(self) -> int:
        return next(self._seconds) * 1_000_000_000
