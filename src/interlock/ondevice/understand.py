"""Tier 0: which of a contract's intents a text has, how sure that is, and whether the promise allows to act on it.

Below: `embed`, `head` (scores), `trust` (chance of being right), `promise` (threshold). Above: the application, which fits one
`Tier0` per contract and keeps its bytes. Nothing here calls a model or the network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources

import numpy as np

from interlock.core.ports import Understanding
from interlock.ondevice.arrays import pack, unpack
from interlock.ondevice.embed import Embedder
from interlock.ondevice.head import OUT_OF_SCOPE, Head, fit
from interlock.ondevice.logistic import Logistic
from interlock.ondevice.minilm import Vectors
from interlock.ondevice.promise import CONFIDENCE, Threshold, threshold_for
from interlock.ondevice.trust import calibration_error, evidence, fit_trust, judged, rehearsal, shares

OUT_OF_SCOPE_SHARE = 0.2  # of live traffic, unless the contract knows better
ENOUGH_GIVEN = 100  # with this many out-of-scope examples of its own a contract needs no general ones, and its nearest examples count
FORMAT = 5  # also part of the name under which a fitted head is kept: raise it when the method changes


@dataclass(frozen=True, slots=True)
class Report:
    """How the fit went, judged on texts that the head had not seen. Shares are of all traffic, 0..1."""

    accuracy: float  # of in-scope examples, each left out
    calibration_error: float
    coverage: float
    wrong_share: float
    wrong_bound: float
    out_of_scope_share: float
    promise: float
    threshold: float
    kept: bool
    more_examples: int  # 0 also when more of the same would not help
    examples: dict[str, int]
    out_of_scope_examples: int
    off_topic_examples: int

    def summary(self) -> str:
        """One sentence for people."""
        if not self.kept:
            remedy = f"Add some {self.more_examples} more" if self.more_examples else "Merge intents that get confused"
            return (
                f"Tier 0 answers nothing: {sum(self.examples.values())} examples cannot support a promise of "
                f"{self.promise:.1%}. {remedy}, or lower the promise."
            )
        return (
            f"Tier 0 answers about {self.coverage:.0%} of the traffic from a confidence of {self.threshold:.3f}, with "
            f"{self.accuracy:.1%} of its left-out examples understood and a promise of {self.promise:.1%}."
        )


@dataclass(frozen=True, slots=True)
class Tier0:
    """A fitted head with its threshold. Immutable; `embedder` may be shared."""

    embedder: Embedder
    head: Head
    trust: Logistic
    threshold: Threshold
    report: Report

    @classmethod
    def fit(
        cls,
        examples: Mapping[str, Sequence[str]],
        out_of_scope: Sequence[str],
        embedder: Embedder,
        promise: float = 0.98,
        seed: int = 0,
        oos_share: float | None = None,
        confidence: float = CONFIDENCE,
    ) -> Tier0:
        """Learn the intents of `examples` (name -> texts) and set the threshold that keeps `promise`.

        `oos_share` is the share (0..1) of live traffic that belongs to no intent; 0.2 when unknown. With fewer than 100
        `out_of_scope` texts, general off-topic ones that come with the package are added. `confidence` is that of the
        bound behind the threshold. Raises ValueError for fewer than two intents, an intent without texts, or a share,
        promise or confidence out of range. Takes some seconds for 600 examples, a minute for 15,000.
        """
        share = OUT_OF_SCOPE_SHARE if oos_share is None else oos_share
        if not 0 <= share < 1 or not 0.5 <= confidence < 1:
            raise ValueError(f"oos_share {share} must lie in 0..1 and confidence {confidence} in 0.5..1.")
        general = () if len(out_of_scope) >= ENOUGH_GIVEN else off_topic_texts()
        head, left_out = fit(examples, out_of_scope, embedder, seed=seed, off_topic=general)
        weights = shares(left_out, share)
        trust = fit_trust(left_out, weights, nearest=not general)
        chances, right = trust.chances(evidence(left_out.look)), judged(left_out)
        threshold = threshold_for(promise, rehearsal(left_out, trust, weights), confidence=confidence)
        inside = left_out.labels != OUT_OF_SCOPE
        report = Report(
            accuracy=float(right[inside].mean()),
            calibration_error=calibration_error(chances, right, weights),
            coverage=threshold.coverage,
            wrong_share=threshold.wrong_share,
            wrong_bound=threshold.wrong_bound,
            out_of_scope_share=share,
            promise=promise,
            threshold=threshold.value,
            kept=threshold.kept,
            more_examples=_more(threshold, sum(map(len, examples.values())) + len(out_of_scope)),
            examples={name: len(texts) for name, texts in examples.items()},
            out_of_scope_examples=len(out_of_scope),
            off_topic_examples=len(general),
        )
        return cls(embedder, head, trust, threshold, report)

    def understand(self, texts: Sequence[str]) -> list[Understanding]:
        """One understanding per text, in order."""
        return self.understand_vectors(self.embedder.features(texts)) if texts else []

    def understand_vectors(self, features: Vectors) -> list[Understanding]:
        """The same for rows of the embedder's `features`, where the caller has them already."""
        look = self.head.look(features)
        best_two = np.argsort(-look.scores, axis=1, kind="stable")[:, :2]
        chances = self.trust.chances(evidence(look))
        return [
            self._understanding(int(first), int(second), float(chance))
            for (first, second), chance in zip(best_two, chances, strict=True)
        ]

    def _understanding(self, first: int, second: int, chance: float) -> Understanding:
        limit = self.threshold
        accepted = chance >= limit.value
        if accepted:
            reason = f"confidence {chance:.3f} reaches the {limit.value:.3f} that keeps {limit.promise:.1%}"
        elif limit.kept:
            reason = f"confidence {chance:.3f} is below the {limit.value:.3f} that keeps {limit.promise:.1%}"
        else:
            reason = f"no threshold keeps {limit.promise:.1%} with the examples at hand: {self.report.summary()}"
        intents = self.head.intents
        return Understanding(intents[first], chance, accepted, limit.value, intents[second], reason)

    def to_bytes(self) -> bytes:
        """Everything but the embedder, for `from_bytes`; a zip of arrays and JSON, nothing executable."""
        meta = {
            "format": FORMAT,
            "intents": self.head.intents,
            "trust": asdict(self.trust),
            "threshold": asdict(self.threshold),
            "report": asdict(self.report),
        }
        return pack(
            meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
            landmarks=self.head.landmarks,
            labels=self.head.labels,
            coefficients=self.head.coefficients,
        )

    @classmethod
    def from_bytes(cls, data: bytes, embedder: Embedder) -> Tier0:
        """The tier that `to_bytes` wrote. Raises ValueError for other bytes or another format's."""
        arrays = unpack(data)
        meta = json.loads(arrays["meta"].tobytes())
        if meta.get("format") != FORMAT:
            raise ValueError(f"This head was saved in format {meta.get('format')}, not {FORMAT}: fit it again.")
        head = Head(tuple(meta["intents"]), arrays["landmarks"], arrays["labels"], arrays["coefficients"])
        trust = Logistic(tuple(meta["trust"]["slopes"]), meta["trust"]["offset"])
        return cls(embedder, head, trust, Threshold(**meta["threshold"]), Report(**meta["report"]))


def _more(threshold: Threshold, texts: int) -> int:
    """Roughly how many examples are missing, spread over intents and out of scope as those at hand."""
    return math.ceil(max(0.0, threshold.examples_factor - 1) * texts)


def off_topic_texts() -> list[str]:
    """Everyday remarks that belong to no business workflow, one per line of `offtopic.txt`."""
    lines = (resources.files("interlock.ondevice") / "offtopic.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
