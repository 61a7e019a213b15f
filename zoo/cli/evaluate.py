"""`zoo evaluate`: scores of a run's checkpoint."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from zoo.cli.arguments import explain_output_errors, output_folder
from zoo.cli.measuring import FeatureMeasurement, OpenedRun, own_if_inside
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.metrics.registry import Score
    from zoo.types import Protocol

METRICS_HELP = (
    "any of: frechet (fid), kid, inception_score, precision, recall, density, coverage, class_accuracy, ms_ssim, swd, memorization, or "
    "model-specific metrics; if omitted, all that the model, the data and the feature extractor support"
)


@dataclasses.dataclass(frozen=True)
class Evaluate(FeatureMeasurement):
    """score a run's samples against real images, and append the scores with their protocol to its metrics.jsonl"""

    metrics: Annotated[tuple[str, ...] | None, tyro.conf.arg(help=METRICS_HELP, help_behavior_hint="")] = None
    out: Omittable[Path] = None
    """folder whose metrics.jsonl the scores are appended to; if omitted, the run's, which must be writable and not in training"""

    def __call__(self) -> None:
        folder = output_folder(self.trained, self.out, ".")
        with own_if_inside(folder, self.trained):
            if self.out is not None:
                with explain_output_errors(folder):  # before anything is computed
                    folder.mkdir(parents=True, exist_ok=True)
            elif not os.access(folder, os.W_OK):
                raise UserError(f"{folder} cannot be written to; write the scores elsewhere: --out FOLDER")
            self._evaluate()

    def _evaluate(self) -> None:
        from zoo.metrics import METRICS

        opened = self.open()
        model, evaluation = opened.model, opened.evaluation
        names = list(self.metrics) if self.metrics is not None else self._all_metrics(opened)
        warn: Callable[[str], object] | None = _print_warning if self.metrics is None else None
        scores = evaluation.evaluate(model, names, warn)
        protocol = evaluation.protocol(model.compute_dtype, model.generates_from_noise)
        if not scores:
            raise UserError(f"{evaluation.source.name} does not support {', '.join(names)}; omit --metrics for all that it supports")
        of_samples = [name for name in names if name in METRICS and not any(metric.name == name for metric in model.own_metrics)]
        if of_samples:
            reference, description = evaluation.reference(of_samples)
        else:
            reference, description = {}, f"{protocol.real_images:,} of the {evaluation.split} split"
        self._print(opened, scores, reference, description, protocol)
        self._write(opened, scores, protocol)

    def check_model(self, model: Game) -> None:
        from zoo.metrics import find_metric

        own = {metric.name for metric in model.own_metrics}
        for name in self.metrics or ():
            find_metric(name, model.own_metrics)
        if set(self.metrics or ()) - own:
            super().check_model(model)
        if not own and not model.generates_from_noise:
            raise UserError("zoo evaluate: this model does not generate from random noise and has no metrics of its own")

    @staticmethod
    def _all_metrics(opened: OpenedRun) -> list[str]:
        from zoo.metrics import METRICS

        own = [metric.name for metric in opened.model.own_metrics]
        of_samples = opened.evaluation.available_metrics(opened.model, METRICS)
        return [*(name for name in of_samples if name not in own), *own]

    def _print(
        self, opened: OpenedRun, scores: dict[str, Score], reference: dict[str, Score], description: str, protocol: Protocol
    ) -> None:
        from zoo.runs import format_table

        header, rows = ["score", "model"], [[name, _format(score)] for name, score in scores.items()]
        if reference:
            header.append("real")
            rows = [[*row, f"{reference[row[0]].value:.4g}" if row[0] in reference else ""] for row in rows]
        print(f"{printable(opened.run.display_path)}, checkpoint {self.checkpoint} (step {opened.model.completed_steps:,})")
        print(format_table(header, rows))
        print(f"real: {description}\n\nprotocol")
        for name, value in protocol.to_dict().items():
            print(f"  {name} = {value}")

    def _write(self, opened: OpenedRun, scores: dict[str, Score], protocol: Protocol) -> None:
        from zoo.registry import get_entry
        from zoo.reports.model_card import write_card
        from zoo.runs import Run, append_scores, explain_write_errors
        from zoo.training.tensorboard import write_evaluation

        run, model, _ = opened
        step = model.completed_steps
        if self.out is not None:
            with explain_output_errors(self.out):
                append_scores(self.out, step, self.checkpoint, scores, protocol, run.rows() if isinstance(run, Run) else [])
            print(f"\nwritten to {self.out / 'metrics.jsonl'}")
            return
        assert isinstance(run, Run)  # others need --out
        with explain_write_errors(run):
            append_scores(run.folder, step, self.checkpoint, scores, protocol, run.rows())
            write_evaluation(run.folder, step, self.checkpoint, scores, protocol)
            write_card(run, get_entry(run.record.model), model)
        print(printable(f"\nwritten to {run.display_path / 'metrics.jsonl'} and {run.display_path / 'README.md'}", "\n"))


def _print_warning(text: str) -> None:
    print(text, file=sys.stderr)


def _format(score: Score) -> str:
    return f"{score.value:.4g}" if score.error is None else f"{score.value:.4g} ± {score.error:.2g}"
