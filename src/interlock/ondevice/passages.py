"""The passage that answers a question: one to four whole sentences, verbatim, with their place in their article.

Below: `embed`, `sentences`, `lexical`, `choice`. Above: `engine`, for flows that answer from knowledge and for retrieval.
Hybrid: similarity in meaning (passage, passage under title and heading, and heading alone) plus a share of BM25.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlock.ondevice.arrays import pack, unpack
from interlock.ondevice.choice import Choice, Rehearsed, learn
from interlock.ondevice.embed import Embedder
from interlock.ondevice.lexical import Bm25
from interlock.ondevice.logistic import Logistic
from interlock.ondevice.minilm import Vectors
from interlock.ondevice.sentences import Block, blocks
from interlock.ondevice.understand import off_topic_texts

LONGEST = 4  # sentences of a passage
GOOD = 0.5  # score from which a passage is more likely right than wrong
LEXICAL = 0.3  # weight of BM25's share beside the similarity; best of 0, 0.15, 0.3, 0.5, 0.8 on the example workspace

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Article:
    """One document of the knowledge base; `text` is plain or Markdown."""

    id: str
    title: str
    text: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """`text` is `article.text[start:end]`. `score` (0..1) grows with the chance that it answers; `good` is the floor."""

    article_id: str
    title: str
    text: str
    score: float
    start: int
    end: int
    good: bool


@dataclass(frozen=True, slots=True)
class _Window:
    article: int
    heading: str
    start: int
    end: int
    block: int  # counted over all articles; a long block has several windows


@dataclass(frozen=True, slots=True)
class Passages:
    """An index of the passages of some articles. Immutable."""

    articles: tuple[Article, ...]
    windows: tuple[_Window, ...]
    vectors: Vectors  # one row per window; not of unit length
    words: Bm25
    anywhere: Logistic  # raw score -> score, searching all articles
    within: Logistic  # the same, searching only articles that are known to be about the question's intent
    choice: Choice | None  # how much of what those articles say to answer with; None where they have too few headings
    embedder: Embedder

    @classmethod
    def fit(
        cls,
        articles: Sequence[Article],
        embedder: Embedder,
        groups: Sequence[Collection[str]] = (),
        promise: float = 0.98,
    ) -> Passages:
        """An index of `articles`, with the floor of `good` learned from them. Some 5 ms of CPU per passage.

        `groups` are the ids of articles that are searched together (those about one intent); `promise` is the share of
        answers that shall be right. Raises ValueError when two articles share an id or none has any text.
        """
        windows, alone, titled = _cut(articles)
        owners = [window.article for window in windows]
        bare, full = embedder.embed(alone), embedder.embed(titled)
        names = embedder.embed([article.title for article in articles])[owners]
        heads = embedder.embed([window.heading or articles[window.article].title for window in windows])
        words = Bm25.fit(titled)
        anywhere, within = _rehearse(articles, windows, (bare + full) / np.float32(2), words, embedder)
        unheaded = Bm25.fit([f"{articles[w.article].title}. {text}" for w, text in zip(windows, alone, strict=True)])
        rehearsed = _ask_headings(articles, windows, (bare + names) / np.float32(2), heads, unheaded, groups)
        vectors = (bare + full + heads) / np.float32(3)
        choice = learn(rehearsed, promise)
        return cls(tuple(articles), windows, vectors, words, anywhere, within, choice, embedder)

    def to_bytes(self) -> bytes:
        """What is slow to fit, without the articles; for `from_bytes`."""
        curves = np.array([[*curve.slopes, curve.offset] for curve in (self.anywhere, self.within)])
        choice = self.choice.numbers() if self.choice else np.zeros(0)
        return pack(vectors=self.vectors, curves=curves, choice=choice)

    @classmethod
    def from_bytes(cls, data: bytes, articles: Sequence[Article], embedder: Embedder) -> Passages:
        """The index that `to_bytes` wrote for the same articles. Raises ValueError for others."""
        windows, _, titled = _cut(articles)
        arrays = unpack(data)
        vectors, curves = arrays["vectors"], arrays["curves"]
        if len(vectors) != len(windows):
            raise ValueError(f"The index holds {len(vectors)} passages and the articles {len(windows)}: fit it again.")
        anywhere, within = (Logistic((float(slope),), float(offset)) for slope, offset in curves)
        choice = Choice.from_numbers(arrays["choice"])
        return cls(tuple(articles), windows, vectors, Bm25.fit(titled), anywhere, within, choice, embedder)

    def answer(self, question: str, intent_articles: Collection[str]) -> list[Passage]:
        """What answers a question that is known to be about these articles: the best block, or the two best where neither is
        far ahead. Their `score` is the chance that the answer is in them together. Empty when none of the articles exists.
        """
        if self.choice is None:
            return self.find(question, intent_articles=intent_articles, top=1)
        raw = _raw(self.embedder.embed([question])[0], question, self.vectors, self.words)
        wanted = [i for i, window in enumerate(self.windows) if self.articles[window.article].id in intent_articles]
        best = _best(raw, wanted, [window.block for window in self.windows])
        if not best:
            return []
        count, chance, good = self.choice.of([float(raw[place]) for place in best[:3]])
        return [self._passage(place, chance, good=good) for place in best[:count]]

    def find(self, question: str, *, intent_articles: Collection[str] | None = None, top: int = 3) -> list[Passage]:
        """The best passages, best first, at most one per article and at most `top`.

        `intent_articles` keeps the search to those article ids; None searches all. Empty when none of them exists.
        """
        raw = _raw(self.embedder.embed([question])[0], question, self.vectors, self.words)
        wanted = [
            place
            for place, window in enumerate(self.windows)
            if intent_articles is None or self.articles[window.article].id in intent_articles
        ]
        curve = self.anywhere if intent_articles is None else self.within
        best = _best(raw, wanted, [window.article for window in self.windows])[:top]
        if not best:
            return []
        scores = curve.chances(raw[best][:, None].astype(np.float64))
        return [
            self._passage(place, float(score), good=bool(score >= GOOD))
            for place, score in zip(best, scores, strict=True)
        ]

    def _passage(self, place: int, score: float, *, good: bool) -> Passage:
        window = self.windows[place]
        article = self.articles[window.article]
        text = article.text[window.start : window.end]
        return Passage(article.id, article.title, text, score, window.start, window.end, good)


def _best(raw: Floats, wanted: Sequence[int], owners: Sequence[int]) -> list[int]:
    """The best window of each owner (article or block) among the places `wanted`, best owner first."""
    best: dict[int, int] = {}
    for place in sorted(wanted, key=lambda place: -float(raw[place])):
        best.setdefault(owners[place], place)
    return list(best.values())


def _raw(vector: Floats, question: str, vectors: Vectors, words: Bm25) -> Floats:
    return (vectors @ vector + np.float32(LEXICAL) * words.shares(question)).astype(np.float32)


def _cut(articles: Sequence[Article]) -> tuple[tuple[_Window, ...], list[str], list[str]]:
    """All windows, their texts, and their texts under title and heading."""
    counts = Counter(article.id for article in articles)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    cut = [(place, block) for place, article in enumerate(articles) for block in blocks(article.text)]
    windows = tuple(window for number, (place, block) in enumerate(cut) for window in _windows(place, block, number))
    if repeated or not windows:
        problem = f"the ids {', '.join(repeated)} are used twice" if repeated else "no article has any text"
        raise ValueError(f"The knowledge base of {len(articles)} article(s) cannot be indexed: {problem}.")
    alone = [articles[window.article].text[window.start : window.end] for window in windows]
    titled = [
        ". ".join(filter(None, (articles[window.article].title, window.heading, text)))
        for window, text in zip(windows, alone, strict=True)
    ]
    return windows, alone, titled


def _windows(article: int, block: Block, number: int) -> Iterator[_Window]:
    """Every run of LONGEST sentences of a block, or the whole block where it is shorter."""
    sentences = block.sentences
    for first in range(max(1, len(sentences) - LONGEST + 1)):
        last = min(first + LONGEST, len(sentences)) - 1
        yield _Window(article, block.heading, sentences[first].start, sentences[last].end, number)


def _ask_headings(
    articles: Sequence[Article],
    windows: Sequence[_Window],
    vectors: Vectors,
    heads: Vectors,
    words: Bm25,
    groups: Sequence[Collection[str]],
) -> list[Rehearsed]:
    """Every heading as a question to the articles that are searched with its own; `vectors` and `words` know no heading."""
    together: dict[str, set[str]] = {}
    for group in groups:
        for name in group:
            together.setdefault(name, set()).update(group)
    asked: dict[tuple[int, str], int] = {}
    for place, window in enumerate(windows):
        if window.heading:
            asked.setdefault((window.article, window.heading), place)
    rehearsed: list[Rehearsed] = []
    for (owner, heading), place in asked.items():
        near = together.get(articles[owner].id, {articles[owner].id})
        wanted = [i for i, window in enumerate(windows) if articles[window.article].id in near]
        raw = _raw(heads[place], heading, vectors, words)
        best = _best(raw, wanted, [window.block for window in windows])
        right = [(windows[i].article, windows[i].heading) == (owner, heading) for i in best].index(True)
        if len(best) > 1:
            rehearsed.append(Rehearsed([float(raw[i]) for i in best[:3]], right))
    return rehearsed


def _rehearse(
    articles: Sequence[Article], windows: Sequence[_Window], vectors: Vectors, words: Bm25, embedder: Embedder
) -> tuple[Logistic, Logistic]:
    """How the raw score tells right from wrong, among all articles and among those of a known intent.

    A title is a question that its own article answers (its vector is kept out of the score here). The same title with
    that article taken away, and an off-topic remark, are questions that none answers; the former do not arise where the
    intent is known already.
    """
    owners = np.array([window.article for window in windows])
    answered: list[float] = []
    near: list[float] = []
    names = [article.title for article in articles]
    for place, (name, vector) in enumerate(zip(names, embedder.embed(names), strict=True)):
        raw = _raw(vector, name, vectors, words)
        own = owners == place
        answered += [float(raw[own].max())] if own.any() else []
        near += [float(raw[~own].max())] if not own.all() else []
    remarks = off_topic_texts()
    far = [
        float(_raw(vector, remark, vectors, words).max())
        for remark, vector in zip(remarks, embedder.embed(remarks), strict=True)
    ]
    return _between(answered, near + far), _between(answered, far)


def _between(right: Sequence[float], wrong: Sequence[float]) -> Logistic:
    """The logistic curve between two bell curves of equal width, right and wrong taken as equally frequent."""
    high, low = float(np.mean(right)), float(np.mean(wrong))
    slope = max(high - low, 1e-3) / ((float(np.var(right)) + float(np.var(wrong))) / 2 + 1e-3)
    return Logistic((slope,), -slope * (high + low) / 2)
