"""Makes `aivax_cli/retrieval/embedding/e5_int8.onnx`: the network without its weights.

    python tools/make_e5_graph.py

Needs the development dependency `onnx`. Inputs: `embeddings` float32 (texts, tokens, 384), the sum of a
token's word, position and type embedding; `mask` int32 (texts, tokens), 1 for a token and 0 for padding.
Output: `hidden` float32 (texts, tokens, 384).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from aivax_cli.retrieval.embedding import graph
from aivax_cli.retrieval.embedding.graph import E5_SMALL, GRAPH_FILE, Initialiser, initialisers

FUSED = "com.microsoft"  # onnxruntime's own operators
ONNX_TYPES = {"int8": TensorProto.INT8, "float32": TensorProto.FLOAT}


@dataclass
class Builder:
    """Collects the nodes, with matrix products of 8-bit integers or of float32."""

    quantise: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def add(
        self, operator: str, inputs: list[str], output: str, *, fused: bool = False, **attributes: object
    ) -> str:
        domain = FUSED if fused else ""
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def quantised(self, value: str) -> tuple[str, str]:
        """8-bit integers in which 127 stands for the largest component of each token, and that component."""
        sizes = self.add("Abs", [value], f"{value}.abs")
        largest = self.add("ReduceMax", [sizes, "last_axis"], f"{value}.largest", keepdims=1)
        scaled = self.add("Div", [value, largest], f"{value}.scaled")
        return self.add("QuantizeLinear", [scaled, "step", "middle"], f"{value}.q"), largest

    def product(self, value: str, name: str) -> str:
        """value · matrix, without the bias."""
        if not self.quantise:
            return self.add("MatMul", [value, f"{name}.w"], f"{name}.out")
        integers, largest = self.quantised(value)
        inputs = [integers, f"{name}.w", "step", f"{name}.scale", "middle"]
        unscaled = self.add("MatMulIntegerToFloat", inputs, f"{name}.unscaled", fused=True)
        return self.add("Mul", [unscaled, largest], f"{name}.out")

    def normalised(self, value: str, residual: str, norm: str, bias: str) -> str:
        inputs = [value, residual, f"{norm}.w", f"{norm}.b", bias]
        return self.add("SkipLayerNormalization", inputs, f"{norm}.out", fused=True, epsilon=E5_SMALL.epsilon)

    def layer(self, value: str, name: str) -> str:
        projected = self.product(value, f"{name}.qkv")
        thirds = [f"{name}.{side}" for side in "qkv"]
        self.nodes.append(helper.make_node("Split", [projected], thirds, axis=-1, num_outputs=3))
        inputs = [*thirds, f"{name}.qkv.b", "mask"]
        attended = self.add(
            "MultiHeadAttention", inputs, f"{name}.attended", fused=True, num_heads=E5_SMALL.heads
        )
        middle = self.normalised(self.product(attended, f"{name}.ao"), value, f"{name}.aln", f"{name}.ao.b")
        inner = self.product(middle, f"{name}.fi")
        active = self.add("BiasGelu", [inner, f"{name}.fi.b"], f"{name}.gelu", fused=True)
        return self.normalised(self.product(active, f"{name}.fo"), middle, f"{name}.oln", f"{name}.fo.b")


def weightless(tensor: Initialiser) -> onnx.TensorProto:
    """A tensor that says where its bytes would be; the session is given them instead."""
    proto = onnx.TensorProto(name=tensor.name, data_type=ONNX_TYPES[tensor.type], dims=tensor.shape)
    proto.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "given-at-session-time"), ("offset", "0"), ("length", str(tensor.bytes))):
        proto.external_data.add(key=key, value=value)
    return proto


def make_graph(*, quantise: bool = True) -> bytes:
    """The serialised model; in float32 for comparison when not quantised."""
    build = Builder(quantise)
    value = build.add(
        "LayerNormalization",
        ["embeddings", "emb.ln.w", "emb.ln.b"],
        "emb.out",
        epsilon=E5_SMALL.epsilon,
        axis=-1,
    )
    for index in range(E5_SMALL.layers):
        value = build.layer(value, f"l{index}")
    build.nodes[-1].output[0] = "hidden"
    constants = [
        helper.make_tensor("last_axis", TensorProto.INT64, [1], [-1]),
        helper.make_tensor("step", TensorProto.FLOAT, [], [1 / 127]),
        helper.make_tensor("middle", TensorProto.UINT8, [], [128]),
    ]
    tensors = list(initialisers(E5_SMALL))
    if not quantise:
        tensors = [
            replace(tensor, type="float32") for tensor in tensors if not tensor.name.endswith(".scale")
        ]
    float_shape = ["texts", "tokens", E5_SMALL.hidden]
    network = helper.make_graph(
        build.nodes,
        "multilingual-e5-small",
        [
            helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, float_shape),
            helper.make_tensor_value_info("mask", TensorProto.INT32, ["texts", "tokens"]),
        ],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, float_shape)],
        [*constants, *map(weightless, tensors)] if quantise else [*map(weightless, tensors)],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(FUSED, 1)]
    model = helper.make_model(network, opset_imports=opsets, ir_version=9, producer_name="aivax")
    return bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    target = Path(graph.__file__).with_name(GRAPH_FILE)
    target.write_bytes(make_graph())
    sys.stdout.write(f"{target}: {target.stat().st_size:,} bytes\n")
