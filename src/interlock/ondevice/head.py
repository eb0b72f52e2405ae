"""From a sentence vector to a score per intent: kernel ridge regression with exact leave-out scores.

Below: numpy. Above: `trust` (how far to believe a score) and `understand`. A score is near 1 where a text resembles the
examples of an intent and falls to 0 far from all examples, because an RBF kernel forgets with distance; that is what
tells texts out of scope. What the out-of-scope examples have in common has a score of its own. Ridge has a closed form for "what would the head have said about this example, had it not
seen it" (PRESS, Allen 1974), and likewise "had it not seen this whole intent", so that calibration needs no second fit
and a text of a removed intent serves as a realistic text out of scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlock.ondevice.embed import Embedder
from interlock.ondevice.minilm import Vectors

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

GAMMA = 1.0  # kernel exp(-gamma * squared distance); best of 0.5, 1, 2 on the training part of CLINC150 and BANKING77
RIDGE = 0.1
LANDMARKS = 3000  # more examples than this are represented by a stratified sample of them
OUT_OF_SCOPE = -1  # label of an example that belongs to no intent
OFF_TOPIC = -2  # the same, for general small talk: taught, but too easy to calibrate on


@dataclass(frozen=True, slots=True)
class Look:
    """What a head sees in texts, one row per text.

    `scores` has a column per intent: about 1 means typical of it, about 0 unlike it. `outside` is the same for the examples that
    belong to no intent, all together. `nearest` is the similarity (0..1) to the nearest landmark of any intent, and of none.
    """

    scores: Vectors
    outside: Vectors
    nearest: Vectors


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted classifier. `landmarks` are unit rows, `coefficients` one column per intent and one for outside of all."""

    intents: tuple[str, ...]
    landmarks: Vectors
    labels: Integers  # of the landmarks
    coefficients: Vectors

    def look(self, vectors: Vectors) -> Look:
        """What it sees in each text (row)."""
        similar = _kernel(vectors, self.landmarks)
        scores = similar @ self.coefficients
        return Look(scores[:, :-1], scores[:, -1], _nearest(similar, self.labels))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the head would have seen in texts that it had not learned from, for calibration.

    A row is a text: an example left out alone (`labels` names its intent, or OUT_OF_SCOPE), or an example whose whole
    intent was left out (`pseudo`; its label is OUT_OF_SCOPE too, since no remaining intent fits).
    """

    look: Look
    labels: Integers
    pseudo: Flags
    intents: Integers  # the text's own intent, removed or not, or OUT_OF_SCOPE

    def clusters(self) -> Integers:
        """A number per row, equal for rows that tend to be wrong together.

        The texts of one removed intent are taken for the same neighbour. The intents that stay are not a sample of
        others, so their texts stand for themselves.
        """
        return np.where(self.pseudo, self.intents, len(self.labels) + np.arange(len(self.labels)))


def fit(
    examples: Mapping[str, Sequence[str]],
    out_of_scope: Sequence[str],
    embedder: Embedder,
    *,
    seed: int,
    off_topic: Sequence[str] = (),
) -> tuple[Head, LeftOut]:
    """A head for the intents of `examples`, and the scores its own examples get when left out.

    Raises ValueError with fewer than two intents or with an intent without examples. `seed` only matters above
    LANDMARKS examples, where a sample of them is drawn.
    """
    empty = sorted(name for name, texts in examples.items() if not texts)
    if empty or len(examples) < 2:
        problem = f"{', '.join(empty)} without any" if empty else f"only {len(examples)} intent(s)"
        raise ValueError(f"Tier 0 needs at least two intents with examples each, and there is {problem}.")
    intents = tuple(examples)
    labels = np.array([place for place, name in enumerate(intents) for _ in examples[name]], np.int64)
    outside = [OUT_OF_SCOPE] * len(out_of_scope) + [OFF_TOPIC] * len(off_topic)
    labels = np.concatenate([labels, np.array(outside, np.int64)])
    texts = [text for name in intents for text in examples[name]]
    vectors = embedder.features([*texts, *out_of_scope, *off_topic])
    return fit_vectors(intents, vectors, labels, seed=seed)


def fit_vectors(intents: tuple[str, ...], vectors: Vectors, labels: Integers, *, seed: int) -> tuple[Head, LeftOut]:
    """The same from vectors (unit rows) and labels (places in `intents`, OUT_OF_SCOPE or OFF_TOPIC)."""
    chosen = _landmarks(labels, seed)
    landmarks = vectors[chosen]
    similar = _kernel(vectors, landmarks)
    gram = similar[chosen].astype(np.float64)
    gram[np.diag_indices_from(gram)] += 1e-6
    root = np.linalg.inv(np.linalg.cholesky(gram)).T  # kernel row @ root = explicit features of the text
    features = (similar @ root.astype(np.float32)).astype(np.float32)
    targets = np.column_stack([labels[:, None] == np.arange(len(intents)), labels < 0]).astype(np.float32)
    inner = (features.T @ features).astype(np.float64)
    inner[np.diag_indices_from(inner)] += RIDGE
    inverse = np.linalg.inv(inner)
    weights = inverse @ (features.T @ targets)
    head = Head(intents, landmarks, labels[chosen], (root @ weights).astype(np.float32))
    # a landmark's own features are exact, a new text's are not: judge by the rest where there is a rest
    seen = np.ones(len(labels), bool)
    if len(chosen) < len(labels):
        seen[chosen] = False
    seen[labels == OFF_TOPIC] = False
    similar[chosen, np.arange(len(chosen))] = 0  # no landmark is its own neighbour
    alone, without = _left_out(features, targets, labels, inverse.astype(np.float32), weights.astype(np.float32))
    return head, _judged_by(seen, labels, alone, without, similar, labels[chosen])


def _kernel(a: Vectors, b: Vectors) -> Vectors:
    """exp(-gamma * squared distance) of unit rows."""
    return np.exp(np.float32(2 * GAMMA) * (a @ b.T - np.float32(1)))


def _landmarks(labels: Integers, seed: int) -> Integers:
    """Places of at most LANDMARKS examples, each label in proportion."""
    if len(labels) <= LANDMARKS:
        return np.arange(len(labels))
    random = np.random.default_rng(seed)
    rank = np.zeros(len(labels))
    for label in np.unique(labels):
        places = random.permutation(np.flatnonzero(labels == label))
        rank[places] = (np.arange(len(places)) + random.random()) / len(places)
    return np.sort(np.argsort(rank, kind="stable")[:LANDMARKS])


def _nearest(similar: Vectors, labels: Integers) -> Vectors:
    """The largest similarity to landmarks of an intent, and to those of none; 0 where there are none."""
    inside = labels >= 0
    return np.stack([similar.max(axis=1, where=each, initial=0) for each in (inside, ~inside)], axis=1)


def _left_out(
    features: Vectors, targets: Vectors, labels: Integers, inverse: Vectors, weights: Vectors
) -> tuple[Vectors, Vectors]:
    """Scores without the example itself, and scores without its whole intent (0 for one without), from the one fit.

    With H = F inverse F', removing the rows I changes their residuals to (1 - H_II)^-1 (targets - fitted)_I.
    """
    projected = features @ inverse
    residuals = targets - features @ weights
    leverage = np.einsum("ij,ij->i", projected, features)
    alone = targets - residuals / np.maximum(1 - leverage, 1e-3)[:, None]
    without = np.zeros_like(alone)
    for label in range(targets.shape[1] - 1):
        rows = np.flatnonzero(labels == label)
        block = np.eye(len(rows)) - projected[rows] @ features[rows].T
        without[rows] = targets[rows] - np.linalg.solve(block, residuals[rows])
        without[rows, label] = 0  # that intent does not exist here
    return alone, without


def _judged_by(
    seen: Flags, labels: Integers, alone: Vectors, without: Vectors, similar: Vectors, landmark_labels: Integers
) -> LeftOut:
    """The texts of `seen`, each left out alone, and once more with its intent if it has one."""
    first = np.flatnonzero(seen)
    again = first[labels[first] >= 0]
    again = again[np.argsort(labels[again], kind="stable")]
    near = [_nearest(similar[first], landmark_labels)]
    for label in np.unique(labels[again]):
        others = landmark_labels != label
        near.append(_nearest(similar[again[labels[again] == label]][:, others], landmark_labels[others]))
    scores = np.concatenate([alone[first], without[again]])
    pseudo = np.arange(len(scores)) >= len(first)
    intents = np.concatenate([labels[first], labels[again]])
    return LeftOut(
        Look(scores[:, :-1], scores[:, -1], np.concatenate(near)),
        np.where(pseudo, OUT_OF_SCOPE, intents),
        pseudo,
        intents,
    )
