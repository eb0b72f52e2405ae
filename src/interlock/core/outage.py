"""Whether a failure that goes on has been told: once when it begins, once when it is over. Above: whoever looks at something again and again. Below: nothing."""

from __future__ import annotations


class Outage:
    """Of one thing that is tried again and again."""

    __slots__ = ("under_way",)

    def __init__(self) -> None:
        self.under_way = False

    def begins(self) -> bool:
        """It failed; whether that is news."""
        news, self.under_way = not self.under_way, True
        return news

    def ends(self) -> bool:
        """It worked; whether that is news."""
        news, self.under_way = self.under_way, False
        return news
