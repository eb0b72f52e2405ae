"""Names and postal addresses by the words around them: what can be found without a model, which is the smaller part (`docs/pii.md` has the shares).

Off, and not loaded, unless `pii.also` asks for them. Whoever needs more plugs a detector in. Above: `app`. Below: kinds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from .kinds import PEOPLE

_NAME = r"[^\W\d_a-z][^\W\d_]*(?:['’-][^\W\d_]+)*\.?"
_NAMES = rf"({_NAME}(?: (?:(?:van|von|de|der|den|da|di|la|le|bin|al|el|del|dos) )*{_NAME}){{0,3}})"
_TITLE = re.compile(rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sir|Madam|Herr|Frau|Señora?|Mme|Monsieur|Madame)\.? {_NAMES}")
_SAID = re.compile(
    r"\b(?i:my name is|my name's|i am called|i'm called|call me|name is|named|ich heiße|je m'appelle|me llamo|mi chiamo|signed by|on behalf of|c/o|attn:?)"
    rf" {_NAMES}"
)
_FIELD = re.compile(
    rf"(?im:^[ \t]*(?:full |first |last |contact |customer |patient |cardholder )?name[ \t]*[:=][ \t]*)(?-i:{_NAMES})"
)
_GREETED = re.compile(
    rf"(?m:^[ \t]*(?:Dear|Hi|Hello|Hey|Hallo|Liebe[r]?|Cher|Chère|Estimad[oa])[ ,]+){_NAMES}(?=[ ]?[,:!\n]|$)"
)
_CLOSED = re.compile(
    rf"(?:[Rr]egards|[Ss]incerely|[Tt]hanks|[Cc]heers|[Bb]est|Grüße|Cordialement|Saludos)[,.!]?[ ]?\n{{1,2}}{_NAMES}(?=\s*(?:\n|$))"
)
_NOT_A_NAME = frozenset(
    [
        "sir",
        "madam",
        "team",
        "all",
        "customer",
        "support",
        "everyone",
        "there",
        "hi",
        "hello",
        "dear",
        "service",
        "the",
        "a",
        "an",
        "i",
        "we",
        "you",
        "he",
        "she",
        "it",
        "this",
        "that",
        "and",
        "or",
        "no",
        "yes",
        "not",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ]
)
_WAYS = r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Square|Sq|Terrace|Parkway|Pkwy|Highway|Hwy|Circle|Cir|Crescent|Close|Row|Trail|Alley|Plaza)"
_ADDRESSES = (
    re.compile(
        rf"\b\d{{1,6}}[A-Za-z]?,? (?:[^\W\d_a-z][\w'’.-]* ){{1,4}}{_WAYS}\b\.?"
        r"(?:,?\s{1,4}(?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|#)\.? ?[\w-]{1,6})?"
        r"(?:,?\s{1,4}[^\W\d_a-z][\w'’. -]{1,30},?\s{1,4}(?:[A-Z]{2}\s{1,4}\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}))?"
    ),
    re.compile(r"\b[^\W\d_a-z][\w'’-]*(?:straße|strasse|str\.|weg|platz|allee|gasse|katu|tie|gatan|vägen|vej|gade|laan|straat|utca) \d{1,5} ?[a-zA-Z]?\b(?:,?\s{1,4}\d{4,5} [^\W\d_a-z][\w-]+)?"),
    re.compile(r"\b(?:Via|Viale|Piazza|Calle|Rue|Avenue|Boulevard|Rua|Avenida|Place) (?:(?:de|du|des|la|le|del|della|di|da|dos) ){0,2}[^\W\d_a-z][\w'’-]*(?: [^\W\d_a-z][\w'’-]*)?,? \d{1,5}\b"),
    re.compile(r"(?i)\bp\.? ?o\.? ?box \d{1,6}\b|\b(?:PSC|Unit|CMR) \d{2,5},? Box \d{2,5}(?:\s{1,4}(?:APO|FPO|DPO) [A-Z]{2} \d{5})?"),
)  # fmt: skip


class People:
    """A detector of these two kinds, or of one of them."""

    def __init__(self, kinds: Collection[str] = PEOPLE) -> None:
        self._kinds = frozenset(kinds)

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """(start, end, kind)."""
        if "person" in self._kinds:
            for pattern in (_TITLE, _SAID, _FIELD, _GREETED, _CLOSED):
                for found in pattern.finditer(text):
                    if found[1].split(" ")[0].rstrip(".,").lower() not in _NOT_A_NAME:
                        yield *found.span(1), "person"
        if "address" in self._kinds:
            for pattern in _ADDRESSES:
                for found in pattern.finditer(text):
                    yield *found.span(), "address"
