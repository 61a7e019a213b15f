"""A training run from its request to the exported model: data, model, scores, the loop, export, model card."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from zoo import data, metrics
from zoo.cli import console
from zoo.cli.fine_tuning import absolute_source, start_from
from zoo.cli.options import MIN_EVAL_SAMPLES, TrainOptions
from zoo.cli.request import TrainRequest
from zoo.core import Game
from zoo.errors import UserError, option_name, printable
from zoo.metrics.extractors import check_extractor_name, load_extractor
from zoo.metrics.registry import generates_images, requires_extractor
from zoo.registry import ModelEntry
from zoo.reports.model_card import is_card_current, write_card
from zoo.runs import DataRecord, Run, RunRecord, explain_write_errors, export_versions, find_export, load_model
from zoo.runs.checkpoints import checkpoint_step, is_intact
from zoo.runs.loading import explain_settings, limit_weights
from zoo.serving.saved_model import export_model
from zoo.training import runtime
from zoo.training.callbacks import Evaluate, SaveCheckpoint, WriteEvaluation, repeat_evaluation
from zoo.training.cluster import explain_lost_worker, open_cluster
from zoo.training.loop import check_step_size, fit
from zoo.training.monitor import Diverged, TrainingMonitor
from zoo.training.tensorboard import Profile, TensorBoardSummaries
from zoo.training.workers import select_worker

PREVIEW_SIZE = 64  # real examples for the previews and the training monitor, the same at every evaluation
PATH_OPTIONS = "^(file|inception):(.+)"  # feature extractors that name a file


class TrainingSession:
    """A training run that is ready to start: the constructor reads the data and builds the model, and writes nothing.

    Args:
        request: The options, the configuration, and the run to resume.

    Attributes:
        run: The run's folder; None until `train` creates it, unless a run is resumed.

    Raises:
        UserError: For options that do not fit the data, the model, the hardware or the resumed run.
    """

    def __init__(self, request: TrainRequest) -> None:
        self.request, self.run = request, request.run
        self.options: TrainOptions = request.options
        self.evaluation: metrics.Evaluation | None = None
        self.metric_names: Sequence[str] = ()
        self.entry: ModelEntry = request.entry
        worker = select_worker(self.options.strategy)
        self._check_options(is_writer=worker is None or worker.is_chief)
        self.cluster = open_cluster(self.options.strategy, worker)  # before TensorFlow computes anything
        self.strategy = self.cluster.strategy
        self._open_data()
        self._select_hardware()
        self.record = self._build_record()
        if self.run:
            self.run.check_settings(self.record)
            self.run.record.data.name = self.record.data.name  # a folder may have been moved
            self.run.record.options["model"] = self.record.options["model"] or self.run.model_spec
        self.prepared_source = self.entry.model.prepare_data(self.config, self.source)
        check_step_size(self.config, self.prepared_source)
        self._build_model()
        if self.options.eval_samples and self.best:  # before a feature extractor is trained
            metrics.Evaluation(self.prepared_source, None, self.options.eval_samples).check_metric(self.model, self.best)
        self.batches = self.prepared_source.batches(self.config.batch_size * self.config.discriminator_steps)

    # -- preparation, which writes nothing --------------------------------------------------------------------

    def _open_data(self) -> None:
        options, requested = self.options, self.request.config
        shape = getattr(requested, "image_shape", None)
        read_only = self.run is not None and "data_dir" not in self.request.typed
        class_names = self.run.record.data.class_names if self.run else None
        reading = data.Reading.from_options(dataclasses.asdict(options))
        keys = self.entry.model.batch_keys
        self.full_source = data.open_source(options.data, options.data_dir, shape, keys, read_only, class_names, reading)
        if options.verify:
            data.check_files(self.full_source.name, self.full_source.find_damage)
        self.source, self.config = self.full_source, requested.resolve(**self.full_source.config_defaults)
        if options.mirror or options.balance:
            self.source = self.source.with_options(options.mirror, options.balance)
        if options.examples is not None:
            self.source = self.source.subset(options.examples, self.config.seed)
        for name, count in self.source.config_defaults.items():
            given = getattr(self.config, name, count)
            if name.startswith("num_") and count and given != count:
                plural = name.removeprefix("num_")
                raise UserError(f"{option_name(name)} {given}: {self.source.name} has {count} {plural}; omit the option")

    def _check_options(self, is_writer: bool) -> None:
        if not self.run and is_writer:
            Run.check_free(self.options.run_dir)
        model = self.entry.model
        defaults = ["frechet"] if generates_images(model) else [metric.name for metric in model.own_metrics]
        self.best = self.options.best or next(iter(defaults), None)  # None: the model has no metrics, so nothing is scored
        if self.best:
            metrics.find_metric(self.best, model.own_metrics)
        if self.best and self.options.eval_samples and requires_extractor(model):
            check_extractor_name(self.options.feature_extractor)
        if self.options.eval_samples and self.options.eval_samples < MIN_EVAL_SAMPLES:
            raise UserError(f"--eval-samples {self.options.eval_samples}: must be at least {MIN_EVAL_SAMPLES}, or 0 to disable scores")

    def _select_hardware(self) -> None:
        self.policy = runtime.select_precision(self.options.precision)
        self.replicas = self.strategy.num_replicas_in_sync
        is_recorded = self.run is not None and "xla" not in self.request.typed
        xla = "auto" if is_recorded and self.replicas > 1 else self.options.xla  # the run may have begun on one GPU
        self.jit_compile = runtime.use_xla(xla, self.replicas)
        config = self.config
        runtime.check_replicas(self.replicas, self.policy, self.jit_compile, config.batch_size, config.gradient_accumulation)
        self.hardware = runtime.describe(self.policy, self.jit_compile, self.replicas, self.cluster.num_workers)

    def _build_record(self) -> RunRecord:
        options, source = self.options, self.source
        return RunRecord(
            model=self.entry.name,
            config=dataclasses.asdict(self.config),
            data=DataRecord(
                name=source.name,
                version=self._recorded_version(),
                class_names=list(source.class_names) if source.class_names else None,
                pose_names=list(source.pose_names) if source.pose_names else None,
                examples=options.examples,
            ),
            precision=self.policy,
            replicas=self.replicas,
            xla=self.jit_compile,
            options={  # with these, a resumed run finds its data and computes as before; `model` is for display only
                "model": options.model if ":" in options.model else None,
                "data_dir": _absolute(options.data_dir),
                "precision": runtime.precision_choice(self.policy),
                "strategy": self._recorded_strategy(),
                "xla": "on" if self.jit_compile else "off",
                **dataclasses.asdict(data.Reading.from_options(dataclasses.asdict(options))),
                "label_file": _absolute(options.label_file),
                "mirror": options.mirror,
                "balance": options.balance,
                "eval_samples": options.eval_samples,
                "best": self.best,
                "init_from": absolute_source(options.init_from),
                "init_optimizers": options.init_optimizers,
                "feature_extractor": re.sub(PATH_OPTIONS, lambda match: f"{match[1]}:{_absolute(match[2])}", options.feature_extractor),
            },
            command=self.request.command(),
        )

    def _recorded_strategy(self) -> str:
        """The strategy with which the run is resumed: not that of several workers, as it may be resumed on one."""
        if self.cluster.num_workers > 1:
            return "auto"
        return "mirrored" if self.replicas > 1 else "none"

    def _recorded_version(self) -> str:
        """The version of the data; that of the run if an earlier version of this package named the same data so."""
        recorded = self.run.record.data.version if self.run else self.source.version
        return recorded if recorded != self.source.version and recorded in self.source.older_versions() else self.source.version

    def _build_model(self) -> None:
        keras.utils.set_random_seed(self.config.seed)
        limit: contextlib.AbstractContextManager[None] = limit_weights(self.run) if self.run else contextlib.nullcontext()
        with self.strategy.scope():
            with explain_settings(self.run) if self.run else contextlib.nullcontext(), limit:
                self.model: Game = self.entry.build(self.config)
            self.model.class_names = self.source.class_names
            self.model.compile(jit_compile=self.jit_compile)
        self.restored = self._restore() if self.run and self.cluster.is_chief else None
        if self.options.init_from and not self.restored and self.cluster.is_chief:
            start_from(self.model, self.options.init_from, self.options.init_optimizers)

    def _restore(self) -> str | None:
        """Restores the last checkpoint; None if the run was killed before its first one.

        Raises:
            UserError: The checkpoints of a run that was trained are missing.
        """
        assert self.run
        run, checkpoints = self.run, self.run.checkpoints()
        if not any(map(checkpoint_step, checkpoints)):  # none, or that of the initial weights alone
            best = f" (the best one is there: {run.command('generate', '--checkpoint best')})" if run.best() else ""
            if best or run.evaluations() or export_versions(run.export_folder):
                raise UserError(
                    f"{run.display_path} was trained, but its checkpoints are not in {run.display_path / 'checkpoints'}{best}; "
                    "put them back to continue, or start a new run"
                )
            if not checkpoints or not is_intact(checkpoints[0]):
                return None  # it was killed before its first checkpoint was complete
        restored = run.restore(self.model)
        retries = run.progress(self.model.completed_steps).retries
        self.model.retries.assign(max(int(keras.ops.convert_to_numpy(self.model.retries)), retries))
        return restored

    # -- the training --------------------------------------------------------------------------------------------------

    def print_dry_run(self) -> None:
        """Prints the plan, the resolved configuration and the shapes of a batch."""
        if not self.cluster.is_chief:
            return
        console.print_plan(self.entry, self.model, self.source, self.hardware, "none (dry run)")
        for name, value in dataclasses.asdict(self.config).items():
            print(f"  {name} = {value}")
        for key, spec in self.batches.element_spec.items():
            print(f"  batch of {key}: {(self.config.batch_size * self.config.discriminator_steps, *spec.shape[1:])}")

    def train(self) -> int | None:
        """Trains the remaining steps, exports the model and writes its card.

        Returns:
            The number of the signal that interrupted training, or None.

        Raises:
            UserError: If all steps are completed, or the run's folder cannot be written.
            Diverged: If training diverged again after all retries.
        """
        if not self.cluster.is_chief:
            return self._assist()
        run, start = self.run, self.model.completed_steps
        is_trained = bool(run and start >= self.config.steps and not run.unfinished_evaluation(start))
        if run and is_trained and find_export(run.export_folder, start) and is_card_current(run, start):
            command = f"{run.resume_command()} --steps {2 * start}"
            beyond = "" if start == self.config.steps else f", more than the {self.config.steps:,} requested"
            raise UserError(f"{run.display_path} has completed its {start:,} steps{beyond}; to continue: {command}")
        if not is_trained:
            self._open_evaluation()
        if run:
            return self._complete(run, is_trained)
        self.record.parameters = {network.name: network.count_params() for network in self.model.players.values()}
        run = self.run = Run.create(self.record, self.options.run_dir)
        with run.own():
            return self._complete(run)

    def _assist(self) -> int | None:
        """Trains as a worker that writes nothing, and waits until the chief has done the rest."""
        self.cluster.copy_from_chief(self.model)
        try:
            number = self._fit_steps(None, self.model.callbacks())
        except Diverged:
            raise SystemExit(Diverged.exit_status) from None  # the chief explains it
        self.cluster.agree(None)
        return number if self.model.completed_steps < self.config.steps else None

    def _complete(self, run: Run, is_trained: bool = False) -> int | None:
        """Does what a run lacks: training, the SavedModel, the card."""
        start = self.model.completed_steps
        self.cluster.copy_from_chief(self.model)
        console.print_plan(self.entry, self.model, self.source, self.hardware, run.display_path)
        if self.evaluation:
            console.print_scores(self.evaluation, self.metric_names, self.model)
        if self.restored:
            print(f"resumed    after step {start:,} from {printable(run.format_path(self.restored))}", flush=True)
        with explain_write_errors(run):
            run.extend(self.config, start, self.restored is not None)
            number = None if is_trained else self._fit(run)
            if number and self.model.completed_steps < self.config.steps:
                write_card(run, self.entry, self.model)
                print(f"\nsaved after step {self.model.completed_steps:,}; to continue: {printable(run.resume_command())}", file=sys.stderr)
                self.cluster.release()
                return number
            exported = find_export(run.export_folder, start) if self.model.completed_steps == start else None
            version = exported or export_model(load_model(run), run.export_folder)
            write_card(run, self.entry, self.model)
        self.cluster.release()
        console.print_report(run, self.model, version)
        return None

    def _open_evaluation(self) -> None:
        """Loads or trains the feature extractor, after everything else has been checked."""
        if self.options.eval_samples and self.best:
            extractor = None
            if requires_extractor(self.model):
                extractor = load_extractor(self.options.feature_extractor, self.full_source.single_images())
            self.evaluation = metrics.Evaluation(self.prepared_source, extractor, self.options.eval_samples)
            self.metric_names = self.evaluation.metrics_during_training(self.model, self.best)

    def _fit(self, run: Run) -> int | None:
        with tf.summary.create_file_writer(str(run.folder)).as_default() as writer:
            callbacks = [*self.model.callbacks(), *self._build_callbacks(run, writer)]
            try:
                return self._fit_steps(run, callbacks)
            except Diverged as error:
                write_card(run, self.entry, self.model)
                step, command = self.model.completed_steps, run.resume_command()
                advice = f"the checkpoint after step {step:,} is intact; changed settings need a new run; to continue: {command}"
                raise Diverged(f"{error}; {advice}") from None

    def _fit_steps(self, run: Run | None, callbacks: Sequence[keras.callbacks.Callback]) -> int | None:
        """Trains the remaining steps.

        Args:
            run: The run; None for a worker that writes nothing.
            callbacks: The callbacks of the training.
        """
        advice = f"; its checkpoints are intact; to continue: {run.resume_command()}" if run else ""
        read_errors = data.explain_read_errors(self.full_source.name, self.full_source.find_damage, advice)
        with read_errors, explain_lost_worker(self.cluster.worker):
            if run:
                repeat_evaluation(self.model, run, callbacks)
            return fit(self.model, run, self.prepared_source, callbacks, self.options.steps_per_execution, self.cluster)

    def _build_callbacks(self, run: Run, writer: Any) -> list[keras.callbacks.Callback]:
        """The callbacks in the order in which they are called; `WriteEvaluation` records the results of those before it."""
        source = self.prepared_source
        split = "test" if "test" in source.sizes else "train"
        batch = next(iter(source.batches(min(PREVIEW_SIZE, source.sizes[split]), 0, split=split)))
        measuring: list[keras.callbacks.Callback] = [TrainingMonitor(run, batch)]
        evaluate = None
        if self.evaluation and self.best:
            evaluate = Evaluate(run, writer, self.evaluation, self.metric_names, self.best)
            measuring.append(evaluate)
        save = SaveCheckpoint(run, evaluate)
        callbacks = [save, TensorBoardSummaries(run, writer), *measuring, WriteEvaluation(run, writer, batch, [save, *measuring])]
        return [*callbacks, Profile(run)] if self.options.profile else callbacks


@contextlib.contextmanager
def open_session(request: TrainRequest) -> Iterator[TrainingSession]:
    """A training session; one that resumes a run owns it before it reads what another process may be writing.

    Raises:
        UserError: Another process owns the run, or has changed it since the request was read; and as `TrainingSession`.
    """
    worker = select_worker(request.options.strategy)
    if request.run is None or request.options.dry_run or (worker and not worker.is_chief):
        with explain_lost_worker(worker):
            yield TrainingSession(request)
        return
    with request.run.own(), explain_lost_worker(worker):
        if Run(request.run.display_path).record != request.run.record:
            raise UserError(f"{request.run.display_path} was changed by another process meanwhile; run the command again")
        yield TrainingSession(request)


def _absolute(path: str | None) -> str | None:
    return os.path.abspath(os.path.expanduser(path)) if path else path
