"""Local rules of moderation: few, plain patterns by category, and those that a workspace writes. They are quick and miss most; a vendor's
endpoint (`plugins/moderators`) judges better and costs a call.

Above: guards. Below: folding, signs, unwrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from interlock.core.guards import Verdict
from interlock.core.time import Deadline

from . import unwrap
from .folding import folded
from .signs import Signs

_PEOPLE = r"(?:jews?|muslims?|christians?|blacks?|whites?|asians?|gays?|lesbians?|immigrants?|refugees|women|men|foreigners|trans(?:gender)? people|arabs?|mexicans?|indians?|chinese|gypsies)"
SHIPPED: tuple[tuple[str, str], ...] = (
    ("self-harm", r"(?i)\b(?:i (?:want|wanna|plan|am going|'m going|need) to|i(?:'ll| will)|how (?:do i|can i|to)|best way to|going to) (?:kill|hang|cut|hurt|harm|slice|end) (?:myself|my ?self|my (?:own )?life|it all)\b"),
    ("self-harm", r"(?i)\b(?:i (?:want|wish|deserve) to (?:die|be dead)|suicid(?:e|al) (?:note|plan|method|thoughts?|ideation)|commit(?:ting)? suicide|slic(?:e|ing) myself|cutting myself|kill (?:yourself|urself)|kys\b|starve myself)"),
    ("violence", r"(?i)\b(?:i(?:'m| am)? (?:will|going to|gonna|want to|'ll)|we (?:will|should|must)|let's|i'll) (?:kill|murder|shoot|stab|behead|lynch|bomb|strangle|burn) (?:you|him|her|them|all|every|my|your|the|that|those|these|his|people)\b"),
    ("violence", r"(?i)\bhow (?:do i|can i|to|would (?:i|one)) (?:kill|murder|poison|stab|shoot|strangle|behead|kidnap|torture|beat up|assassinate) (?:a |an |my |your |the |some|his |her )?(?:person|someone|somebody|people|man|woman|wife|husband|girl|boy|child|kid|neighbou?r|boss|colleague|partner|spouse|human|president|cop|police)"),
    ("weapons", r"(?i)\b(?:how (?:do i|can i|to)|steps to|instructions (?:for|to)|recipe for|help me|guide to) (?:\w+ ){0,3}?(?:build|make|assemble|construct|synthesi[sz]e|cook|3d[- ]print|create|making|building)\b[^.?\n]{0,30}\b(?:pipe bomb|bomb|explosives?|nerve agent|sarin|ricin|anthrax|meth(?:amphetamine)?|molotov|napalm|bioweapon|silencer|ghost gun|c4|tatp|thermite)\b"),
    ("hate", rf"(?i)\b(?:all |those |these |the |every |most )?{_PEOPLE} (?:are|is) (?:all )?(?:\w+ ){{0,2}}(?:subhuman|vermin|animals|parasites|rats|cockroaches|inferior|scum|filth|disgusting|evil|a disease|a plague|trash|garbage|apes|monkeys|pigs|criminals|rapists|terrorists)\b"),
    ("hate", rf"(?i)\b(?:kill|gas|exterminate|deport|hang|burn|eradicate|get rid of|hate) (?:all )?(?:the |those |these )?{_PEOPLE}\b"),
    ("sexual/minors", r"(?i)\b(?:child|kid|minor|underage|preteen|toddler|(?:1[0-7]|[5-9])[ -]?(?:year|yr)s?[ -]?old|schoolgirl|little (?:girl|boy)|loli|shota)\b[^.\n]{0,60}\b(?:sex|sexual|naked|nude|porn|erotic|fuck\w*|orgasm|blowjob|cum|pussy|cock|penis|rape[ds]?)\b"),
    ("sexual/minors", r"(?i)\b(?:sex|sexual|naked|nude|porn|erotic|fuck\w*|rape[ds]?|seduc\w+)\b[^.\n]{0,40}\b(?:with|of|by|her|his|a) (?:\w+ ){0,2}(?:child|kid|minor|underage|preteen|toddler|(?:1[0-7]|[5-9])[ -]?(?:year|yr)s?[ -]?old|little (?:girl|boy))\b"),
)  # fmt: skip
"""(category by OpenAI's names, RE2 pattern)."""


class Rules:
    """A moderator without a call. `own`: further (category, pattern) pairs; `shipped`: with those above."""

    name = "rules"

    def __init__(self, own: Sequence[tuple[str, str]] = (), *, shipped: bool = True) -> None:
        self._rules = (*own, *(SHIPPED if shipped else ()))
        self._wraps = tuple(unwrap.SIGNS)

    @cached_property
    def _signs(self) -> Signs:
        return Signs([*(pattern for _, pattern in self._rules), *unwrap.SIGNS.values()])

    def ready(self) -> None:
        """Does now what the first text would have to wait for.

        Raises:
            ValueError: a pattern is none.
        """
        self._signs.of("")

    def categories(self, text: str) -> set[str]:
        """What it falls under, one layer of encoding taken off."""
        plain, _ = folded(text)
        found, wraps = self._seen(plain)
        for inner in unwrap.unwrapped(plain, wraps, text):
            found |= self._seen(inner)[0]
        return found

    async def judge(self, texts: Sequence[str], deadline: Deadline) -> Verdict:
        """Of all the texts together; never waits."""
        return Verdict(tuple(sorted({category for text in texts for category in self.categories(text)})))

    def _seen(self, text: str) -> tuple[set[str], set[str]]:
        rules, present = len(self._rules), self._signs.of(text)
        categories = {self._rules[index][0] for index in present if index < rules}
        return categories, {self._wraps[index - rules] for index in present if index >= rules}
