"""Base classes of `evaluate`, `analyze` and `utility`: shared options, and loading a run with the data to compare it with."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeGuard

from zoo.cli.arguments import ModelArgument, check_truncation, explain_output_errors, register_model, require_noise_model
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.metrics import Evaluation
    from zoo.pretrained import PublishedModel
    from zoo.runs import Run, RunRecord


class OpenedRun(NamedTuple):
    """A run, its model, and the evaluation that compares its samples with real images."""

    run: Run | PublishedModel
    model: Game
    evaluation: Evaluation


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A measurement of a run."""

    run: ModelArgument
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    count: int = 10_000
    """number of samples, and of real images if the split has as many"""
    data: Omittable[str] = None
    """dataset of the real images; if omitted, that of the run"""
    data_dir: Omittable[str] = None
    """folder of TFDS datasets; if omitted, that of the run"""
    seed: int = 0
    """random seed for the samples and the choice of real images"""
    live: bool = False
    """use the generator's raw training weights instead of their exponential moving average"""
    truncation: Omittable[float] = None
    """truncation threshold of the latent vectors in standard deviations, for models that support it"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    protocol_in_title: ClassVar[tuple[str, ...]] = ()  # fields of the protocol that the table titles already contain

    def open(self) -> OpenedRun:
        """Loads the run's model, and the data that it was trained on (or other data).

        Raises:
            UserError: For options that do not fit the model or the data.
        """
        from zoo import metrics
        from zoo.pretrained import load_model

        metrics.check_sample_count(self.count, self.seed)  # before an extractor is trained
        register_model(self.model)
        run = self.trained
        model: Any = load_model(run, self.checkpoint)
        self.check_model(model)
        if self.live and not model.generates_from_noise:
            raise UserError("--live: image-to-image models are evaluated by their EMA networks; omit it")
        check_truncation(model, self.truncation)
        record = run.record
        source = open_data(record, model, self.data, self.data_dir)
        extractor, split = self.load_extractor(source, model, record.options), self.real_split()
        if record.data.examples and not self.data:
            source = source.subset(record.data.examples, model.config.seed)
        source = model.prepare_data(model.config, source)
        evaluation = metrics.Evaluation(source, extractor, self.count, split, self.seed, self.live, self.truncation, show_progress)
        return OpenedRun(run, model, evaluation)

    @functools.cached_property
    def trained(self) -> Run | PublishedModel:
        """The run, or the published model; raises UserError if there is none, or if it has no weights but those of the average."""
        from zoo.pretrained import PublishedModel, open_model

        trained = open_model(self.run)
        if self.live and isinstance(trained, PublishedModel):
            raise UserError(f"--live: {self.run} holds only the moving average of the generator's weights; omit it")
        return trained

    def check_model(self, model: Game) -> None:
        """Raises UserError if the model does not support the measurement."""
        require_noise_model(model, type(self).__name__.lower())

    def load_extractor(self, source: Any, model: Game, options: dict[str, Any]) -> Any:
        """The feature extractor, or None if the measurement needs none."""
        return None

    def real_split(self) -> str | None:
        """The split of the real images; None: the default."""
        return None

    def write_analysis(self, opened: OpenedRun, analysis: Any, folder: Path) -> None:
        """Prints the table of an analysis with its protocol, and writes both, and a plot, to a folder."""
        from zoo.files import write_text
        from zoo.runs import explain_write_errors, format_table

        run, model, evaluation = opened
        title, header, rows = analysis.table()
        name = type(analysis).__name__.lower()
        protocol = evaluation.protocol(model.compute_dtype).describe(omit=self.protocol_in_title)
        source = f"{run.display_path}, checkpoint {self.checkpoint} (step {model.completed_steps:,}); {protocol}"
        text = f"{title}\n{format_table(header, rows)}\n{source}\n"
        with explain_write_errors(run) if has_folder(run, folder) else explain_output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            analysis.plot(folder / f"{name}.png")
            write_text(folder / f"{name}.txt", text)
        print(printable(f"{text}plotted in {folder / name}.png\n", "\n"))


def has_folder(run: Run | PublishedModel, folder: Path) -> TypeGuard[Run]:
    """Whether a folder is that of a run, or below it."""
    from zoo.runs import Run

    return isinstance(run, Run) and folder.resolve().is_relative_to(run.folder.resolve())


def own_if_inside(folder: Path, run: Run | PublishedModel) -> contextlib.AbstractContextManager[None]:
    """Owns a run while a block writes to a folder, if that is in the run.

    Raises:
        UserError: Another process owns the run; or the folder is that of another run, which this command does not own.
    """
    if has_folder(run, folder):
        return run.own()
    if (folder / "config.json").exists():
        raise UserError(f"--out {folder} is another run; give a folder that is not a run")
    return contextlib.nullcontext()


def open_data(record: RunRecord, model: Game, name: str | None = None, folder: str | None = None) -> Any:
    """The data that a run was trained on, or other data that its model can read.

    Args:
        record: The record of the run.
        model: Its model.
        name: Name of other data; None: those of the run.
        folder: Folder of TFDS datasets; None: that of the run.

    Raises:
        UserError: The data cannot be read.
    """
    from zoo import data
    from zoo.data.source import FOLDER_PREFIX

    name, recorded_folder = name or record.data.name, record.options.get("data_dir")
    shape, reading = model.modality.sample_shape(model.config), data.Reading.from_options(record.options)
    if name.startswith(FOLDER_PREFIX) != record.data.name.startswith(FOLDER_PREFIX):  # the others fit one kind of data only
        reading = data.Reading(crop=reading.crop)
    return data.open_source(name, folder or recorded_folder, shape, type(model).batch_keys, not folder, record.data.class_names, reading)


@dataclasses.dataclass(frozen=True)
class FeatureMeasurement(Measurement):
    """A measurement that uses a feature extractor."""

    feature_extractor: Omittable[str] = None
    """network behind the metrics: classifier[:SEED], rotations, file:PATH, inception[:FILE], keras:NETWORK; if omitted, that of the run"""
    split: Omittable[str] = None
    """split of the real images; if omitted, test, or train if the dataset has no test split"""

    def load_extractor(self, source: Any, model: Game, options: dict[str, Any]) -> Any:
        from zoo.metrics.extractors import load_extractor
        from zoo.metrics.registry import requires_extractor

        if not requires_extractor(model):
            return None
        name = self.feature_extractor or options.get("feature_extractor") or "classifier"
        extractor = load_extractor(name, source.single_images())
        print(f"{extractor.name}: {extractor.description}")
        return extractor

    def real_split(self) -> str | None:
        return self.split


def show_progress(description: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """A progress bar on stderr around a loop."""
    from tqdm import tqdm

    return lambda loop: tqdm(loop, description, leave=False, disable=None)
