"""Learned token counts of one deployment: how its reported usage compares with our estimates, by request size and by pieces of streams.

Above: bill, health. Below: `core`. What a vendor bills for an answer that broke off stands nowhere; it is what it billed for the like before.
"""

from __future__ import annotations

from collections import OrderedDict

KEPT = 512
NEAR = 0.25
"""Requests up to this share heavier or lighter tell how one weighs that was never seen."""
SLOW = 0.05


class Weights:
    """One deployment's."""

    __slots__ = ("_inputs", "_per_part", "usual")

    def __init__(self) -> None:
        self._inputs: OrderedDict[int, int] = OrderedDict()
        """Upper estimate of a request → input tokens that the vendor counted for the last one of that estimate."""
        self._per_part: float | None = None
        """Output tokens for each piece of a stream."""
        self.usual: float | None = None
        """Moving average of the output tokens of whole answers."""

    def add(self, estimate: int, input_tokens: int, output: int, parts: int) -> None:
        """A whole answer, with its vendor's count: input, and output tokens."""
        inputs = self._inputs
        if estimate not in inputs and len(inputs) >= KEPT:
            inputs.popitem(last=False)
        inputs[estimate] = input_tokens
        self.usual = output if self.usual is None else self.usual + SLOW * (output - self.usual)
        if parts:
            ratio = output / parts
            if self._per_part is None:
                self._per_part = ratio
            elif ratio != self._per_part:
                self._per_part += SLOW * (ratio - self._per_part)

    def input(self, estimate: int) -> int | None:
        """Input tokens of a request of that upper estimate; `None` where nothing like it was answered yet."""
        known = self._inputs.get(estimate)
        if known is not None:
            return known
        near = [(each, count) for each, count in self._inputs.items() if abs(each - estimate) <= NEAR * estimate]
        return _fitted(near, estimate) if len(near) > 1 else None

    def output(self, parts: int) -> int | None:
        """Output tokens of so many pieces of a stream; `None` where none was answered whole yet."""
        return None if self._per_part is None else max(parts, round(parts * self._per_part))


def _fitted(pairs: list[tuple[int, int]], at: int) -> int | None:
    """The value at `at` of the straight line nearest to all pairs; `None` where they lie at one place."""
    count = len(pairs)
    mean_x, mean_y = sum(x for x, _ in pairs) / count, sum(y for _, y in pairs) / count
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    if not spread:
        return None
    slope = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread
    return max(1, round(mean_y + slope * (at - mean_x)))
