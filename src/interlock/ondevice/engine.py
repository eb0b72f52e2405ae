"""The on-device engine of one workflow, as `core.ports.TierZero` has it: understanding and passages, fitted once and kept.

Above: `app` makes one per contract. Below: `understand`, `passages`, `embed`. What is kept on disk is named by the hash of all
that it was fitted from, so that changed examples, articles or promises are fitted anew and nothing is ever stale.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from interlock.core.ports import Passage, Understanding
from interlock.ondevice.embed import Embedder
from interlock.ondevice.passages import Article, Passages
from interlock.ondevice.understand import FORMAT, Report, Tier0

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """What an engine is fitted from."""

    examples: Mapping[str, Sequence[str]]
    out_of_scope: Sequence[str]
    promise: float
    articles: Sequence[Article]
    about: Mapping[str, Sequence[str]]
    """Ids of the articles about an intent; an intent without any may be answered from all."""


class Engine:
    """Understands texts and finds passages. Fitted, or read from `folder`, when it is first asked; then immutable."""

    def __init__(self, recipe: Recipe, embedder: Callable[[], Embedder], folder: Path | None) -> None:
        """`embedder` is called once it is needed; `folder` keeps what was fitted, `None` keeps nothing."""
        self._recipe = recipe
        self._embedder = embedder
        self._folder = folder

    def understand(self, text: str) -> Understanding:
        """What the text wants, and whether the promise allows to act on it."""
        return self._tier0.understand([text])[0]

    def find(self, question: str, intent: str = "") -> Passage | None:
        """The best passage, among the articles about `intent` when there are any."""
        if self._passages is None:
            return None
        about = self._recipe.about.get(intent)
        found = self._passages.answer(question, about) if about else self._passages.find(question, top=1)
        if not found:
            return None
        best, other = found[0], found[-1]
        text = " ".join(" ".join(each.text.split()) for each in found)
        also = other.article_id if other.article_id != best.article_id else ""
        return Passage(best.article_id, best.title, text, best.score, best.good, also)

    @property
    def report(self) -> Report:
        """How the fit went."""
        return self._tier0.report

    @cached_property
    def _tier0(self) -> Tier0:
        recipe, embedder = self._recipe, self._embedder()
        parts = {"examples": recipe.examples, "out_of_scope": recipe.out_of_scope, "promise": recipe.promise}
        return self._kept(
            "head",
            parts,
            lambda data: Tier0.from_bytes(data, embedder),
            lambda: Tier0.fit(recipe.examples, recipe.out_of_scope, embedder, promise=recipe.promise),
            lambda made: made.to_bytes(),
        )

    @cached_property
    def _passages(self) -> Passages | None:
        articles, about, promise = self._recipe.articles, self._recipe.about, self._recipe.promise
        if not articles:
            return None
        embedder = self._embedder()
        return self._kept(
            "passages",
            {"articles": [[a.id, a.title, a.text] for a in articles], "about": about, "promise": promise},
            lambda data: Passages.from_bytes(data, articles, embedder),
            lambda: Passages.fit(articles, embedder, list(about.values()), promise),
            lambda made: made.to_bytes(),
        )

    def _kept(
        self, name: str, parts: object, read: Callable[[bytes], T], fit: Callable[[], T], write: Callable[[T], bytes]
    ) -> T:
        """What the folder keeps of this recipe, else a fresh fit, kept for the next time where the folder can be written."""
        if self._folder is None:
            return fit()
        text = json.dumps([FORMAT, parts], sort_keys=True)
        path = self._folder / f"{name}-{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}.npz"
        with contextlib.suppress(OSError, ValueError, KeyError):
            return read(path.read_bytes())
        made = fit()
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(write(made))
            part.replace(path)
        return made
