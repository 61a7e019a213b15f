"""The training monitor: stops at values that are NaN or infinite, and warns once about each typical failure of GAN training."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.runs import Run
    from zoo.types import Batch

DOMINANCE = 0.998  # fraction of pairs in which the real image has the higher logit, above which the discriminator dominates
VANISHED = 0.01  # fraction of the largest gradient norm, below which the gradient has vanished
NO_GRADIENT = 1e-7  # gradient norm below which the gradient has vanished in any case
CHANCE = 0.6  # pairwise accuracy below which the discriminator is hardly better than chance
COLLAPSED = 0.4  # fraction of the diversity of real images, below which the samples have collapsed
RISING = 1.1  # factor above which diversity is still growing, as in the first steps, when all samples are gray
PATIENCE = 2  # evaluations for which a failure must last
ADVICE = {
    "discriminator dominance": (
        "a smaller --discriminator-learning-rate, a larger --generator-learning-rate, dropout or a penalty (R1) in the discriminator"
    ),
    "vanishing gradients": "the non-saturating loss instead of minimax, a smaller --discriminator-learning-rate",
    "uninformative discriminator": "a larger --discriminator-learning-rate, more --discriminator-steps, less dropout",
    "mode collapse": "smaller learning rates, a larger --batch-size, a penalty on the discriminator, or a checkpoint from before it",
}


OLD_TEXTS = {  # what warnings of version 0.1 say instead of the failure's name
    "discriminator dominance": "the discriminator has won: ",
    "vanishing gradients": "the generator's gradient has vanished ",
    "uninformative discriminator": "the discriminator has given up: ",
    "mode collapse": "collapse: ",
}


class Diverged(UserError):
    """A loss, gradient or weight is no longer finite; the message names it, and the step."""

    exit_status = 3


class DivergenceCheck(keras.callbacks.Callback):
    """Raises `Diverged` for values that are NaN or infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch_start = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_start = self.model.completed_steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if all(math.isfinite(value) for value in (logs or {}).values()):
            return
        non_finite = self.model.step_metrics.first_non_finite(batch + 1)
        if non_finite is None:
            raise Diverged(f"by step {self.epoch_start + batch + 1}: a value exceeds the range of float32")
        step = self.epoch_start + non_finite.step + 1
        raise Diverged(f"step {step}: {_describe_non_finite(non_finite.values, non_finite.weights)}")


class TrainingMonitor(keras.callbacks.Callback):
    """Warns about typical failures of GAN training.

    Failures are detected at each evaluation from the means since the last one. A failure that persists for `PATIENCE` evaluations triggers
    one warning.

    Args:
        run: The run; warnings in its rows are not repeated.
        batch: Real examples, whose diversity is compared with that of the samples.

    Attributes:
        row: Fields that `WriteEvaluation` adds to metrics.jsonl: `warnings` and `diversity`.
    """

    def __init__(self, run: Run, batch: Batch) -> None:
        super().__init__()
        self.run, self.batch = run, batch
        self.row: dict[str, Any] = {}
        earlier = [text for row in run.rows() for text in row.get("warnings", [])]
        self.warned = {failure for failure in ADVICE if any(_is_warning_of(failure, text) for text in earlier)}
        self.largest_norms: dict[str, float] = {}
        self.evaluations: dict[str, int] | None = None  # failure -> how many evaluations it has lasted
        self.labels: np.ndarray | None = None  # labels of the batch, if the model is class-conditional
        self.real_diversity: float | None = None
        self.last_diversity = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.evaluations is None:
            self.evaluations = {}
            for row in self.run.evaluations():  # so that a resumed run warns when one that was never interrupted would
                self._count_failures(row, row.get("diversity"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        diversity = self._relative_diversity()
        warnings = self._warn(self._count_failures(logs or {}, diversity))
        self.row = {"warnings": warnings} if warnings else {}
        if diversity is not None:
            self.row["diversity"] = diversity

    def _count_failures(self, logs: dict[str, Any], diversity: float | None) -> dict[str, str]:
        """Counts for how many evaluations each failure has lasted, and describes those of this one."""
        failures = dict(self._find_failures(logs))
        is_rising = diversity is None or diversity > RISING * self.last_diversity
        self.last_diversity = diversity or 0.0
        if diversity is not None and not is_rising and diversity < COLLAPSED:
            subject = "two samples of a class" if self.labels is not None else "two samples"
            failures["mode collapse"] = f"{subject} differ {diversity:.0%} as much as two real images do"
        counts = self.evaluations or {}
        self.evaluations = {failure: counts.get(failure, 0) + 1 for failure in failures}
        return failures

    def _warn(self, failures: dict[str, str]) -> list[str]:
        """Prints and returns the warnings that are due."""
        counts = self.evaluations or {}
        due = [failure for failure, count in counts.items() if count >= PATIENCE and failure not in self.warned]
        self.warned.update(due)
        step = self.model.completed_steps
        texts = [f"step {step}: {failure}: {failures[failure]}. What usually helps: {ADVICE[failure]}" for failure in due]
        for text in texts:
            print(f"\nwarning: {text}", file=sys.stderr, flush=True)
        return texts

    def _find_failures(self, logs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields (failure, description) from the means since the last evaluation."""
        accuracy, norms, vanished = logs.get("d_pairwise_accuracy"), {}, {}
        for player in "gd":
            norm = logs.get(f"{player}_gradient_norm")
            if norm is not None:
                largest = max(norm, self.largest_norms.get(player, 0.0))
                self.largest_norms[player], norms[player] = largest, norm
                vanished[player] = norm < VANISHED * largest or norm < NO_GRADIENT
        if accuracy is not None and accuracy > DOMINANCE and not self.model.objective.critic:
            yield "discriminator dominance", f"it ranks {accuracy:.1%} of the real images above generated ones"
        if vanished.get("g"):
            yield "vanishing gradients", f"the generator's gradient norm fell from {self.largest_norms['g']:.1e} to {norms['g']:.1e}"
        if vanished.get("d") and accuracy is not None and accuracy < CHANCE:
            yield "uninformative discriminator", f"its pairwise accuracy is {accuracy:.0%} and its gradient norm {norms['d']:.1e}"

    def _relative_diversity(self) -> float | None:
        """Diversity of the samples divided by that of real images; within classes for class-conditional models."""
        if not self.model.generates_from_noise:
            return None
        modality = self.model.modality
        batch: Any = self.batch
        real = batch[modality.key]
        if self.real_diversity is None:
            self.real_diversity = self._measure_real(np.asarray(modality.to_external(real)))
        conditions = {name: batch[name] for name in self.model.conditions}
        samples = np.asarray(self.model.sample(np.arange(len(real), dtype=np.int64), **conditions))
        try:
            return round(modality.diversity(samples, self.labels) / self.real_diversity, 4) if self.real_diversity else None
        except UserError:  # samples that are not finite
            return None

    def _measure_real(self, real: np.ndarray) -> float:
        self.labels = np.asarray(self.batch["label"]) if "label" in self.model.conditions else None
        try:
            return self.model.modality.diversity(real, self.labels)
        except UserError:  # no class has two of them
            self.labels = None
            return self.model.modality.diversity(real, None)


def _is_warning_of(failure: str, text: str) -> bool:
    """Whether a warning in metrics.jsonl, which begins with `step N: `, is about a failure."""
    return text.partition(": ")[2].startswith((f"{failure}: ", OLD_TEXTS[failure]))


def _describe_non_finite(values: list[str], weights: list[str]) -> str:
    """Describes the logged values and the weights' gradients that are not finite."""
    terms = [name for name in values if not name.endswith("gradient_norm")]
    parts = [f"{' and '.join(terms)} {'are' if len(terms) > 1 else 'is'} not finite" if terms else "every loss term is finite"]
    if weights:
        others = f" and {len(weights) - 1} more" if len(weights) > 1 else ""
        parts.append(f"the gradient of the {weights[0]}{others} is not finite")
    return "; ".join(parts)
