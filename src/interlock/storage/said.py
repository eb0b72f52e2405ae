"""Bodies in a database: written with what refers to them, read with it, gone with the last that did.

Above: writes, packed, tail, archive and the stores. Below: bodies, session; `sql` is what a database calls `sql("bodies")`. What one transaction
does to bodies is gathered and written last, by name, so that writers beside each other take the same rows in the same order.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence

from .bodies import NOTHING, Kept, Splitter, kept_short, name_of, names_in, packed, taken_apart, unpacked
from .rows import encode
from .session import Session

Sql = Mapping[str, str]
_PORTION = 500


class Said:
    """What one transaction keeps and lets go of."""

    def __init__(self, db: Session, sql: Sql, secret: bytes | None = None) -> None:
        """`secret`: what names are made with, where it is known already."""
        self._db = db
        self._sql = sql
        self._secret = secret
        """`None` until it has been looked for, empty where there is none."""
        self._uses: dict[bytes, int] = {}
        self._texts: dict[bytes, tuple[str, str]] = {}
        """By name: tenant and text."""

    def trial(self) -> Said:
        """For a write that may be undone within the transaction; `took` adds what it did."""
        return Said(self._db, self._sql, self._secret)

    def took(self, trial: Said) -> None:
        for name, n in trial._uses.items():
            self._count((name,), n)
        self._texts.update(trial._texts)
        self._secret = trial._secret

    @property
    def secret(self) -> bytes:
        """What names are made with; empty while processes of before, which know no bodies, may still work on the store."""
        if self._secret is None:
            row = self._db.execute(self._sql["secret"]).fetchone()
            self._secret = b"" if row is None else bytes(row[0])
        return self._secret

    def splitter(self, tenant: str) -> Splitter:
        secret = self.secret
        return Splitter((lambda text: name_of(secret, tenant, text)) if secret else None)

    def one(self, tenant: str, content: bytes) -> bytes | str | None:
        """What is kept for `content` (JSON; empty or `null`: nothing)."""
        if not content or content == NOTHING:
            return None
        if self.secret and (short := kept_short(content)) is not None:
            return short
        splitter = self.splitter(tenant)
        return self.kept(tenant, splitter, splitter.split(content))

    def many(self, tenant: str, contents: Sequence[bytes]) -> bytes | str | None:
        """What is kept for several contents in one list; nothing when there are none."""
        if all(content == NOTHING for content in contents):
            return None
        splitter = self.splitter(tenant)
        return self.kept(tenant, splitter, listed(map(splitter.split, contents)))

    def kept(self, tenant: str, splitter: Splitter, json: bytes) -> bytes | str:
        """The same of what went through `splitter` already."""
        kept = splitter.kept(json)
        self._count(names_in(kept), 1)
        for name, text in splitter.texts.items():
            self._texts[name] = tenant, text
        return kept

    def _count(self, names: Iterable[bytes], n: int) -> None:
        for name in names:
            self._uses[name] = self._uses.get(name, 0) + n

    def dropped(self, kept: bytes | str | None) -> None:
        """What was kept there is there no more."""
        self._count(names_in(kept), -1)

    def write(self) -> None:
        """Counts uses up and down, adds what is new, and deletes what nothing refers to any more."""
        if not self._uses:
            return
        changes = {_key(name): (n, name) for name, n in sorted(self._uses.items()) if n}
        self._uses.clear()
        if not changes:
            return
        there = {row[0] for row in self._db.execute(self._sql["there"], (encode(sorted(changes)),))}
        self._db.executemany(self._sql["use"], [(n, key) for key, (n, _) in sorted(changes.items()) if key in there])
        fresh = [
            (key, self._texts[name][0], n, packed(self._texts[name][1].encode()))
            for key, (n, name) in sorted(changes.items())
            if key not in there and n > 0 and name in self._texts
        ]
        self._db.executemany(self._sql["put"], fresh)
        less = [key for key, (n, _) in changes.items() if n < 0]
        if less:
            self._db.execute(self._sql["drop"], (encode(sorted(less)),))


def listed(pieces: Iterable[bytes]) -> bytes:
    """JSON pieces as one list."""
    return b"[%b]" % b",".join(pieces)


def texts_of(db: Session, sql: Sql, kept: Iterable[Kept]) -> dict[bytes, str]:
    """The bodies that kept values hold."""
    names = {_key(name): name for each in kept for name in each.names}
    keys = sorted(names)
    found: dict[bytes, str] = {}
    for at in range(0, len(keys), _PORTION):
        for key, body in db.execute(sql["some"], (encode(keys[at : at + _PORTION]),)):
            found[names[key]] = unpacked(bytes(body)).decode()
    return found


def plain(db: Session, sql: Sql, values: Sequence[bytes | str | None]) -> list[bytes | None]:
    """Kept values (not lists of pieces) as they were before they were kept."""
    apart = [None if each is None else taken_apart(each) for each in values]
    texts = texts_of(db, sql, [each for each in apart if each is not None])
    return [None if each is None else each.told(each.json, texts) for each in apart]


def _key(name: bytes) -> str:
    return urlsafe_b64encode(name).decode()
