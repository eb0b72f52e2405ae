"""Build the weightless MiniLM graph that `interlock.ondevice.embed` feeds with weights from a safetensors file.

Development only: needs `onnx`. Run `python scripts/build_minilm_graph.py`; the result,
src/interlock/ondevice/minilm.onnx, is committed. Every initializer in it is named after its tensor in
`model.safetensors` and points at an external file that does not exist: the values are handed over at load time.
Weight matrices stay in PyTorch's (out, in) order (Gemm with transB), so no tensor is copied or transposed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

LAYERS, HEADS, HIDDEN, INNER, VOCAB, POSITIONS = 6, 12, 384, 1536, 30522, 512
POOLED_LAYERS = 3  # the last ones, each pooled to one vector
EPSILON = 1e-12
OUT = Path(__file__).parent.parent / "src/interlock/ondevice/minilm.onnx"
CONTRIB = "com.microsoft"


class Graph:
    """Collects nodes and external initializers; `node` returns the name of its single output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.count = 0

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        self.count += 1
        output = f"{op}_{self.count}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], domain=domain, **attributes))
        return output

    def weight(self, name: str, *shape: int) -> str:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights-come-from-safetensors")
        self.initializers.append(tensor)
        return name

    def constant(self, name: str, values: list[int]) -> str:
        self.initializers.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name

    def dense(self, x: str, prefix: str, out: int, inn: int) -> str:
        weight, bias = self.weight(f"{prefix}.weight", out, inn), self.weight(f"{prefix}.bias", out)
        return self.node("Gemm", x, weight, bias, transB=1)

    def add_norm(self, x: str, skip: str, prefix: str) -> str:
        scale, shift = self.weight(f"{prefix}.weight", HIDDEN), self.weight(f"{prefix}.bias", HIDDEN)
        return self.node("SkipLayerNormalization", x, skip, scale, shift, domain=CONTRIB, epsilon=EPSILON)


def embeddings(g: Graph) -> str:
    """(batch, tokens, hidden) from token ids: word + position + the only token type, normalised."""
    words = g.node("Gather", g.weight("embeddings.word_embeddings.weight", VOCAB, HIDDEN), "ids")
    length = g.node("Slice", g.node("Shape", "ids"), g.constant("one", [1]), g.constant("two", [2]))
    table = g.weight("embeddings.position_embeddings.weight", POSITIONS, HIDDEN)
    places = g.node("Slice", table, g.constant("zero", [0]), length)
    types = g.weight("embeddings.token_type_embeddings.weight", 2, HIDDEN)
    places = g.node("Add", places, g.node("Slice", types, "zero", "one"))
    scale, shift = (g.weight(f"embeddings.LayerNorm.{part}", HIDDEN) for part in ("weight", "bias"))
    total = g.node("Add", words, places)
    return g.node("LayerNormalization", total, scale, shift, axis=-1, epsilon=EPSILON)


def layer(g: Graph, x: str, shape: str, number: int) -> str:
    """One transformer block on flattened tokens (batch * tokens, hidden)."""
    prefix = f"encoder.layer.{number}"
    parts = [
        g.node("Reshape", g.dense(x, f"{prefix}.attention.self.{part}", HIDDEN, HIDDEN), shape)
        for part in ("query", "key", "value")
    ]
    mixed = g.node("MultiHeadAttention", *parts, "", "mask", domain=CONTRIB, num_heads=HEADS)
    mixed = g.node("Reshape", mixed, "flat")
    mixed = g.dense(mixed, f"{prefix}.attention.output.dense", HIDDEN, HIDDEN)
    x = g.add_norm(mixed, x, f"{prefix}.attention.output.LayerNorm")
    inner = g.dense(x, f"{prefix}.intermediate.dense", INNER, HIDDEN)
    inner = g.node("Gelu", inner, domain=CONTRIB)
    inner = g.dense(inner, f"{prefix}.output.dense", HIDDEN, INNER)
    return g.add_norm(inner, x, f"{prefix}.output.LayerNorm")


def pooled(g: Graph, x: str, shape: str, weights: str) -> str:
    """Mean over the real tokens, scaled to length 1: (batch, 1, hidden)."""
    kept = g.node("Mul", g.node("Reshape", x, shape), weights)
    mean = g.node("ReduceSum", kept, "one", keepdims=1)
    return g.node("LpNormalization", mean, axis=2, p=2)


def build() -> onnx.ModelProto:
    g = Graph()
    g.constant("flat", [-1, HIDDEN])
    x = embeddings(g)
    shape = g.node("Shape", x)
    x = g.node("Reshape", x, "flat")
    weights = g.node("Unsqueeze", g.node("Cast", "mask", to=TensorProto.FLOAT), "two")
    outputs: list[str] = []
    for number in range(LAYERS):
        x = layer(g, x, shape, number)
        if number >= LAYERS - POOLED_LAYERS:
            outputs.append(pooled(g, x, shape, weights))
    g.nodes.append(helper.make_node("Concat", outputs, ["layers"], axis=1))
    graph = helper.make_graph(
        g.nodes,
        "minilm",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"]),
            helper.make_tensor_value_info("mask", TensorProto.INT32, ["batch", "tokens"]),
        ],
        [helper.make_tensor_value_info("layers", TensorProto.FLOAT, ["batch", POOLED_LAYERS, HIDDEN])],
        g.initializers,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


if __name__ == "__main__":
    data = build().SerializeToString()
    OUT.write_bytes(data)
    sys.stdout.write(f"{OUT}: {len(data)} bytes\n")
