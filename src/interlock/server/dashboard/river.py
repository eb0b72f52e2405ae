"""A Sankey diagram: how often calls went on from one model to another. Above: pages_models, templates. Below: nothing. Pure.

Columns from left to right: a model stands right of every model that calls came from (circles are cut where they would close). The width of a
band is its share of the widest column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

WIDTH, BOX, GAP, TOP = 1000, 14, 34, 26
TALL = 150
"""Of the fullest column's bands together."""


class Box(Struct, frozen=True):
    """One model, in units of the picture."""

    label: str
    x: int
    y: float
    height: float
    came: int
    """Calls that came from another model."""
    went: int
    """Calls that went on."""
    last: bool
    """It stands in the last column."""


class Band(Struct, frozen=True):
    """Calls from one model to another."""

    label: str
    path: str
    """Of the middle, for SVG."""
    width: float
    n: int


class River(Struct, frozen=True):
    """The picture."""

    height: int
    boxes: tuple[Box, ...]
    bands: tuple[Band, ...]
    n: int


def river(flows: Sequence[tuple[str, str, int]]) -> River | None:
    """The picture of (from, to, how often); `None` where nothing flows."""
    flows = sorted((each for each in flows if each[2] > 0 and each[0] != each[1]), key=lambda each: -each[2])
    if not flows:
        return None
    column = _columns(flows)
    names = sorted(column, key=lambda name: (column[name], -max(_sums(flows, name))))
    of = {at: [name for name in names if column[name] == at] for at in set(column.values())}
    most = max(sum(max(_sums(flows, name)) for name in each) for each in of.values())
    scale, last = TALL / most, max(of)
    places: dict[str, Box] = {}
    for at, each in of.items():
        y = float(TOP)
        for name in each:
            came, went = _sums(flows, name)
            height = max(4.0, max(came, went) * scale)
            places[name] = Box(name, at * (WIDTH - BOX) // last, round(y, 1), round(height, 1), came, went, at == last)
            y += height + GAP
    bottom = max(box.y + box.height for box in places.values())
    return River(round(bottom) + 8, tuple(places.values()), _bands(flows, places, scale), sum(n for *_, n in flows))


def _columns(flows: Sequence[tuple[str, str, int]]) -> Mapping[str, int]:
    """How many models stand before each, at most; the flow that would close a circle counts for nothing."""
    after: dict[str, set[str]] = {}
    for source, to, _ in flows:
        if not _reaches(after, to, source):
            after.setdefault(source, set()).add(to)
    found = dict.fromkeys((name for source, to, _ in flows for name in (source, to)), 0)
    for _ in found:  # a chain is no longer than there are models
        for source, each in after.items():
            for to in each:
                found[to] = max(found[to], found[source] + 1)
    return found


def _reaches(after: Mapping[str, set[str]], source: str, to: str) -> bool:
    seen, open_ = {source}, [source]
    while open_:
        for name in after.get(open_.pop(), set()) - seen:
            seen.add(name)
            open_.append(name)
    return to in seen


def _sums(flows: Sequence[tuple[str, str, int]], name: str) -> tuple[int, int]:
    """Calls that came to it, and that went on from it."""
    return sum(n for _, to, n in flows if to == name), sum(n for source, _, n in flows if source == name)


def _bands(flows: Sequence[tuple[str, str, int]], places: Mapping[str, Box], scale: float) -> tuple[Band, ...]:
    left = {name: box.y for name, box in places.items()}
    right = dict(left)
    made: list[Band] = []
    for source, to, n in sorted(flows, key=lambda each: (places[each[0]].y, places[each[1]].y)):
        width, a, b = max(1.5, n * scale), places[source], places[to]
        y1, y2 = left[source] + width / 2, right[to] + width / 2
        left[source] += width
        right[to] += width
        x1, x2 = a.x + BOX, b.x
        middle = (x1 + x2) / 2
        path = f"M{x1} {y1:.1f} C{middle:.0f} {y1:.1f} {middle:.0f} {y2:.1f} {x2} {y2:.1f}"
        made.append(Band(f"{source} → {to}", path, round(width, 1), n))
    return tuple(made)
