"""Console output of a training run: its plan, its scores, and the next commands."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import printable
from zoo.reports.usage import tool_command
from zoo.runs import Run
from zoo.training.callbacks import MAX_TIME_SHARE

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.metrics import Evaluation
    from zoo.registry import ModelEntry


def print_plan(entry: ModelEntry, model: Game, source: Any, hardware: str, folder: Path | str) -> None:
    """Prints the model, the data and the hardware of a training run, and warnings about its length."""
    config: Any = model.config
    unit = f"{model.modality.key}s"
    counts = ", ".join(f"{network.name} {network.count_params():,}" for network in model.players.values())
    details = [f"{source.sizes['train']:,} training examples", model.modality.describe_shape(config)]
    if source.num_classes:
        details.append(f"{config.num_classes} classes")
    if source.pose_names:
        details.append(f"poses {', '.join(source.pose_names)}")
    images = config.batch_size * config.discriminator_steps
    print(f"model      {entry.name}: {entry.paper}; parameters: {counts}")
    print(f"data       {source.name} {source.version}: {', '.join(details)}")
    if model.config.stage_boundaries:
        starts = ", ".join(f"{boundary:,}" for boundary in model.config.stage_boundaries)
        print(f"stages     {len(model.config.stage_boundaries) + 1}, from steps 0, {starts}")
    print(f"training   {config.steps:,} steps of {images} {unit}, evaluation every {min(config.eval_every, config.steps):,}")
    print(f"precision  {hardware}")
    print(f"folder     {printable(folder)}", flush=True)
    _print_length_warnings(model)


def _print_length_warnings(model: Game) -> None:
    config: Any = model.config
    late = [boundary for boundary in model.config.stage_boundaries if boundary >= config.steps]
    if late:
        stages = f"{len(late)} of {len(model.config.stage_boundaries) + 1} stages begin after the last step"
        print(f"warning: {stages}; training all of them needs --steps {late[-1] + 1} or more", file=sys.stderr, flush=True)
    if config.steps > config.learning_stops_at:
        reason = f"the learning rates are 0 from step {config.learning_stops_at:,} on (--schedule {config.schedule}), so nothing is learned"
        print(f"warning: {reason}; to train longer, start a new run with --steps {config.steps}", file=sys.stderr, flush=True)


def print_scores(evaluation: Evaluation, names: Sequence[str], model: Game) -> None:
    """Prints which scores an evaluation computes, and from which samples."""
    extractor = f"; {evaluation.extractor.description}" if evaluation.extractor else ""
    subject = f"{evaluation.count:,} samples"
    if not model.generates_from_noise:
        kind = "training" if evaluation.split == "train" else "held-out"
        subject = f"{len(next(iter(evaluation.held_out.values()))):,} {kind} examples, if the data allow it,"
    print(f"scores     {', '.join(names)} of {subject} at each evaluation{extractor}")
    print(f"           an evaluation skips the scores if they would take more than {MAX_TIME_SHARE:.0%} of the training time", flush=True)


def print_report(run: Run, model: Game, version: Path) -> None:
    """Prints the files of a run, and the commands that view, sample, serve and continue it."""
    name, step = run.record.model, model.completed_steps
    mount = shlex.quote(f"{run.export_folder.resolve()}:/models/{name}")
    files = f"checkpoints/, samples/step-{step:06d}.png, metrics.jsonl, README.md, TensorBoard events, {version.relative_to(run.folder)}"
    print(f"\nwritten to {printable(run.display_path)}: {files}")
    best = run.best()
    if best:
        values = [value for row in run.rows() if (value := row.get("scores", {}).get(best.name)) is not None]
        last = f"; last {values[-1]:.4g}" if values else ""
        print(f"best       {best.name} {best.value:.4g} at step {best.step:,}{last} (--checkpoint best)")
    print(f"view       tensorboard --logdir {printable(shlex.quote(str(run.display_path.parent)))}")
    if model.generates_from_noise:
        print(f"sample     {printable(run.command('generate', '--count 64 --out samples.png'))}")
    else:
        print(f"apply      {printable(run.command(tool_command(model.signatures()), 'IMAGE OUT.png'))}")
    print(f"serve      docker run -p 8501:8501 -v {printable(mount)} -e MODEL_NAME={name} tensorflow/serving")
    if step < model.config.learning_stops_at:  # beyond it nothing would be learned
        print(f"continue   {printable(run.resume_command())} --steps {2 * step}")
