"""`zoo export`: a SavedModel of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoo.cli.arguments import MAX_SEED, RunFolder, register_model
from zoo.errors import UserError, printable
from zoo.types import Omittable


@dataclasses.dataclass(frozen=True)
class Export:
    """write the next SavedModel version of a run, for TensorFlow Serving"""

    run: RunFolder
    """folder of the run"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    max_pixels: int = 2**22
    """maximum number of pixels of a request, for signatures that take files or images of any size"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        from zoo.registry import get_entry
        from zoo.reports.model_card import write_card
        from zoo.runs import Run, explain_write_errors, load_model
        from zoo.serving.saved_model import export_model

        if not 1 <= self.max_pixels <= MAX_SEED:
            raise UserError(f"--max-pixels {self.max_pixels}: must be from 1 to {MAX_SEED}")
        register_model(self.model)
        run = Run(self.run)
        with run.own(), explain_write_errors(run):
            model: Any = load_model(run, self.checkpoint)
            print(printable(run.format_path(export_model(model, run.export_folder, self.max_pixels))))
            write_card(run, get_entry(run.record.model), model)
