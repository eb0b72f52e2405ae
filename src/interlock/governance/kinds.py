"""What is looked for in text, kind by kind: a cheap sign, the full shape, the check digit, the words that have to stand beside it.

Above: scan. Below: digits, phones, secrets. A kind whose number alone says little (an account, a tax number of nine digits) counts only
with its word before it.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice

from . import digits
from .phones import SIGN, Phones
from .secrets import Rule
from .signs import Signs

Spans = Iterable[tuple[int, int]]
_BEFORE = 48
"""Characters before a number in which its word is looked for."""
_MAESTRO = ("50", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "67", "68", "69")


class Kind:
    """One kind. `sign` is RE2's and has to occur for `find` to have anything to say."""

    def __init__(
        self,
        name: str,
        sign: str,
        pattern: str = "",
        check: Callable[[str], bool] | None = None,
        *,
        cue: str = "",
        rank: int = 5,
        find: Callable[[str], Spans] | None = None,
    ) -> None:
        self.name = name
        self.sign = sign
        self.rank = rank
        """Of two that overlap the higher one is meant."""
        self._pattern, self._check, self._cue, self._find = pattern, check, cue, find

    @cached_property
    def find(self) -> Callable[[str], Spans]:
        """Where it stands in a text; patterns are compiled when a text first shows the sign."""
        if self._find is not None:
            return self._find
        return _matching(
            re.compile(self._pattern), self._check, re.compile(self._cue + r"[^\n]{0,24}$") if self._cue else None
        )


def _matching(
    pattern: re.Pattern[str], check: Callable[[str], bool] | None, cue: re.Pattern[str] | None
) -> Callable[[str], Iterator[tuple[int, int]]]:
    group = 1 if pattern.groups else 0

    def find(text: str) -> Iterator[tuple[int, int]]:
        for found in pattern.finditer(text):
            if check is not None and not check(found[group]):
                continue
            start, end = found.span(group)
            if cue is None or cue.search(text, max(0, start - _BEFORE), start) is not None:
                yield start, end

    return find


def _address(text: str) -> bool:
    try:
        known = ipaddress.ip_address(text)
    except ValueError:
        return False
    if known.is_loopback or known.is_unspecified:
        return False  # every machine's own: it is nobody's, and whoever runs this has to read it in the log
    groups = len([each for each in text.split(":") if each])
    return (
        ":" not in text or groups > 3 or (groups > 1 and "::" in text and re.search(r"\d", text) is not None)
    )  # 12:34:56 is a time, [::2] a slice


def _card(text: str) -> bool:
    """ISO/IEC 7812: an issuer's first digits, and the check digit. Only Maestro's have twelve."""
    plain = "".join(each for each in text if each.isdigit())
    issued = plain[0] in "1234568" if len(plain) > 12 else plain[:2] in _MAESTRO
    return issued and digits.luhn(plain) and len(set(plain)) > 1


_RUN_SIGN = r"[A-Za-z0-9+/_-]{40}"
_RUN = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/_-]{40,}={0,2}(?![\w+/-])")
_RUNS, _RUN_CHARS = 32, 8_192
_STANDARD = str.maketrans("-_", "+/")


def _cued(word: str) -> str:
    return rf"(?i)(?:{word})"


_N9 = r"(?<![\w-])\d{3}[ -]?\d{3}[ -]?\d{3}(?![\w-])"
_N11 = r"(?<![\w-])\d{11}(?![\w-])"


def _basic() -> list[Kind]:
    return [
        Kind(
            "email",
            r"[^\s@]@[^\s@]+\.[^\s@]",
            r"(?<![\w.+%-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}(?![\w-])",
            rank=9,
        ),
        Kind(
            "email",
            r"(?i)%40|&#(?:0*64|x0*40);|\\u0040|[\[({] ?at ?[\])}]",
            r"(?i)(?<![\w.+%-])[\w.+-]{1,64}(?:%40|&#(?:0*64|x0*40);|\\u0040| ?[\[({] ?at ?[\])}] ?)"
            r"[\w-]{1,63}(?:(?:\.|%2e| ?[\[({] ?dot ?[\])}] ?)[\w-]{1,63}){0,7}(?:\.|%2e| ?[\[({] ?dot ?[\])}] ?)[a-z][\w-]{1,62}",
            rank=8,
        ),
        Kind("url", r"(?i)(?:https?://|www\.)[\w-]", r"(?i)\b(?:https?://|www\.)[^\s<>\"'`|\\^{}]{3,2000}[^\s<>\"'`|\\^{}.,;:!?)\]]", rank=1),
        Kind("ip", r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d", r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)", _address, rank=7),
        Kind(
            "ip",
            r"(?i)[0-9a-f]{0,4}:[0-9a-f]{0,4}:[0-9a-f:]",
            r"(?i)(?<![\w:])(?=[0-9a-f:]*:[0-9a-f:]*:)[0-9a-f:]{3,39}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])",
            _address,
            rank=7,
        ),
        Kind("mac", r"(?i)(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}", r"(?i)(?<![\w:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![\w:-])", rank=8),
        Kind("card", r"(?:\d[ -]?){11}\d", r"(?<![\w.-])(?<![A-Za-z]{2}\d\d )(?:\d[ -]?){11,18}\d(?![\w-]|\.\d)", _card, rank=8),
        Kind(
            "iban",
            r"(?i)[a-z]{2}\d{2}[ -]?[a-z0-9]{4}",
            r"(?i)(?<![\w])[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,3})?(?![\w])",
            digits.iban,
            rank=9,
        ),
        Kind("vin", r"(?i)\b[a-hj-npr-z0-9]{17}\b", r"(?i)(?<!\w)[a-hj-npr-z0-9]{17}(?!\w)", digits.vin, rank=4),
        Kind("imei", r"(?i)imei", r"(?<!\w)\d{2}-?\d{6}-?\d{6}-?\d(?!\w)", digits.luhn, cue=_cued("imei"), rank=8),
        Kind("crypto", r"\b0x[0-9a-fA-F]{40}\b|\b(?:bc1[a-z0-9]{20}|[13][1-9A-HJ-NP-Za-km-z]{25})", r"\b(?:0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{11,71}|[13][1-9A-HJ-NP-Za-km-z]{25,34})\b", digits.wallet, rank=6),
    ]  # fmt: skip


def _national() -> list[Kind]:
    return [
        Kind("us_ssn", r"\d{3}[- .]\d{2}[- .]\d{4}", r"(?<![\w-])\d{3}[- .]\d{2}[- .]\d{4}(?![\w-])", digits.us_ssn, rank=7),
        Kind("us_ssn", r"(?i)(?:ssn|social.security)", r"(?<![\w-])\d{9}(?![\w-])", digits.us_ssn, cue=_cued(r"\bssn\b|social.security"), rank=7),
        Kind("us_aba", r"(?i)routing|\baba\b|\brtn\b", r"(?<![\w-])\d{9}(?![\w-])", digits.us_aba, cue=_cued(r"routing|\baba\b|\brtn\b"), rank=7),
        Kind("uk_nino", r"(?i)\b[a-ceghj-prstwxyz]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]\b", r"(?i)\b[a-ceghj-prstw-z][a-ceghj-npr-tw-z] ?\d{2} ?\d{2} ?\d{2} ?[a-d]\b", digits.uk_nino, rank=6),
        Kind("uk_nhs", r"(?i)\bnhs", r"(?<![\w-])\d{3}[ -]?\d{3}[ -]?\d{4}(?![\w-])", digits.uk_nhs, cue=_cued(r"\bnhs"), rank=8),
        Kind("de_tax", r"(?i)steuer|\btin\b|idnr", r"(?<![\w-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\w-])", digits.de_tax, cue=_cued(r"steuer|\btin\b|idnr"), rank=8),
        Kind("fr_nir", r"[12] ?\d{2} ?\d{2} ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d{2}", r"(?<![\w-])[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?![\w-])", digits.fr_nir, rank=9),
        Kind("es_dni", r"(?i)\b[xyz\d]-?\d{7}-?[a-z]\b", r"(?i)(?<![\w-])(?:\d{8}|[xyz]-?\d{7})-?[a-z](?![\w-])", digits.es_dni, rank=6),
        Kind("it_cf", r"(?i)\b[a-z]{6}\d{2}[a-z]\d{2}[a-z]\d{3}[a-z]\b", r"(?i)\b[a-z]{6}\d{2}[abcdehlmprst]\d{2}[a-z]\d{3}[a-z]\b", digits.it_cf, rank=8),
        Kind("pl_pesel", r"(?i)pesel", _N11, digits.pl_pesel, cue=_cued("pesel"), rank=8),
        Kind("nl_bsn", r"(?i)\bbsn|burgerservice|sofi", _N9, digits.nl_bsn, cue=_cued(r"\bbsn|burgerservice|sofi"), rank=8),
        Kind("br_cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}|(?i:cpf)", r"(?<![\w-])(?:\d{3}\.\d{3}\.\d{3}-\d{2}|\d{11})(?![\w-])", digits.br_cpf, rank=6),
        Kind("in_aadhaar", r"[2-9]\d{3} \d{4} \d{4}|(?i:aadha+r)", r"(?<![\w-])[2-9]\d{3} ?\d{4} ?\d{4}(?![\w-]| \d)", digits.in_aadhaar, cue=_cued("aadha+r|uidai|\\buid"), rank=8),
        Kind("in_pan", r"\b[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]\b", r"(?<!\w)[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z](?!\w)", rank=5),
        Kind("se_pn", r"\d{6}[-+]\d{4}", r"(?<![\w-])(?:\d{2})?\d{6}[-+]\d{4}(?![\w-])", digits.se_pn, rank=7),
        Kind("ch_ahv", r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}", r"(?<![\w.])756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}(?![\w])", digits.ch_ahv, rank=9),
        Kind("au_tfn", r"(?i)\btfn\b|tax file", _N9, digits.au_tfn, cue=_cued(r"\btfn\b|tax file"), rank=8),
    ]  # fmt: skip


def _by_word() -> list[Kind]:
    """Numbers without a check digit: their word has to stand before them."""
    return [
        Kind("passport", r"(?i)pass(?:port|aporte|eport|nummer)|reisepass", r"(?<![\w-])(?=[A-Za-z]{0,3}\d)[A-Za-z0-9]{6,12}(?![\w-])", cue=_cued(r"pass(?:port|aporte|eport)|reisepass"), rank=4),
        Kind("driver_license", r"(?i)driv(?:er'?s?|ing|ers')[ -]licen[cs]e|driver.?s? ?lic|führerschein|permis de conduire", r"(?<![\w-])(?=[A-Za-z]{0,5}\d)[A-Za-z0-9][A-Za-z0-9-]{4,17}(?![\w-])", cue=_cued(r"licen[cs]e|lic\b|führerschein|permis"), rank=4),
        Kind("bank_account", r"(?i)acc(?:oun)?t\.? ?(?:number|no\b|nr|#)|kontonummer|sort code", r"(?<![\w-])\d(?:[ -]?\d){5,16}(?![\w-])", cue=_cued(r"acc(?:oun)?t\.? ?(?:number|no\b|nr|#)|kontonummer|sort code"), rank=3),
        Kind("birth_date", r"(?i)\bdob\b|born|birth|geboren|geburts|naissance|nacimiento", r"(?i)(?<![\w-])(?:\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|\d{1,2}(?:st|nd|rd|th)?[ .-]+(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w{0,6},?[ .-]+\d{2,4}|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w{0,6} \d{1,2}(?:st|nd|rd|th)?,? \d{4})(?![\w-])", cue=_cued(r"\bdob\b|born|birth|geboren|geburts|naissance|nacimiento"), rank=4),
        Kind("card_code", r"(?i)\bcv[vc]2?\b|security code", r"(?<![\w-])\d{3,4}(?![\w-])", cue=_cued(r"\bcv[vc]2?\b|security code"), rank=4),
        Kind("pin", r"(?i)\bpin\b", r"(?<![\w-])\d{4,8}(?![\w-])", cue=_cued(r"\bpin\b"), rank=2),
    ]  # fmt: skip


class Wrapped:
    """What is found inside of Base64, at the place of the whole run."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = tuple(kinds)

    @cached_property
    def _signs(self) -> Signs:
        return Signs([kind.sign for kind in self._kinds])

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where they stand; the first runs of a text, and the first kilobytes of each."""
        for found in islice(_RUN.finditer(text), _RUNS):
            body = found[0].rstrip("=")[:_RUN_CHARS].translate(_STANDARD)
            body = body[: len(body) - (len(body) % 4 == 1)]
            inner = base64.b64decode(body + "=" * (-len(body) % 4)).decode("utf-8", "ignore")
            if any(next(iter(self._kinds[index].find(inner)), None) for index in self._signs.of(inner)):
                yield found.span()


STRUCTURED = (*tuple(dict.fromkeys(kind.name for kind in (*_basic(), *_national(), *_by_word()))), "phone", "secret")
"""Every kind that has a shape."""
USUAL = tuple(name for name in STRUCTURED if name not in ("url", "pin", "vin"))
"""Those that are looked for where nothing else is said."""
PEOPLE = ("person", "address")
"""Kinds without a shape, see `people`."""


def kinds(names: Sequence[str], rules: Sequence[Rule], regions: Sequence[str] = ()) -> list[Kind]:
    """Those of `names`, with the rules for `secret` among them; a name that is none of `STRUCTURED` is left out."""
    wanted = set(names)
    made = [kind for kind in (*_basic(), *_national(), *_by_word()) if kind.name in wanted]
    if "phone" in wanted:
        made.append(Kind("phone", SIGN, rank=4, find=Phones(regions).find))
    if "secret" in wanted:
        secrets = [Kind("secret", rule.sign or ".", rank=10, find=rule.find) for rule in rules]
        made += [*secrets, Kind("secret", _RUN_SIGN, rank=9, find=Wrapped(secrets).find)]
    return made
