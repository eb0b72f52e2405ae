"""The public price list as plain values: which vendor, which model, from when on, for how much.

Above: pricelist. Below: nothing. `pricelist.json` holds it as taken from the package `genai-prices` by scripts/price_list.py: the package's own data
is a program of 1.6 MB which takes a start 50 ms and 20 MB to run, and this is read in 2. How names are recognised follows the package
(github.com/pydantic/genai-prices, `types.py` and `data_snapshot.py`), and a test holds the two against each other.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache

import msgspec
from msgspec import Struct

_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Clause(Struct, frozen=True, omit_defaults=True, rename={"any_of": "or", "all_of": "and"}):
    """How a name is recognised; one of these is set."""

    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    regex: str | None = None
    any_of: tuple[Clause, ...] | None = None
    all_of: tuple[Clause, ...] | None = None

    def fits(self, name: str) -> bool:
        """`name` in lower case."""
        if self.any_of is not None:
            return any(each.fits(name) for each in self.any_of)
        if self.all_of is not None:
            return all(each.fits(name) for each in self.all_of)
        if self.equals is not None:
            return name == self.equals.lower()
        if self.starts_with is not None:
            return name.startswith(self.starts_with.lower())
        if self.ends_with is not None:
            return name.endswith(self.ends_with.lower())
        if self.contains is not None:
            return self.contains.lower() in name
        return self.regex is not None and re.search(self.regex, name) is not None


class Step(Struct, frozen=True):
    """Another price for the whole call."""

    above: int
    """Input tokens from which it holds."""
    usd: Decimal


class Stepped(Struct, frozen=True):
    """A price that hangs on how long the input is."""

    base: Decimal
    steps: tuple[Step, ...]
    """Ascending."""


Usd = Decimal | Stepped
"""Dollars per million tokens (or per thousand requests, as its key says)."""


class Terms(Struct, frozen=True, omit_defaults=True):
    """Prices by the list's keys, and when they hold."""

    usd: Mapping[str, Usd]
    since: dt.date | None = None
    """The first day (UTC)."""
    opens: dt.time | None = None
    """The hours of each day in which they hold (UTC)."""
    closes: dt.time | None = None
    when: Mapping[str, str] | None = None
    """What has to be asked for, as the list's name of a tier."""

    def holds(self, at: dt.datetime) -> bool:
        """At that instant (UTC)."""
        if self.since is not None:
            return at.date() >= self.since
        if self.opens is None or self.closes is None:
            return True
        opens, closes, now = self.opens, self.closes, at.time()
        return now >= opens or now < closes if closes < opens else opens <= now < closes


class Model(Struct, frozen=True, omit_defaults=True):
    """One model of a vendor."""

    name: Clause
    terms: tuple[Terms, ...]
    """Of those that hold, the last one does; where none does, the first."""
    tiers: tuple[Terms, ...] = ()
    """Prices that take the place of these where a tier is asked for; the first that states a key."""

    def standard(self, at: dt.datetime) -> Terms:
        """What holds then."""
        return next((each for each in reversed(self.terms) if each.holds(at)), self.terms[0])

    def usd(self, at: dt.datetime, context: Mapping[str, str]) -> Mapping[str, Usd]:
        """The prices then, for whoever asks for `context` (empty: for nothing)."""
        asked = [
            each
            for each in self.tiers
            if each.holds(at) and all(context.get(key) == value for key, value in (each.when or {}).items())
        ]
        found = dict(self.standard(at).usd)
        for each in reversed(asked if context else []):
            found.update(each.usd)
        return found


class Vendor(Struct, frozen=True, omit_defaults=True):
    """Who sells models. Their list stays as bytes until one is asked for."""

    id: str
    address: str
    """Pattern of its API's address."""
    models: msgspec.Raw
    name: Clause | None = None
    """Further names that it goes by."""
    sells: tuple[str, ...] = ()
    """Ids of vendors whose models it offers, too."""


class Listing(Struct, frozen=True):
    """The whole list."""

    package: str
    """The version of genai-prices that it was taken from."""
    vendors: tuple[Vendor, ...]

    def vendor(self, name: str, address: str) -> Vendor | None:
        """By the name it has in the files, then by its address."""
        name = name.lower().strip()
        for each in self.vendors:
            if each.id == name:
                return each
        for each in self.vendors:
            if each.name is not None and each.name.fits(name):
                return each
        return next((each for each in self.vendors if address and re.match(each.address, address)), None)

    def model(self, vendor: Vendor, name: str) -> Model | None:
        """By its name, and by the name with its date as most write it."""
        name = name.lower()
        dated = _COMPACT_DATE.sub(_dashed, name)
        found = self._model(vendor, name)
        return found if found is not None or dated == name else self._model(vendor, dated)

    def _model(self, vendor: Vendor, name: str) -> Model | None:
        others = (each for other in vendor.sells for each in self.vendors if each.id == other)
        for each in (vendor, *others):
            for model in models_of(bytes(each.models)):
                if model.name.fits(name):
                    return model
        return None


@cache
def models_of(raw: bytes) -> Sequence[Model]:
    """A vendor's models; read once."""
    return msgspec.json.decode(raw, type=tuple[Model, ...])


def _dashed(found: re.Match[str]) -> str:
    """`-20251211` → `-2025-12-11`."""
    year, month, day = (int(part) for part in found.groups())
    try:
        return f"-{dt.date(year, month, day).isoformat()}"
    except ValueError:
        return found[0]
