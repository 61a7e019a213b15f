"""What the formats of files have in common: the graph of a signature that they convert, and their interface."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from zoo.core import Signature
from zoo.errors import UserError

Arrays = dict[str, np.ndarray]
MISSING_OPERATIONS = re.compile(  # random numbers that are functions of a seed, and image files: neither runtime has them
    r"Stateless(Random(Normal|Uniform|Binomial|Gamma|Poisson)|TruncatedNormal|Multinomial)\w*|(En|De)code(Png|Jpeg)"
)
HALF_PRECISION = (tf.float16, tf.bfloat16)


class ConversionError(Exception):
    """A format cannot hold a signature.

    Args:
        operations: Names of the operations that it lacks.
        is_missing_everywhere: Whether the format has them for no input at all, so that a fixed number of rows changes nothing.
    """

    def __init__(self, operations: tuple[str, ...], is_missing_everywhere: bool = False) -> None:
        super().__init__(", ".join(operations))
        self.operations = operations
        self.is_missing_everywhere = is_missing_everywhere


@dataclasses.dataclass(frozen=True)
class TracedSignature:
    """A signature and its graph.

    Attributes:
        name: Name of the signature.
        signature: The signature.
        specs: Its inputs; the first dimension is the number of rows, or None.
        concrete: Its concrete function.
    """

    name: str
    signature: Signature
    specs: list[tf.TensorSpec]
    concrete: Any

    @property
    def variables(self) -> list[Any]:
        """The variables that the outputs depend on, which are those that a converter keeps."""
        pending, reached = [tensor.op for tensor in self.concrete.outputs], set[str]()
        while pending:
            operation = pending.pop()
            if operation.name not in reached:
                reached.add(operation.name)
                pending += [tensor.op for tensor in operation.inputs]
        handles = {id(outer) for outer, inner in self.concrete.graph.captures if inner.op.name in reached}
        return [variable for variable in self.concrete.graph.variables if id(variable.handle) in handles]


class FileFormat(Protocol):
    """A format of files that hold one signature, and its runtime. The packages are imported where they are used."""

    @property
    def title(self) -> str:
        """Name of the format in messages."""

    @property
    def suffix(self) -> str:
        """Ending of the names of its files."""

    @property
    def modules(self) -> tuple[str, ...]:
        """The packages that it needs."""

    def output_name(self, traced: TracedSignature, name: str) -> str:
        """The name in the file of an output of the signature."""

    def convert(self, traced: TracedSignature, quantize: bool) -> bytes:
        """The content of a file.

        Args:
            traced: The signature.
            quantize: Whether its weights become integers of 8 bits.

        Raises:
            ConversionError: For operations that the format lacks.
        """

    def run(self, content: bytes, name: str, inputs: Arrays) -> Arrays:
        """The outputs of a file, by their names in it, computed by the format's runtime.

        Args:
            content: The file.
            name: Name of the signature.
            inputs: The inputs by name.
        """

    def add_metadata(self, content: bytes, metadata: dict[str, str]) -> bytes:
        """The file with metadata: key -> text."""

    def read_metadata(self, content: bytes) -> dict[str, str]:
        """The metadata of a file that `add_metadata` returned."""


def trace_signature(name: str, signature: Signature, batch: int | None) -> TracedSignature:
    """The graph of a signature for requests of `batch` rows; of any number of rows, but at least one, if it is None.

    Raises:
        UserError: If the model computes in less than float32, which neither converter reproduces.
    """
    specs = [tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype, spec.name) for spec in signature.inputs]
    concrete = tf.function(signature.function, input_signature=specs, autograph=False).get_concrete_function()
    traced = TracedSignature(name, signature, specs, concrete)
    if any(tensor.dtype in HALF_PRECISION for operation in concrete.graph.get_operations() for tensor in operation.outputs):
        raise UserError(f"{name} computes in half precision; files are exported from float32, in which zoo.load loads a model")
    return traced


def list_missing_operations(traced: TracedSignature) -> tuple[str, ...]:
    """The operations of a signature that no format has, sorted; strings are called `string`."""
    graph = traced.concrete.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    operations = {node.op for node in nodes if MISSING_OPERATIONS.fullmatch(node.op)}
    tensors = [*traced.specs, *traced.concrete.outputs]
    if not operations and any(tensor.dtype == tf.string for tensor in tensors):
        operations = {"string"}
    return tuple(sorted(operations))


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Silences the messages that converters log about what they try."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
