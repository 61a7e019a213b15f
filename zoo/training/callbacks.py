"""Callbacks for `fit`: checkpoints, scores, sample grids, one line of metrics.jsonl per evaluation."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.core import images
from zoo.errors import UserError
from zoo.files import write_atomically
from zoo.metrics import find_metric
from zoo.metrics.registry import generates_images
from zoo.runs.progress import Progress
from zoo.runs.scores import score_fields
from zoo.training.monitor import TrainingMonitor

if TYPE_CHECKING:
    from zoo.metrics import Evaluation
    from zoo.metrics.registry import Score
    from zoo.runs import Run
    from zoo.types import Batch, Protocol

MAX_TIME_SHARE = 0.15  # maximum fraction of the training time for scores
PROBE_SIZE = 50  # images from which the time of an evaluation is estimated


class SaveCheckpoint(keras.callbacks.Callback):
    """Saves a checkpoint at the end of each epoch, before any other callback, and at the start of a run that has none.

    Before it, the progress is written that the evaluation of this checkpoint needs: if the process is killed, `repeat_evaluation` makes
    what is missing.

    Args:
        run: The run.
        evaluate: Decides whether the evaluation computes scores.

    Attributes:
        row: Fields that `WriteEvaluation` adds to metrics.jsonl.
    """

    def __init__(self, run: Run, evaluate: Evaluate | None = None) -> None:
        super().__init__()
        self.run, self.evaluate = run, evaluate
        self.row: dict[str, Any] = {}
        self.started: float | None = None

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self.manager = self.run.manager(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.started is None:
            self.started = time.monotonic() - _seconds_before(self.run)
        if not self.run.checkpoints():
            self.save()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_began, self.first_step = time.monotonic(), self.model.completed_steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_ended = time.monotonic()  # what comes after is not training

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert self.started is not None
        step = self.model.completed_steps
        images = (step - self.first_step) * _images_per_step(self.model.config)
        progress = Progress(
            step=step,
            seconds=round(time.monotonic() - self.started, 3),
            images_per_second=round(images / (self.epoch_ended - self.epoch_began), 1),
            logs={name: float(value) for name, value in (logs or {}).items()},
            is_scored=self.evaluate is not None and self.evaluate.decide(),
            is_interruption=not is_evaluation(self.model),
            retries=int(keras.ops.convert_to_numpy(self.model.retries)),
        )
        self.run.write_progress(progress)
        self.save()
        self.use(progress)

    def use(self, progress: Progress) -> None:
        """Begins the evaluation of a checkpoint."""
        self.row = {
            "step": progress.step,
            "images": progress.step * _images_per_step(self.model.config),
            "seconds": progress.seconds,
            "images_per_second": progress.images_per_second,
            **{name: round(value, 6) for name, value in progress.logs.items()},
            **({"interrupted": True} if progress.is_interruption else {}),
        }

    def save(self) -> None:
        """Saves the model under the number of its completed steps."""
        self.manager.save(checkpoint_number=self.model.completed_steps)


class Evaluate(keras.callbacks.Callback):
    """Scores the model at the end of an epoch, and saves the best checkpoint by one metric.

    An evaluation (except the last) skips the scores if they would take more than `MAX_TIME_SHARE` of the training time, so that training
    does not stall and all scores share one protocol.

    Args:
        run: The run whose best checkpoint is saved.
        writer: Writes TensorBoard events.
        evaluation: Computes the scores.
        metrics: Names of the metrics.
        best: The metric that selects the best checkpoint.

    Attributes:
        row: Fields that `WriteEvaluation` adds to metrics.jsonl.
    """

    def __init__(self, run: Run, writer: tf.summary.SummaryWriter, evaluation: Evaluation, metrics: Sequence[str], best: str) -> None:
        super().__init__()
        self.run, self.writer, self.evaluation, self.metrics, self.best = run, writer, evaluation, metrics, best
        self.row: dict[str, Any] = {}
        self.is_due: bool | None = None  # whether the next evaluation computes scores, if that is decided
        self.started: float | None = None
        self.seconds_spent = 0.0
        self.seconds_expected = 0.0
        self._warnings: set[str] = set()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.started is not None:
            return
        if generates_images(self.model):
            self.seconds_expected = self._estimate_seconds()
        # A run that is resumed has spent what its earlier processes have.
        self.started = time.monotonic() - _seconds_before(self.run)
        self.seconds_spent = sum(row.get("scores_seconds", 0.0) for row in self.run.evaluations())
        with self.writer.as_default(step=self.model.completed_steps):
            tf.summary.text("protocol", f"```\n{json.dumps(self._protocol().to_dict(), indent=2)}\n```")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.row = {}
        began = time.monotonic()
        is_due, self.is_due = self.decide(), None
        if not is_due:
            return
        try:
            scores = self.evaluation.evaluate(self.model, self.metrics, self._warn)
        except UserError as error:  # all samples are the same, for example: training continues, and may recover
            self._warn(f"this evaluation has no scores: {error}")
            scores = {}
        self._save_if_best(scores)
        seconds = time.monotonic() - began
        self.seconds_spent += seconds
        self.seconds_expected = seconds
        if scores:
            self._record(scores, seconds, logs if logs is not None else {})

    def decide(self) -> bool:
        """Whether the evaluation at this step computes scores: that of an interruption between two evaluations does not."""
        if self.is_due is None:
            self.is_due = is_evaluation(self.model) and self._is_affordable(time.monotonic())
        return self.is_due

    def _is_affordable(self, now: float) -> bool:
        if self.model.completed_steps >= self.model.config.steps:  # the last evaluation is always scored
            return True
        assert self.started is not None
        return self.seconds_spent + self.seconds_expected <= MAX_TIME_SHARE * (now - self.started)

    def _record(self, scores: dict[str, Score], seconds: float, logs: dict[str, Any]) -> None:
        self.row = {**score_fields(scores, self._protocol()), "scores_seconds": round(seconds, 2)}
        with self.writer.as_default(step=self.model.completed_steps):
            for name, score in scores.items():
                tf.summary.scalar(f"scores of {self.evaluation.count}/{name}", score.value)
        logs.update({name: score.value for name, score in scores.items()}, scores_seconds=seconds)  # for Keras' progress line

    def _estimate_seconds(self) -> float:
        """Seconds that an evaluation will take, extrapolated from a few images."""
        evaluation, real = self.evaluation, self.evaluation.real.images[:PROBE_SIZE]
        assert evaluation.extractor is not None  # as for every model that generates images from noise
        evaluation.check_model(self.model)
        for _ in range(2):  # the first pass traces
            began = time.monotonic()
            generated = evaluation.generate_images(self.model, PROBE_SIZE)
            for batch in (generated, real):
                evaluation.extractor(batch)
        return (time.monotonic() - began) / PROBE_SIZE * evaluation.count

    def _protocol(self) -> Protocol:
        return self.evaluation.protocol(self.model.compute_dtype, self.model.generates_from_noise)

    def _warn(self, text: str) -> None:
        """Prints a warning once: samples that a metric cannot score are no reason to stop."""
        if text not in self._warnings:
            print(f"\nwarning: {text}", file=sys.stderr, flush=True)
        self._warnings.add(text)

    def _save_if_best(self, scores: dict[str, Score]) -> None:
        name = self.evaluation.score_name(self.best)
        if name not in scores:
            if scores:
                self._warn(
                    f"this dataset does not support {name}, so no best checkpoint is saved; use --best with one of {', '.join(scores)}"
                )
            return
        value = scores[name].value
        if math.isfinite(value) and self._is_best(name, value):
            self.run.keep_best(self.model, name, value, self._extractor_name())

    def _is_best(self, name: str, value: float) -> bool:
        best = self.run.best()
        if best is None:
            return True
        if best.name != name or best.extractor not in (None, self._extractor_name()):
            self._warn(f"the best checkpoint was selected by {best.name} and is now selected by {name}; the two are not comparable")
            return True
        return find_metric(name, self.model.own_metrics).is_better(value, best.value)

    def _extractor_name(self) -> str | None:
        return self.evaluation.extractor.name if self.evaluation.extractor else None


class WriteEvaluation(keras.callbacks.Callback):
    """Writes a sample grid and a line of metrics.jsonl at the end of each epoch.

    Args:
        run: The run.
        writer: Writes TensorBoard events.
        batch: The examples that the model's preview is made from.
        sources: Callbacks before this one, whose `row` becomes part of the line.
    """

    def __init__(self, run: Run, writer: tf.summary.SummaryWriter, batch: Batch, sources: Sequence[Any] = ()) -> None:
        super().__init__()
        self.run, self.writer, self.batch, self.sources = run, writer, batch, sources

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._write_samples()
        line: dict[str, Any] = {}
        for source in self.sources:
            line |= source.row
        self.run.append(line)

    def _write_samples(self) -> None:
        step = self.model.completed_steps
        samples, columns = self.model.preview(self.batch)
        picture = self.model.modality.render(np.asarray(samples), int(columns))
        folder = self.run.folder / "samples"
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"step-{step:06d}.png", lambda temporary: images.write_png(temporary, picture))
        with self.writer.as_default(step=step):
            tf.summary.image("samples", picture[None])


def repeat_evaluation(model: Any, run: Run, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Repeats the evaluation of a restored checkpoint if a process was killed in it: makes what it would have written.

    Args:
        model: The model, with the weights of the checkpoint.
        run: The run.
        callbacks: The callbacks of the training.
    """
    progress = run.unfinished_evaluation(model.completed_steps)
    if progress is None:
        return
    print(f"evaluation of step {progress.step:,} was not finished: it is repeated", flush=True)
    model.stop_training = False
    repeated = [one for one in callbacks if isinstance(one, (SaveCheckpoint, TrainingMonitor, Evaluate, WriteEvaluation))]
    for callback in repeated:
        callback.set_model(model)
        callback.on_train_begin()
    for callback in repeated:
        if isinstance(callback, SaveCheckpoint):
            callback.use(progress)
            continue
        if isinstance(callback, Evaluate):
            callback.is_due = progress.is_scored
        callback.on_epoch_end(0, dict(progress.logs))


def _images_per_step(config: Any) -> int:
    return config.batch_size * config.discriminator_steps


def is_evaluation(model: Any) -> bool:
    """Whether an evaluation is due at the current step; a signal may end an epoch earlier."""
    step, config = model.completed_steps, model.config
    return step % config.eval_every == 0 or step >= config.steps


def _seconds_before(run: Run) -> float:
    """Seconds of training before this process."""
    return max([run.progress(run.completed_steps()).seconds, *(row.get("seconds", 0.0) for row in run.rows())])
