"""Our sums under the names of OpenTelemetry's GenAI conventions, for tools that know those.

Above: meter. Below: families, semconv. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .families import Family, Histogram, Labels, added
from .semconv import Words

_TOKENS: Mapping[str, tuple[str, ...]] = {
    "input_tokens": ("input", "cache_read", "cache_write", "cache_write_1h", "input_image", "input_audio"),
    "output_tokens": ("output", "reasoning", "output_image", "output_audio"),
    "cache_read": ("cache_read",),
    "cache_write": ("cache_write", "cache_write_1h"),
    "reasoning": ("reasoning",),
}
"""The conventions' counts overlap (what was read from a cache is input too); our buckets are disjoint."""
_REPLACED = frozenset({"kind", "name", "deployment", "bucket"})
Samples = dict[Labels, float | Histogram]


def conventional(families: Sequence[Family], words: Words) -> list[Family]:
    """What of `families` the conventions have a name for, with their attributes and ours beside them."""
    made: dict[str, Family] = {}
    for family in families:
        if family.name == "interlock_call_duration_seconds":
            for kind, fact in (("model", "duration"), ("tool", "tool_duration")):
                _add(made, family, words, fact, _of(family, words, "kind", (kind,)))
        elif family.name == "interlock_tokens":
            for fact, buckets in _TOKENS.items():
                _add(made, family, words, fact, _of(family, words, "bucket", buckets))
    return list(made.values())


def _add(made: dict[str, Family], family: Family, words: Words, fact: str, samples: Samples) -> None:
    for name in words.metrics.get(fact, ()):
        told = family.help if name not in made else made[name].help
        known: Samples = dict(made[name].samples) if name in made else {}
        made[name] = Family(name, told, family.kind, _labels(family, words), known | samples, family.unit)


def _labels(family: Family, words: Words) -> tuple[str, ...]:
    facts = ("operation", "provider", "request_model", "tool")
    return (*(words.attributes[fact][0] for fact in facts), *(family.labels[place] for place in _left(family)))


def _left(family: Family) -> list[int]:
    """Places of the labels that keep our names."""
    return [place for place, label in enumerate(family.labels) if label not in _REPLACED]


def _of(family: Family, words: Words, chosen_by: str, values: tuple[str, ...]) -> Samples:
    """The samples whose label `chosen_by` is among `values`, under the labels of the conventions."""
    place = {label: family.labels.index(label) for label in (chosen_by, "kind", "name", "deployment")}
    left = _left(family)
    samples: Samples = {}
    for labels, value in family.samples.items():
        if labels[place[chosen_by]] not in values:
            continue
        tool = labels[place["kind"]] == "tool"
        provider, _, model = ("", "", "") if tool else labels[place["deployment"]].partition("/")
        into = (
            "execute_tool" if tool else "chat",
            words.provider(provider),
            model,
            labels[place["name"]] if tool else "",
            *(labels[each] for each in left),
        )
        samples[into] = added(family.kind, samples[into], value) if into in samples else value
    return samples
