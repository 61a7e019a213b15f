"""`zoo export --format onnx` and `--format litert`: signatures of a run as files of their own."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import explain_output_errors, output_folder
from zoo.errors import UserError, option_name, printable

if TYPE_CHECKING:
    from zoo.cli.export import Export
    from zoo.pretrained import PublishedModel
    from zoo.runs import Run
    from zoo.serving.portable import PortableExport

SAVED_MODEL = "saved_model"
OF_FILES = ("signature", "batch", "quantize")  # options that a SavedModel does not have
OF_SAVED_MODELS = ("max_pixels", "precision", "xla", "warmup_batch_sizes", "no_warmup", "serving_config", "batch_sizes")


def check_options(options: Export) -> None:
    """Raises UserError for options of another format, and if a package that the format needs is not installed."""
    if options.format == SAVED_MODEL:
        if misplaced := [name for name in OF_FILES if getattr(options, name) is not None]:
            raise UserError(f"--{misplaced[0]} is an option of ONNX and LiteRT files; add --format onnx or --format litert, or omit it")
        return
    for name in OF_SAVED_MODELS:
        if getattr(options, name) != getattr(type(options), name):
            raise UserError(f"{option_name(name)} is an option of SavedModels for TensorFlow Serving; omit it, or --format")
    from zoo.serving.portable import require_format

    require_format(options.format)


def export(options: Export, run: Run | PublishedModel) -> None:
    """Writes the files; prints their folder on stdout, and on stderr what is in it."""
    from zoo.pretrained import load_model
    from zoo.runs import Run, explain_write_errors
    from zoo.serving.portable import export_files
    from zoo.training.runtime import silenced_stderr

    name = run.record.model
    folder = output_folder(run, options.out, f"export/{name}-{options.format}")
    with contextlib.ExitStack() as contexts:
        if options.out is None and isinstance(run, Run):
            contexts.enter_context(run.own())
            contexts.enter_context(explain_write_errors(run))
        else:
            contexts.enter_context(explain_output_errors(folder))
        model: Any = load_model(run, options.checkpoint)
        contexts.enter_context(silenced_stderr())  # on which the converters and runtimes log what they try
        exported = export_files(model, folder, options.format, name, options.signature, options.batch, options.quantize)
    print(printable(exported.version))
    print(describe(exported), file=sys.stderr)


def describe(exported: PortableExport) -> str:
    """One line for each file, and for each signature that has none."""
    lines = [
        f"{path.name}: {path.stat().st_size:,} bytes, {converted.num_parameters:,} parameters, "
        f"differs from the model by at most {converted.difference:.1e}"
        for path, converted in exported.files.items()
    ]
    lines += [f"{name}: omitted, because the format lacks {', '.join(lacking)}" for name, lacking in exported.omitted.items()]
    return "\n".join(map(printable, lines))
