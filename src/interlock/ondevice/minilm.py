"""The forward pass of all-MiniLM-L6-v2: token ids in, unit vectors out.

Below: numpy, and onnxruntime when it is installed. Above: `embed`. `minilm.onnx` beside this file is the network without
its weights (scripts/build_minilm_graph.py); the weights are handed to it from the mapped safetensors file. Where
onnxruntime is absent the same network runs in numpy, three to six times slower, with the same result.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.int32]
Runner = Callable[[Ids, Mask], Vectors]  # -> (batch, POOLED_LAYERS, HIDDEN), each of length 1
Weights = Mapping[str, Vectors]

LAYERS = 6
HEADS = 12
HIDDEN = 384
POOLED_LAYERS = 3  # the last ones: the final layer is the sentence vector, those below know more of the wording
GRAPH = Path(__file__).parent / "minilm.onnx"
EPSILON = 1e-12


def read_safetensors(path: Path) -> dict[str, Vectors]:
    """Float32 tensors of a safetensors file by name, mapped read-only: pages are read when first used.

    Format: 8 bytes little-endian length, that many bytes of JSON, then the tensors
    (https://github.com/huggingface/safetensors#format). Raises ValueError when the file is not one.
    """
    data: npt.NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
    header_bytes = int.from_bytes(data[:8].tobytes(), "little")
    if not 0 < header_bytes <= len(data) - 8:
        raise ValueError(f"{path} is not a safetensors file: its header claims {header_bytes} bytes of {len(data)}.")
    header: dict[str, dict[str, Any]] = json.loads(data[8 : 8 + header_bytes].tobytes())
    tensors: dict[str, Vectors] = {}
    for name, entry in header.items():
        if entry.get("dtype") != "F32":
            continue
        begin, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
        tensors[name] = data[begin:end].view(np.float32).reshape(entry["shape"])
    return tensors


def has_onnxruntime() -> bool:
    """Whether the fast runner can be used on this machine."""
    return importlib.util.find_spec("onnxruntime") is not None


def onnx_runner(weights: Weights, threads: int) -> Runner:
    """The network on onnxruntime with `threads` CPU threads; importing it takes about 0.3 s."""
    ort: Any = importlib.import_module("onnxruntime")  # heavy, optional and untyped

    options: Any = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # keeps memory flat when text lengths vary
    options.log_severity_level = 3
    names = [name for name in weights if not name.startswith("pooler.")]
    values = [ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(weights[name])) for name in names]
    options.add_external_initializers(names, values)
    session: Any = ort.InferenceSession(GRAPH.read_bytes(), options, providers=["CPUExecutionProvider"])

    def run(ids: Ids, mask: Mask) -> Vectors:
        return session.run(["layers"], {"ids": ids, "mask": mask})[0]

    return run


def numpy_runner(weights: Weights) -> Runner:
    """The same network in numpy alone."""

    def run(ids: Ids, mask: Mask) -> Vectors:
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = _norm(x + weights["embeddings.token_type_embeddings.weight"][0], weights, "embeddings.LayerNorm")
        hidden = ((1 - mask) * -1e9).astype(np.float32)[:, None, None, :]
        pooled: list[Vectors] = []
        for number in range(LAYERS):
            x = _block(x, hidden, weights, f"encoder.layer.{number}")
            if number >= LAYERS - POOLED_LAYERS:
                mean = (x * mask[:, :, None].astype(np.float32)).sum(axis=1)
                pooled.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
        return np.stack(pooled, axis=1)

    return run


def _block(x: Vectors, hidden: Vectors, weights: Weights, prefix: str) -> Vectors:
    batch, tokens, _ = x.shape

    def heads(part: str) -> Vectors:
        y = _dense(x, weights, f"{prefix}.attention.self.{part}")
        return y.reshape(batch, tokens, HEADS, -1).transpose(0, 2, 1, 3)

    attention = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32(math.sqrt(HIDDEN / HEADS)) + hidden
    attention = np.exp(attention - attention.max(axis=-1, keepdims=True))
    attention /= attention.sum(axis=-1, keepdims=True)
    mixed = (attention @ heads("value")).transpose(0, 2, 1, 3).reshape(batch, tokens, HIDDEN)
    x = _norm(
        _dense(mixed, weights, f"{prefix}.attention.output.dense") + x, weights, f"{prefix}.attention.output.LayerNorm"
    )
    inner = _gelu(_dense(x, weights, f"{prefix}.intermediate.dense"))
    return _norm(_dense(inner, weights, f"{prefix}.output.dense") + x, weights, f"{prefix}.output.LayerNorm")


def _dense(x: Vectors, weights: Weights, prefix: str) -> Vectors:
    return x @ weights[f"{prefix}.weight"].T + weights[f"{prefix}.bias"]


def _norm(x: Vectors, weights: Weights, prefix: str) -> Vectors:
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    return x * weights[f"{prefix}.weight"] + weights[f"{prefix}.bias"]


def _gelu(x: Vectors) -> Vectors:
    """x * Phi(x), with erf from Abramowitz and Stegun 7.1.26 (error below 1.5e-7), since numpy has none."""
    z = np.abs(x) * np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = 1 - poly * np.exp(-z * z)
    return (0.5 * x * (1 + np.copysign(erf, x))).astype(np.float32)
