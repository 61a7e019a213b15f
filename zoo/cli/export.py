"""`zoo export`: a SavedModel of a run, or files for ONNX Runtime and LiteRT."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from zoo.cli import export_files
from zoo.cli.arguments import MAX_SEED, ModelArgument, explain_output_errors, output_folder, register_model
from zoo.errors import UserError, printable
from zoo.types import Omittable


@dataclasses.dataclass(frozen=True)
class Export:
    """write the next SavedModel version of a run or a pretrained model, for TensorFlow Serving; or files for other runtimes"""

    run: ModelArgument
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    out: Omittable[Path] = None
    """folder for the versions; if omitted, one below export/ in the run's folder"""
    max_pixels: int = 2**22
    """maximum number of pixels of a request, for signatures that take files or images of any size"""
    format: Literal["saved_model", "onnx", "litert"] = "saved_model"
    """`saved_model`, or files of single signatures: `onnx` for ONNX Runtime, `litert` for LiteRT (TensorFlow Lite)"""
    signature: Omittable[str] = None
    """of ONNX and LiteRT: the only signature to write; if omitted, all that the format can hold"""
    batch: Omittable[int] = None
    """of ONNX and LiteRT: number of rows of a request; if omitted, any"""
    quantize: Omittable[Literal["dynamic"]] = None
    """of ONNX and LiteRT: `dynamic` for weights of 8 bits; if omitted, float32"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        from zoo.pretrained import load_model, open_model
        from zoo.registry import get_entry
        from zoo.reports.model_card import write_card
        from zoo.runs import Run, explain_write_errors
        from zoo.serving.saved_model import export_model

        if not 1 <= self.max_pixels <= MAX_SEED:
            raise UserError(f"--max-pixels {self.max_pixels}: must be from 1 to {MAX_SEED}")
        export_files.check_options(self)
        register_model(self.model)
        run = open_model(self.run)
        if self.format != export_files.SAVED_MODEL:
            export_files.export(self, run)
            return
        folder = output_folder(run, self.out, f"export/{run.record.model}")
        if self.out is not None or not isinstance(run, Run):
            with explain_output_errors(folder):
                print(printable(export_model(load_model(run, self.checkpoint), folder, self.max_pixels)))
            return
        with run.own(), explain_write_errors(run):
            model: Any = load_model(run, self.checkpoint)
            print(printable(run.format_path(export_model(model, run.export_folder, self.max_pixels))))
            write_card(run, get_entry(run.record.model), model)
