"""LiteRT files (.tflite), converted by TensorFlow and run by ai-edge-litert."""

from __future__ import annotations

import json
import re
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.serving.file_format import Arrays, ConversionError, TracedSignature, quiet_logging

METADATA = "gan_zoo"  # name of the metadata buffer, which holds a JSON object
IDENTIFIER = b"TFL3"  # at the start of every file
LACKING = re.compile(r"TF Select ops: ([\w, ]+)|'tf\.(\w+)' op")  # in the message of the converter


class LiteRTFormat:
    """LiteRT; see `FileFormat`."""

    title = "LiteRT"
    suffix = ".tflite"
    modules = ("ai_edge_litert",)

    def output_name(self, traced: TracedSignature, name: str) -> str:
        """The same name: a signature of a file has namespaces for inputs and outputs."""
        return name

    def convert(self, traced: TracedSignature, quantize: bool) -> bytes:
        """The content of a file; see `FileFormat.convert`."""
        from tensorflow.lite.python.convert_phase import ConverterError

        exported = tf.Module()
        # From the concrete function alone, the converter writes a file without the weights.
        exported.variables_of_graph = list(traced.concrete.graph.variables)
        with tempfile.TemporaryDirectory() as folder, quiet_logging():
            tf.saved_model.save(exported, folder, signatures={traced.name: traced.concrete})
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[traced.name])
            converter.optimizations = [tf.lite.Optimize.DEFAULT] if quantize else []
            try:
                return converter.convert()
            except ConverterError as error:
                raise ConversionError(_name_operations(str(error))) from None

    def run(self, content: bytes, name: str, inputs: Arrays) -> Arrays:
        """The outputs of a file; see `FileFormat.run`."""
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=content).get_signature_runner(name)(**inputs)

    def add_metadata(self, content: bytes, metadata: dict[str, str]) -> bytes:
        """The file with a buffer `gan_zoo`, which holds the entries as JSON, and a description."""
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        model = _unpack(content)
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(json.dumps(metadata, ensure_ascii=False).encode(), np.uint8)
        entry.name, entry.buffer = METADATA, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [*(model.metadata or []), entry]
        model.description = f"{metadata['model']}, {metadata['signature']}. {metadata['not_validated']}"
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())

    def read_metadata(self, content: bytes) -> dict[str, str]:
        """The content of the buffer `gan_zoo` of a file."""
        model = _unpack(content)
        names = {entry.name.decode(): entry.buffer for entry in model.metadata}
        return json.loads(bytes(model.buffers[names[METADATA]].data))


def _unpack(content: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def _name_operations(message: str) -> tuple[str, ...]:
    """The operations that the converter lacks, from its message; the first line of one that names none."""
    names = {name.strip() for group in LACKING.findall(message) for text in group for name in text.split(",") if name.strip()}
    return tuple(sorted(names)) or (message.strip().partition("\n")[0],)
