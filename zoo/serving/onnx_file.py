"""ONNX files, converted by tf2onnx and run by ONNX Runtime."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from zoo.serving.file_format import Arrays, ConversionError, TracedSignature, quiet_logging

OPSET = 18


class OnnxFormat:
    """ONNX; see `FileFormat`."""

    title = "ONNX"
    suffix = ".onnx"
    modules = ("tf2onnx", "onnx", "onnxruntime")

    def output_name(self, traced: TracedSignature, name: str) -> str:
        """`image` -> `output_image` if there is an input of this name: the tensors of a graph share one namespace."""
        return f"output_{name}" if name in [spec.name for spec in traced.specs] else name

    def convert(self, traced: TracedSignature, quantize: bool) -> bytes:
        """The content of a file; see `FileFormat.convert`."""
        import onnx
        import tf2onnx
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        with quiet_logging():
            with _inlined_functions():  # Keras compiles grouped convolutions by XLA, in functions that cannot be converted
                wrapped = tf.compat.v1.wrap_function(traced.signature.function, traced.specs)
            frozen = convert_variables_to_constants_v2(wrapped, lower_control_flow=False)
            names = {tensor.name: spec.name for tensor, spec in zip(frozen.inputs, traced.specs, strict=True)}
            outputs = dict(zip([tensor.name for tensor in frozen.outputs], sorted(wrapped.structured_outputs), strict=True))
            model, _ = tf2onnx.convert.from_graph_def(
                frozen.graph.as_graph_def(),
                input_names=list(names),
                output_names=list(outputs),
                opset=OPSET,
                tensors_to_rename={**names, **{tensor: self.output_name(traced, name) for tensor, name in outputs.items()}},
            )
            operations = {node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, node.domain)}
            if operations:
                raise ConversionError(tuple(sorted(operations)))
            _name_dimensions(model.graph, traced)
            return _quantize(model) if quantize else model.SerializeToString()

    def run(self, content: bytes, name: str, inputs: Arrays) -> Arrays:
        """The outputs of a file; see `FileFormat.run`."""
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))

    def add_metadata(self, content: bytes, metadata: dict[str, str]) -> bytes:
        """The file with the entries in its `metadata_props`."""
        import onnx

        model = onnx.ModelProto.FromString(content)
        model.producer_name, model.doc_string = "gan-zoo", metadata["not_validated"]
        onnx.helper.set_model_props(model, metadata)
        return model.SerializeToString()

    def read_metadata(self, content: bytes) -> dict[str, str]:
        """The `metadata_props` of a file."""
        import onnx

        return {entry.key: entry.value for entry in onnx.ModelProto.FromString(content).metadata_props}


@contextlib.contextmanager
def _inlined_functions() -> Iterator[None]:
    """Within the block, a `tf.function` that is called while a graph is traced becomes part of this graph."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _name_dimensions(graph: Any, traced: TracedSignature) -> None:
    """Names the free number of rows `batch` in all inputs and outputs: the converter numbers it."""
    if traced.specs[0].shape[0] is None:
        for value in (*graph.input, *graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _quantize(model: Any) -> bytes:
    """The model with weights of 8 bits, for matrix products and convolutions; transposed convolutions stay in float32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "quantized.onnx")
        quantize_dynamic(model, path, weight_type=QuantType.QUInt8)  # ONNX Runtime has no convolution of signed weights
        return path.read_bytes()
