"""ONNX and LiteRT files: one signature each, for programs that do not use TensorFlow.

Which signatures of a model a format can hold follows from their operations. Every file is run in its own runtime and compared with the
model before it appears.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf

from zoo.core import Game, Signature
from zoo.errors import UserError, shorten
from zoo.serving.comparison import check_difference, check_size, count_parameters, draw_inputs, measure_difference
from zoo.serving.file_format import Arrays, ConversionError, FileFormat, TracedSignature, list_missing_operations, trace_signature
from zoo.serving.file_metadata import describe_file
from zoo.serving.litert_file import LiteRTFormat
from zoo.serving.onnx_file import OnnxFormat
from zoo.serving.saved_model import _move_to_next_version

FORMATS: dict[str, FileFormat] = {"onnx": OnnxFormat(), "litert": LiteRTFormat()}
QUANTIZATIONS = ("dynamic",)
EXAMPLE_ROWS = (1, 3)  # of the requests that a file with a free batch size is compared with
EXAMPLE_SIDES = (16, 24)  # pixels, of images of any size; or images of a set


@dataclasses.dataclass(frozen=True)
class ConvertedSignature:
    """A signature as the content of a file.

    Attributes:
        name: Name of the signature.
        content: The file.
        difference: The largest difference from the model, as `measure_difference` has it.
        num_parameters: Number of weights that the signature uses.
        example: Inputs that the file was run with.
        outputs: Its outputs for these.
    """

    name: str
    content: bytes
    difference: float
    num_parameters: int
    example: Arrays
    outputs: Arrays


@dataclasses.dataclass(frozen=True)
class PortableExport:
    """What `export_files` has written.

    Attributes:
        version: The folder of the files, which are named after their signatures.
        files: Path of a file -> the signature in it.
        omitted: Signatures that the format cannot hold -> the operations that it lacks.
    """

    version: Path
    files: dict[Path, ConvertedSignature]
    omitted: dict[str, tuple[str, ...]]


def export_files(
    model: Game,
    folder: str | Path,
    file_format: str,
    model_name: str,
    signature: str | None = None,
    batch: int | None = None,
    quantize: str | None = None,
) -> PortableExport:
    """Writes signatures of a model as ONNX or LiteRT files, in the next version below a folder.

    The files appear together, after each of them has been read back and has computed what the model does.

    Args:
        model: The model, in float32, as `zoo.load` returns it.
        folder: The folder of versions; created if it does not exist.
        file_format: `onnx` or `litert`.
        model_name: Name of the model, for the metadata of the files.
        signature: The only signature to write; if None, all that the format can hold.
        batch: Number of rows of a request; if None, any.
        quantize: `dynamic`: weights of 8 bits, and activations that are quantized as they are computed. None: float32.

    Returns:
        What has been written.

    Raises:
        UserError: For unknown arguments, a package that is not installed, signatures that the format cannot hold, and files that do not
            compute what the model does. Nothing is written then.
    """
    converter = require_format(file_format)
    converted, omitted = convert_signatures(model, file_format, model_name, signature, batch, quantize)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    work = tempfile.mkdtemp(prefix=".writing-", dir=folder)
    try:
        written = Path(work, "files")
        written.mkdir()
        for one in converted:
            path = written / f"{one.name}{converter.suffix}"
            path.write_bytes(one.content)
            outputs = converter.run(path.read_bytes(), one.name, one.example)
            check_difference(f"{path.name}, as it was read back", measure_difference(outputs, one.outputs), is_quantized=False)
        version = _move_to_next_version(os.fspath(written), folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return PortableExport(version, {version / f"{one.name}{converter.suffix}": one for one in converted}, omitted)


def require_format(file_format: str) -> FileFormat:
    """The format of a name, once it is certain that the packages that it needs are installed."""
    if file_format not in FORMATS:
        raise UserError(f"unknown format {shorten(file_format)}. Available: {', '.join(FORMATS)}.")
    converter = FORMATS[file_format]
    missing = [module for module in converter.modules if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"{converter.title} files need the package {missing[0]}: pip install 'gan-zoo[{file_format}]'")
    return converter


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a file that `export_files` wrote says about itself: key -> text; see docs/export.md.

    Raises:
        UserError: For files of another kind, and if a package is not installed.
    """
    path = Path(path)
    formats = [name for name, converter in FORMATS.items() if converter.suffix == path.suffix]
    if not formats:
        raise UserError(f"{path}: expected a file that ends in {' or '.join(one.suffix for one in FORMATS.values())}")
    return require_format(formats[0]).read_metadata(path.read_bytes())


def convert_signatures(
    model: Game, file_format: str, model_name: str, signature: str | None = None, batch: int | None = None, quantize: str | None = None
) -> tuple[list[ConvertedSignature], dict[str, tuple[str, ...]]]:
    """The files of a model's signatures, and the operations that keep the others from being files; see `export_files`."""
    converter = require_format(file_format)
    _check_options(model, signature, batch, quantize)
    converted, omitted = list[ConvertedSignature](), dict[str, tuple[str, ...]]()
    for name, one in distinct_signatures(model, signature).items():
        try:
            converted.append(convert_signature(model, converter, model_name, name, one, batch, quantize))
        except ConversionError as error:
            if batch is None and not error.is_missing_everywhere and _converts(converter, name, one):
                raise UserError(
                    f"{name}: {converter.title} converts {', '.join(error.operations)} only for requests of a fixed number of rows; "
                    "give it, such as --batch 1"
                ) from None
            omitted[name] = error.operations
    if not converted:
        reasons = "; ".join(f"{name}: {', '.join(operations)}" for name, operations in omitted.items())
        raise UserError(f"{converter.title} lacks operations of this model ({reasons}); export a SavedModel: omit --format")
    return converted, omitted


def _check_options(model: Game, signature: str | None, batch: int | None, quantize: str | None) -> None:
    if signature is not None and signature not in model.signatures():
        raise UserError(f"unknown signature {shorten(signature)}. Available: {', '.join(model.signatures())}.")
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= 2**16):
        raise UserError(f"batch {shorten(batch)}: expected the number of rows of a request, from 1 to {2**16}; omit it for any number")
    if quantize not in (None, *QUANTIZATIONS):
        raise UserError(f"unknown quantization {shorten(quantize)}. Available: {', '.join(QUANTIZATIONS)}.")


def distinct_signatures(model: Game, only: str | None = None) -> dict[str, Signature]:
    """The signatures by name; one that has several names has the first of them, which is `serving_default` for the main one.

    Args:
        model: The model.
        only: The name of the only signature; None: all.
    """
    signatures = model.signatures()
    if only is not None:
        return {only: signatures[only]}
    names = {id(signature): name for name, signature in reversed(signatures.items())}
    return {name: signature for name, signature in signatures.items() if names[id(signature)] == name}


def convert_signature(
    model: Game, converter: FileFormat, model_name: str, name: str, signature: Signature, batch: int | None, quantize: str | None
) -> ConvertedSignature:
    """The content of a signature's file, once it has computed what the model does, and contains the weights; see `export_files`.

    Raises:
        ConversionError: For operations that the format lacks.
        UserError: If the file does not compute what the model does.
    """
    traced = _trace(name, signature, batch)
    content = converter.convert(traced, quantize is not None)
    rows = EXAMPLE_ROWS if batch is None else (batch, batch)
    examples = [draw_inputs(model, signature, count, side) for count, side in zip(rows, EXAMPLE_SIDES, strict=True)]
    results = [converter.run(content, name, example) for example in examples]
    expected = [_compute(converter, traced, example) for example in examples]
    difference = max(map(measure_difference, results, expected))
    check_difference(f"{name}{converter.suffix}", difference, quantize is not None)
    check_size(f"{name}{converter.suffix}", len(content), traced, quantize is not None)
    content = converter.add_metadata(content, describe_file(model, converter, model_name, traced, batch, quantize, difference))
    return ConvertedSignature(name, content, difference, count_parameters(traced), examples[0], results[0])


def _trace(name: str, signature: Signature, batch: int | None) -> TracedSignature:
    traced = trace_signature(name, signature, batch)
    if operations := list_missing_operations(traced):
        raise ConversionError(operations, is_missing_everywhere=True)
    return traced


def _converts(converter: FileFormat, name: str, signature: Signature) -> bool:
    """Whether a signature whose conversion has failed for any number of rows can be converted for one row."""
    try:
        converter.convert(trace_signature(name, signature, 1), False)
    except ConversionError:
        return False
    return True


def _compute(converter: FileFormat, traced: TracedSignature, example: Arrays) -> Arrays:
    """What the model computes, by the names of the outputs in the file."""
    outputs = traced.signature.function(*(tf.constant(example[spec.name]) for spec in traced.specs))
    return {converter.output_name(traced, name): value.numpy() for name, value in outputs.items()}
