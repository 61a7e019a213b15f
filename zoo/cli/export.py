"""`zoo export`: a SavedModel of a run, or files for ONNX Runtime and LiteRT."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any, Literal

from zoo.cli import export_files
from zoo.cli.arguments import MAX_SEED, ModelArgument, explain_output_errors, output_folder, register_model
from zoo.errors import UserError, printable
from zoo.types import Omittable

MAX_ROWS = 4096  # of a batch
DEFAULT_BATCH_SIZES = (1, 8, 64)


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
    precision: Literal["float32", "bfloat16"] = "float32"
    """number format that the networks compute in; the weights are float32"""
    xla: bool = False
    """whether XLA compiles the networks, once for each batch size"""
    warmup_batch_sizes: Omittable[tuple[int, ...]] = None
    """numbers of rows of the requests that a server replays when it loads the version; if omitted, 1, or the --batch-sizes of
    --serving-config"""
    no_warmup: bool = False
    """writes no such requests"""
    serving_config: bool = False
    """writes the files of a server next to the version: models, batching, monitoring, Docker Compose with Prometheus"""
    batch_sizes: tuple[int, ...] = DEFAULT_BATCH_SIZES
    """of --serving-config: numbers of rows that the server pads its batches to"""
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
        from zoo.pretrained import open_model
        from zoo.registry import get_entry
        from zoo.reports.model_card import write_card
        from zoo.runs import Run, explain_write_errors

        self._validate()
        export_files.check_options(self)
        register_model(self.model)
        run = open_model(self.run)
        if self.format != export_files.SAVED_MODEL:
            export_files.export(self, run)
            return
        folder = output_folder(run, self.out, f"export/{run.record.model}")
        if self.out is not None or not isinstance(run, Run):
            with explain_output_errors(folder):
                print(printable(self._export(run, folder)[1]))
                self._configure_server(folder)
            return
        with run.own(), explain_write_errors(run):
            model, version = self._export(run, run.export_folder)
            print(printable(run.format_path(version)))
            self._configure_server(run.export_folder)
            write_card(run, get_entry(run.record.model), model)

    def _validate(self) -> None:
        """Raises UserError for options that make no sense."""
        if not 1 <= self.max_pixels <= MAX_SEED:
            raise UserError(f"--max-pixels {self.max_pixels}: must be from 1 to {MAX_SEED}")
        for name, sizes in (("warmup-batch-sizes", self.warmup_batch_sizes), ("batch-sizes", self.batch_sizes)):
            if sizes is not None and not (sizes and all(1 <= size <= MAX_ROWS for size in sizes)):
                values = " ".join(map(str, sizes))
                raise UserError(f"--{name} {values}".strip() + f": give one or more numbers from 1 to {MAX_ROWS:,}, such as 1 8 64")
        if self.no_warmup and self.warmup_batch_sizes is not None:
            raise UserError("--no-warmup: omit it, or --warmup-batch-sizes")
        if self.batch_sizes != DEFAULT_BATCH_SIZES and not self.serving_config:
            raise UserError("--batch-sizes: an option of --serving-config; add that")

    def _export(self, run: Any, folder: Path) -> tuple[Any, Path]:
        """The model and the path of its new version."""
        from zoo.runs import load_model
        from zoo.serving.saved_model import export_model

        policy = "mixed_bfloat16" if self.precision == "bfloat16" else self.precision
        model: Any = load_model(run, self.checkpoint, policy=policy)
        return model, export_model(model, folder, self.max_pixels, self._warmup(), self.xla)

    def _warmup(self) -> tuple[int, ...]:
        """Numbers of rows of the warm-up requests."""
        if self.no_warmup:
            return ()
        return self.warmup_batch_sizes or (self.batch_sizes if self.serving_config else (1,))

    def _configure_server(self, folder: Path) -> None:
        """Writes the files of a server, if they are requested."""
        from zoo.serving.server_config import write_server_config

        if self.serving_config:
            paths = write_server_config(folder, folder.absolute().name, self.batch_sizes)
            print(f"{', '.join(path.name for path in paths)}; start the server: cd {shlex.quote(printable(folder))} && docker compose up")
