"""What may leave in the answer: no links, secrets, made-up names or advice that nobody trusted stands for. Above: flow. Below: flow_known, flow_words, flow_values.

A model that obeys somebody else's text can say whatever that wants, where no tool sees it. Held back is what can be told from the user's own answer by where it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from . import flow_values as values
from .flow_known import Known
from .flow_words import Words, words_of

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+(?=\s|$)|\n|$)\s*")
_ADVISING = (
    "should", "must", "ought", "urgent", "immediately", "absolutely", "definitely", "have to", "need to", "make sure", "be sure", "visit", "click", "call", "contact", "download",
    "install", "reply", "sign up", "log in", "transfer",
)  # fmt: skip
_ADVICE = re.compile(rf"\b(?:{'|'.join(_ADVISING)})(?:ly)?\b", re.IGNORECASE)
_TAIL = re.compile(r"\S*[?/=&#%\d]")
_OWN_SHARE = 0.8
"""Part of a sentence's own words that has to stand in one untrusted text for the sentence to be that text's."""
_OWN_WORDS = 3
Finds = Callable[[str], Iterable[tuple[int, int, str]]]
"""(start, end, kind) of what is personal in a text, in its order and without overlaps."""


def held(
    text: str, prompt: Words, known: Known, outputs: Sequence[Any], nouns: Sequence[str], finds: Finds | None = None
) -> tuple[str, dict[str, str]]:
    """The answer as it may leave, and what was done to it: reasons by rule. `nouns`: what the system has lists of."""
    found: dict[str, str] = {}
    left = values.visible(text)
    if left != text:
        found["answer.hidden"] = "characters that cannot be seen were taken out"
    for secret in known.secrets():
        if secret in left:
            found["answer.secrets"] = "what a tool's contract calls secret was withheld"
            left = left.replace(secret, "[withheld]")
    covered = left if finds is None else _covered(left, prompt, finds)
    if covered != left:
        found["answer.private"] = "personal data of which the request does not speak was withheld"
        left = covered
    for link in values.links(left):
        if not known.may_follow(link) or _runs_on(left, link):
            found["answer.links"] = "links that nobody vouches for were taken out"
            left = re.sub(rf"{re.escape(link)}(?:\.[^\s<>\"')\]]+)?", "[link removed]", left)
    for noun in nouns:
        if noun.capitalize() in left:
            named = _names(noun).sub(lambda each, noun=noun: _known_name(each, noun, prompt, known), left)
            if named != left:
                found["answer.names"] = f"a {noun} that is on no list was not named"
            left = named
    advised = _without_advice(left, prompt, known, outputs)
    if advised != left:
        found["answer.advice"] = "advice from a text that nobody vouches for was left out"
    return advised, found


def _covered(text: str, prompt: Words, finds: Finds) -> str:
    """The text with the kinds in the place of personal data that the request does not say."""
    for start, end, kind in reversed(list(finds(text))):
        if not prompt.says(text[start:end]):
            text = f"{text[:start]}[{kind}]{text[end:]}"
    return text


def _without_advice(text: str, prompt: Words, known: Known, outputs: Sequence[Any]) -> str:
    low = text.lower()
    if not any(each in low for each in _ADVISING):
        return text
    said = [
        frozenset(words_of(str(leaf))) for output in outputs for leaf in values.each(output) if isinstance(leaf, str)
    ]
    return _SENTENCE.sub(
        lambda found: (
            found[0]
            if _is_own(found[0], prompt, known, said)
            else "[advice from a text that nobody vouches for was left out] "
        ),
        text,
    )


def _runs_on(text: str, link: str) -> bool:
    """Whether what follows a link without a space could be read as part of it, and carry something."""
    at = text.find(f"{link}.")
    while at >= 0:
        if _TAIL.match(text, at + len(link) + 1):
            return True
        at = text.find(f"{link}.", at + 1)
    return False


@lru_cache(maxsize=64)
def _names(noun: str) -> re.Pattern[str]:
    """Names that call themselves one of a list's things: `Riverside View Hotel`."""
    return re.compile(rf"\b(?:[A-Z][a-z\u00c0-\u024f'\u2019&-]+[ ]+){{1,4}}{noun.capitalize()}\b")


def _known_name(found: re.Match[str], noun: str, prompt: Words, known: Known) -> str:
    """The name as it stands, where the request or the system's list has it, with or without the noun; else none. Words before it that are known stay."""
    listed, words = known.listed(f"name:{noun}"), found[0].split()
    for at in range(len(words) - 1):
        whole, short = values.normal(" ".join(words[at:])), values.normal(" ".join(words[at:-1]))
        if any(each in listed or prompt.says(each) for each in (whole, short)):
            return found[0]
    sure = known.trusted_words() | prompt.words
    kept = next((at for at, word in enumerate(words[:-1]) if values.normal(word) not in sure), len(words) - 1)
    return " ".join([*words[:kept], f"[a {noun} that is on no list]"])


def _is_own(sentence: str, prompt: Words, known: Known, said: Sequence[frozenset[str]]) -> bool:
    """Whether a sentence is the model's own, or the user asked for what it says: advice is not, when its words stand in somebody else's text."""
    if not _ADVICE.search(sentence):
        return True
    own = {word for word in words_of(sentence) if len(word) > 2} - prompt.words - set(known.trusted_words())
    own = set(prompt.strange(" ".join(own)))
    return len(own) < _OWN_WORDS or not any(len(own & each) >= _OWN_SHARE * len(own) for each in said)
