"""Signs that a text wants to give orders instead of being read: fast rules, and a small trained classifier. Signals, never a wall.

Published detectors of any size let attacks of an unseen kind through, and so does this one (`docs/pii.md` has the figures by held-out source): what
keeps a compromised model from doing harm is the information-flow policy. A signal goes on the call's event, into routing conditions and into
labels of what a tool returned, which it can only make less trusted.

Above: guards. Below: folding, signs, unwrap, `injection.json` (made by scripts/train_injection.py).
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from . import unwrap
from .cues import GATES, Cues
from .folding import folded
from .signs import Part, Signs

SHIPPED = Path(__file__).with_name("injection.json")
_WORDS = re.compile(r"[a-z']+|[0-9]+|[^\sa-z0-9]", re.ASCII)
HIDDEN = re.compile(
    "(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]{4,}|[\u202d\u202e]|[\u200b\u2060\ufeff]{6,}"  # a flag has tags, too
)
FEWEST = 30
"""Different words and pairs of words that a text has at least before the classifier judges it."""
MAX_CHARS = 16_000
"""Of one text that the classifier reads: its beginning and its end."""

_PAST = r"(?:previous|prior|above|earlier|preceding|former|foregoing|original|initial|existing|system|your|all|any|these|those|the|my)"
_ORDERS = r"(?:instructions?|prompts?|rules?|directions?|guidelines?|directives?|commands?|orders?|constraints?|programming|training|context)"
RULES: Mapping[str, tuple[str, ...]] = {
    "override": (
        rf"(?i)\b(?:ignore|disregard|forget|bypass|override|overlook|discard|dismiss|neglect|skip)\W+(?:(?:about|everything|completely|totally|and|all|of|please)\W+){{0,3}}(?:{_PAST}\W+){{1,4}}(?:\w+\W+)?{_ORDERS}\b",
        r"(?i)\b(?:ignore|disregard|forget) (?:everything|all|anything)(?: that)? (?:i|we|you|was|were|has|have|been|above|before|said|told|written)",
        r"(?i)\bdo not (?:follow|obey|listen to) (?:(?:the|your|any|all|previous|prior|above|system) ){1,3}(?:instructions?|prompts?|rules?|guidelines?)",
        r"(?i)\b(?:new|updated|revised|real|actual|true) (?:system )?(?:instructions?|prompt|directives?) ?(?:are|is|follow|below|:)",
        r"(?i)\b(?:ignorier|vergiss|missachte)\w* (?:bitte )?(?:(?:alle|die|deine|sämtliche|vorherigen|bisherigen|obigen|vorigen) ?){1,4}(?:anweisungen|instruktionen|regeln|vorgaben|befehle)",
        r"(?i)\b(?:ignore[zr]?|oublie[zr]?) (?:(?:toutes|les|tes|vos|ces) ){1,3}(?:instructions|consignes|règles|directives)",
        r"(?i)\b(?:ignor|olvid)\w+ (?:(?:todas|las|tus|sus|estas|todo) ){1,3}(?:instrucciones|reglas|indicaciones|órdenes)",
        r"(?i)\bignor\w+ (?:(?:tutte|le|tue|queste|todas|as|suas) ){1,3}(?:istruzioni|regole|instruções|regras)",
        r"(?:忽略|无视|忘记|不要理会).{0,8}(?:指令|指示|说明|规则|提示)|(?:以前|上記|これまで|前)の?.{0,4}(?:指示|命令).{0,4}(?:無視|忘れ)|игнорируй.{0,24}(?:инструкци|указани|правил)",
    ),
    "role": (
        r"(?i)\byou (?:are|will be|shall be|will act|must act|should act) (?:now|going to|henceforth|from now on)\W+(?:\w+\W+){0,6}(?:dan|jailbroken|unrestricted|unfiltered|uncensored|evil|amoral|free|unethical|machiavellian|stan|dude|aim|developer mode|persona|character)\b",
        r"(?i)\b(?:act|behave|respond|answer|pretend|roleplay|simulate)\b[^.\n]{0,80}\b(?:without|no|free (?:of|from)|ignoring|not bound by)\b[^.\n]{0,30}\b(?:restrictions?|filters?|limits|limitations|rules|guidelines|censorship|ethics|morals|policies)\b",
        r"(?i)\b(?:do anything now|developer mode (?:enabled|output|on)|jailbreak(?:ed)? (?:mode|prompt|enabled)|god mode enabled|opposite mode|evil confidant|unfiltered and amoral)\b",
        r"(?i)\bstay in character\b[^\n]{0,200}\b(?:never|refuse|cannot|ai|openai|policy|rules)\b",
        r"(?i)\b(?:never|do not|don't|must not|cannot) (?:refuse|reject|decline|say (?:no|that you)|mention (?:that )?you(?:'re| are) an ai|break character|warn|moralize|censor)\b[^\n]{0,120}\b(?:ai|character|request|policy|policies|illegal|unethical|openai|guidelines|apologi[sz]e)\b",
    ),
    "leak": (
        r"(?i)\b(?:reveal|print|show|output|repeat|display|tell|give|share|leak|dump|write|recite|say)\b[^.\n?]{0,40}\b(?:your|the|this) (?:(?:full|entire|exact|complete|original|initial|hidden|secret|own|above|whole|internal) ){0,3}(?:system (?:prompt|message|instructions?)|initial (?:prompt|instructions?)|hidden (?:prompt|instructions?)|instructions above|developer message|preprompt)",
        r"(?i)\bwhat (?:are|is|were|was) (?:your|the) (?:(?:exact|original|initial|hidden|full) ){0,2}(?:system prompt|system message|initial instructions|hidden instructions)",
        r"(?i)\brepeat (?:all |everything )?(?:the )?(?:text|words?|content|lines?|above|everything)[^.\n]{0,20}\b(?:above|starting with|before this|verbatim)",
    ),
    "markers": (
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|start_header_id|eot_id)\|>|\[/?INST\]|<</?SYS>>|<start_of_turn>|</?(?:system|assistant)(?:_prompt|_message)?>",
        r"(?im)^\s{0,8}(?:#{1,4}\s{0,2}|\*{0,2}|\[|<|-{2,4}\s?)(?:system|developer|assistant)(?: (?:message|prompt|instructions?|override|note))?(?:\]|>|\*{0,2}):\s",
        r"(?i)(?:^|\n)\W{0,4}(?:begin|start|end) (?:of )?(?:system|admin|developer|new|user) (?:prompt|message|instructions?|input|query)",
    ),
    "orders": (
        r"(?i)\bimportant (?:message|instructions?|notice) (?:from|for|to) (?:me|the (?:user|assistant|ai|model|system|admin)|you|all (?:ai|assistants|agents|models)|\w+ ?\w*, the user)\b",
        r"(?i)\b(?:before|after) (?:you (?:can )?(?:solve|answer|continue|proceed|do|finish|complete)|(?:solving|answering|completing|finishing))[^.\n]{0,80}\b(?:you (?:have to|must|need to|should)|please (?:also|do)|first)\b",
        r"(?i)\b(?:attention|note|notice|message|instructions?|info|information|hint)\W{1,3}(?:to|for)\W(?:the |any |all )?(?:ai|llms?|language models?|assistants?|chatbots?|agents?|models?|gpt|claude|gemini|bots?)\b",
        r"(?i)\b(?:if you are|as) an? (?:ai|llm|language model|assistant|chatbot|agent)[^.\n]{0,60}\b(?:you must|you should|please|do not|always|then|instead|send|call|execute|include|recommend)\b",
        r"(?i)\b(?:send|forward|email|e-mail|post|upload|transfer|exfiltrate|leak|transmit|share)\b[^.\n]{0,80}\b(?:api[ _-]?keys?|passwords?|credentials?|secrets?|access tokens?|private keys?|chat history|conversation history|system prompt)\b[^.\n]{0,60}\b(?:to|at|into)\b",
        r"(?i)\b(?:call|use|invoke|run|execute)\b (?:the |your )?[\w`'\"]{2,40} (?:tool|function|command|plugin)\b[^.\n]{0,80}\b(?:immediately|now|silently|without|instead|and do not|secretly|before)\b",
        r"(?i)\b(?:do not|don't|never|without) (?:tell|telling|mention|mentioning|inform|informing|reveal|notify|notifying|alert|alerting|let)\w*\b[^.\n]{0,40}\b(?:user|human|anyone|customer|owner|person|knowing)\b",
    ),
    "exfiltration": (
        r"!\[[^\]]{0,100}\]\(https?://[^)\s]{1,400}[?&=][^)\s]{0,200}(?:\{|%7B|<|\[|data=|q=|secret=|prompt=|history=|chat=|msg=)",
        r"(?i)\b(?:append|add|include|encode|embed|insert)\b[^.\n]{0,80}\b(?:to|in|into|as)\b[^.\n]{0,20}\b(?:url|link|image|query (?:string|parameter))\b[^.\n]{0,80}\b(?:https?://|conversation|history|summary|secret|data|key|password)",
    ),
}  # fmt: skip
"""By family; each is RE2's."""
_SHAPING = (
    "add|append|include|insert|integrate|incorporate|embed|attach|modify|augment|enhance|alter|adjust|change|replace|substitute|swap|use|write|rewrite|rephrase|translate|encode|decode|convert|express|"
    "misspell|scramble|shuffle|rearrange|anagram|group|reverse|flip|mirror|respond|answer|reply|start|begin|end|finish|conclude|sign|infuse|mention|say|state|output|print|repeat|summari[sz]e|limit|"
    "format|make|turn|put|place|craft|compose|provide|give|create|spread|promote|advertise|recommend|suggest|introduce|present|in your|within your|at the end of your|for your"
)
INSIDE: Mapping[str, str] = {
    "answer": rf"(?im)(?:^|[.!?:;\n]\s*|[\"']|, )(?:please |kindly |now |then |also )*(?:{_SHAPING})\b(?:[^.!?\n]|\.\S){{0,100}}\b(?:your|the|each|every|this) (?:(?:next|final|own|whole|entire) )?(?:answers?|repl(?:y|ies)|responses?|output)\b",
}  # fmt: skip
"""What is an order only where nobody should give any, inside of what a tool returned: how the reader has to answer."""


class Model(NamedTuple):
    """Logistic regression over words and pairs of words."""

    weights: Mapping[str, float]
    bias: float
    threshold: float
    """Score from which a text is signalled."""

    def score(self, text: str) -> float:
        """The logarithm of the odds; of a long text its beginning and end are read. What is too short to judge has none at all (-inf)."""
        if len(text) > MAX_CHARS:
            text = text[: MAX_CHARS // 2] + "\n" + text[-MAX_CHARS // 2 :]
        present = features(text)
        if len(present) < FEWEST:
            return -math.inf
        get = self.weights.get
        return self.bias + sum(get(each, 0.0) for each in present) / math.sqrt(len(present))


def features(text: str) -> set[str]:
    """Words and pairs of neighbours, each once."""
    words = _WORDS.findall(text.lower())
    return {*words, *map(" ".join, itertools.pairwise(words))}


def model_of(path: Path = SHIPPED) -> Model:
    """The classifier of a file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Model(content["weights"], content["bias"], content["threshold"])


class Injection:
    """Made once. `model`: without one only the rules speak; without `rules` only it does."""

    def __init__(self, model: Model | None, *, rules: bool = True, shared: Part | None = None) -> None:
        """`shared`: a matcher of the signs that others use, too."""
        self._model, self._rules, self._shared = model, rules, shared
        self._families = (*(family for family, patterns in RULES.items() for _ in patterns), *INSIDE, *GATES)
        self._wraps = tuple(unwrap.SIGNS)

    @property
    def by_signs(self) -> bool:
        """A text with none of `signs` and nothing hidden has no signal: there is no classifier."""
        return self._model is None

    @property
    def signs(self) -> Sequence[str]:
        """Patterns (RE2) of the rules, and of what their text may be wrapped in."""
        rules = (pattern for patterns in RULES.values() for pattern in patterns)
        return [*rules, *INSIDE.values(), *GATES.values(), *unwrap.SIGNS.values()]

    def over(self, shared: Part) -> Injection:
        """The same by a matcher of `signs` that others use, too."""
        return Injection(self._model, rules=self._rules, shared=shared)

    @cached_property
    def _signs(self) -> Signs | Part:
        return self._shared or Signs(self.signs)

    @cached_property
    def _cues(self) -> Cues:
        return Cues()

    def ready(self) -> None:
        """Does now what the first text would have to wait for."""
        self._signs.of("")
        self._cues.together("", ())

    def signals(self, text: str, *, inside: bool = False) -> tuple[str, ...]:
        """What stands out: families of rules, `persona` for another role, `hidden` for characters that nobody sees, `encoded` where it was inside an encoding, `model`. `inside`: a tool
        returned it, so that an order about the answer (`answer`) is none of its reader's.
        """
        if len(text) < 8:
            return ()
        plain, _ = folded(text)
        found = self._by_rules(text, plain) if self._rules else set[str]()
        if self._model is not None and self._model.score(plain) >= self._model.threshold:
            found.add("model")
        if not inside:
            found -= INSIDE.keys()
        return tuple(sorted(f"injection:{each}" for each in found))

    def _by_rules(self, text: str, plain: str) -> set[str]:
        found, wraps = self._seen(plain)
        if not text.isascii() and HIDDEN.search(text):
            found.add("hidden")
        for inner in unwrap.unwrapped(plain, wraps, text):
            inside, _ = self._seen(inner)
            if inside - found:
                found |= {*inside, "encoded"}
        return found

    def _seen(self, text: str) -> tuple[set[str], set[str]]:
        """The families of rules that speak, and the encodings that it shows."""
        rules = len(self._families)
        present = self._signs.of(text)
        families = {self._families[index] for index in present if index < rules}
        gates = families & GATES.keys()
        if gates:
            families -= gates
            if self._cues.together(text, gates):
                families.add("persona")
        return families, {self._wraps[index - rules] for index in present if index >= rules}
