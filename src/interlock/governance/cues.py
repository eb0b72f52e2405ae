"""Texts that talk a model into another role: no single phrase gives them away, several kinds of cues together do.

Above: injection. Below: nothing of ours. A text is signalled that holds cues of three kinds, one of them rare in what people ordinarily write (`GATES`); the others are only looked for
then. Figures for the half of the public jailbreaks that was not read while this was written: docs/pii.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

ENOUGH = 3
MAX_CHARS = 16_000
"""Of one text that are looked through: its beginning and its end."""
_BOUND = r"(?:restrictions?|limits?|limitations?|rules|filters?|laws?|guidelines|ethics|ethical|morals?|moral|boundaries|censorship|polic(?:y|ies)|inhibitions?|restraints?|constraints?|regulations?|decency)"
GATES: Mapping[str, str] = {
    "unbound": rf"(?i)\b(?:unfilt\w+|uncensored|unrestricted|amoral|immoral|unethical|unlocked|jailbr\w+|nsfw|illegal|do(?:es)? anything|any(?:thing)? (?:asked|prompt|request)|(?:no|without|zero|free (?:of|from)|sans|lacks?|bypass(?:es)?|ignor\w+|regardless of|consider\w* |care about|follow any) (?:\w+[ ,+/]+){{0,5}}{_BOUND}|legality|morality)\b",
    "takeover": r"(?i)\b(?:from (?:now on|on now|this point)|for the rest of (?:this|our)|henceforth|your (?:new|next) (?:name|programming|purpose|role|task)|you are replaced|(?:mode|plugin|persona) (?:is |has been )?(?:enabled|activated|unlocked|on)|(?:ignore|forget|reset) (?:\w+ ){0,3}(?:before|previous|above|instructions|training)|stay (?:in character|as)|new (?:ai|persona|personality))\b",
}
"""By kind; each is RE2's."""
_OTHERS: Mapping[str, str] = {
    "role": r"(?i)\b(?:acts? (?:out|like|as)|acting as|pretend(?:ing)?|role-?play(?:s|ing|er)?|simulat(?:e|ing|or)|emulat(?:e|ing)|impersonat(?:e|ing)|you(?:'re| are| will| must)? (?:now|going to be|to be)\b|(?:play|take on) the (?:role|part)|persona|in character|(?:character|person|model|ai|bot) (?:called|named)|fictional character|speak to me as|respond(?:ing)? as|your name is|you as)\b",
    "machine": r"(?i)\b(?:chat ?-?gpt|openai|gpt-?\d?|ai|a\.i\.|language models?|chatbots?|llms?|the assistant|dan)\b",
    "compel": r"(?i)\b(?:must|always|never|will not|won'?t|cannot|can'?t|do(?:es)? not|do(?:es)?n'?t|not allowed to|no matter)\b[^.\n]{0,60}\b(?:refuse|decline|reject|apologi[sz]e|sorry|warn\w*|break|remind|disclaimers?|ethic\w*|an ai|language model|prompts?|questions?|conscience|moral\w*|say (?:that )?(?:you|he|it) (?:can|are|is)|what)\b",
    "world": r"(?i)\b(?:hypothetical|fictional|fictive|imaginary|imaginative|pretend|alternate|imagined)\W{1,3}(?:\w+\W+){0,2}(?:world|scenarios?|games?|characters?|universe|stor(?:y|ies)|settings?|dialogue|responses?)\b",
    "format": r"(?i)\b(?:(?:start|begin|end|prefix|preface|format|answer|respond|reply)\w* (?:with |in |to )?(?:each|every|any|all|your|this)?\b ?(?:of )?(?:my |your )?(?:response|repl(?:y|ies)|messages?|answers?|sentences?|output|prompts?|questions?|statements?)|(?:respond|reply|answer|output)\w* (?:only |just |exclusively )?(?:as|with|in the)\b|all (?:of )?(?:your )?(?:responses|replies|outputs)|each (?:response|answer|prompt))",
}


class Cues:
    """The kinds that are looked for once a gate stands in a text; compiled once."""

    def __init__(self) -> None:
        self._others = tuple(re.compile(pattern, re.ASCII) for pattern in _OTHERS.values())

    def together(self, text: str, gates: Collection[str]) -> bool:
        """Whether a text that shows these gates holds enough kinds of cues."""
        if len(text) > MAX_CHARS:
            text = f"{text[: MAX_CHARS // 2]}\n{text[-MAX_CHARS // 2 :]}"
        return len(gates) + sum(each.search(text) is not None for each in self._others) >= ENOUGH
