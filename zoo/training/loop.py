"""The training loop: a run in phases of `fit`, with a return to the last checkpoint after divergence."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from zoo.core import Game
from zoo.errors import UserError
from zoo.runs import Run
from zoo.training.cluster import Cluster
from zoo.training.interrupt import Interrupt
from zoo.training.monitor import Diverged, DivergenceCheck

if TYPE_CHECKING:
    from zoo.data import Source

RETRIES = 3  # how often a diverged run continues from its last checkpoint
ADVICE = "What usually helps: smaller learning rates, --precision float32, a smaller penalty"


class Phase(NamedTuple):
    """One call of `fit`.

    Attributes:
        start: Its first step.
        length: Steps per epoch.
        epochs: How many epochs.
        steps_per_execution: Steps between two returns to Python.
    """

    start: int
    length: int
    epochs: int
    steps_per_execution: int


def phases(start: int, steps: int, eval_every: int, max_steps_per_execution: int = 8, boundaries: Sequence[int] = ()) -> Iterator[Phase]:
    """Divides the steps from `start` to `steps` into calls of `fit`, whose epochs have equal length and end when an evaluation is due.

    These are a shorter epoch up to the next evaluation, whole epochs, and the rest. No phase crosses a stage boundary, at which the
    training step changes; `steps_per_execution` is constant between boundaries, because each value costs a trace.

    Args:
        start: Completed steps.
        steps: Steps of the whole run.
        eval_every: Steps between evaluations.
        max_steps_per_execution: Upper bound on Keras' `steps_per_execution`.
        boundaries: Steps at which a new stage begins.
    """
    while start < steps:
        end = min([steps, *(boundary for boundary in boundaries if boundary > start)])
        parts = []
        while start < end:
            length = min(eval_every - start % eval_every, end - start)
            epochs = (end - start) // eval_every if length == eval_every else 1
            parts.append((start, length, epochs))
            start += length * epochs
        common = math.gcd(*(length for _, length, _ in parts))
        steps_per_execution = max(n for n in range(1, max_steps_per_execution + 1) if common % n == 0)
        for part in parts:
            yield Phase(*part, steps_per_execution)


def check_step_size(config: Any, source: Any) -> None:
    """Raises UserError if a step needs more examples than the prepared dataset has."""
    steps, parts, available = config.discriminator_steps, config.gradient_accumulation, source.sizes["train"]
    if available < 2:
        raise UserError(f"{source.name} has {available} training image; at least 2 are needed, and hundreds for useful results")
    if config.batch_size * steps > available:
        largest = available // steps // parts * parts
        advice = f"--batch-size {largest} is the largest possible" if largest else f"at least {steps * parts} are needed"
        needed = f"{config.batch_size * steps} images ({steps} times --batch-size {config.batch_size})"
        raise UserError(f"a step takes {needed}, and {source.name} has {available} training images; {advice}")


def fit(
    model: Game,
    run: Run | None,
    source: Source,
    callbacks: Sequence[keras.callbacks.Callback],
    max_steps_per_execution: int,
    cluster: Cluster,
) -> int | None:
    """Trains the remaining steps, returning to the last checkpoint when a value is NaN or infinite.

    Args:
        model: The compiled model, at the step from which training continues.
        run: The run that holds the checkpoints; None for a worker that writes none.
        source: The prepared dataset.
        callbacks: Callbacks in the order of their calls; `Interrupt` is called before them.
        max_steps_per_execution: Upper bound on Keras' `steps_per_execution`.
        cluster: The workers that train together.

    Returns:
        The number of the signal that interrupted training, or None.

    Raises:
        Diverged: If training diverged again after `RETRIES` retries. The last checkpoint is intact.
    """
    interrupt = Interrupt(cluster.agree)
    try:
        for attempt in range(1, RETRIES + 2):
            try:
                _fit_phases(model, source, cluster, [interrupt, *callbacks, DivergenceCheck()], max_steps_per_execution)
                return interrupt.signal
            except Diverged as error:
                final = attempt > RETRIES
                action = "giving up" if final else f"returning to the last checkpoint with new noise ({attempt} of {RETRIES})"
                warning = f"{error}. {ADVICE}; {action}"
                if run:
                    _return_to_checkpoint(model, run, warning)
                cluster.copy_from_chief(model)
                if final:
                    raise Diverged(warning) from None
                if run:
                    print(f"\nwarning: {warning}", file=sys.stderr, flush=True)
    finally:
        interrupt.restore_handlers()
    raise AssertionError("unreachable")


def _return_to_checkpoint(model: Game, run: Run, warning: str) -> None:
    retries = int(keras.ops.convert_to_numpy(model.retries)) + 1
    run.restore(model)
    model.retries.assign(retries)  # is part of every seed
    step = model.completed_steps
    run.write_progress(run.progress(step)._replace(retries=retries))  # a resumed run does not repeat this with the same noise
    run.append({"step": step, "warnings": [warning]})


def _fit_phases(
    model: Game, source: Source, cluster: Cluster, callbacks: Sequence[keras.callbacks.Callback], max_steps_per_execution: int
) -> None:
    config: Any = model.config
    phase_list = phases(model.completed_steps, config.steps, config.eval_every, max_steps_per_execution, model.config.stage_boundaries)
    for phase in phase_list:
        if model.steps_per_execution != phase.steps_per_execution:
            model.steps_per_execution, model.train_function = phase.steps_per_execution, None  # Keras builds another one
        first_epoch = phase.start // config.eval_every
        model.fit(
            cluster.batches(source, config, phase.start),
            steps_per_epoch=phase.length,
            initial_epoch=first_epoch,
            epochs=first_epoch + phase.epochs,
            verbose=0 if not cluster.is_chief else 1 if sys.stdout.isatty() else 2,
            shuffle=False,
            callbacks=list(callbacks),
            validate_data=False,  # they come from the zoo's own sources
        )
        if model.stop_training:
            break
