"""`zoo project`: pictures projected into the latent space of a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from zoo.cli.arguments import (
    ModelArgument,
    check_seeds,
    explain_output_errors,
    output_folder,
    register_model,
    require_noise_model,
    write_picture,
)
from zoo.cli.conditions import find_class
from zoo.cli.measuring import open_data, own_if_inside, show_progress
from zoo.cli.picture import PictureCommand
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np

    from zoo.core import Game
    from zoo.latent import Projection
    from zoo.pretrained import PublishedModel
    from zoo.runs import Run

NONE = "none"
MAX_STEPS = 1_000_000
FILE, PARTS = "latents.npz", ("target", "projection", "way")  # of which each picture has a file


@dataclasses.dataclass(frozen=True)
class Project:
    """find the latent vectors of pictures by optimization: reports the distances, and writes targets, projections and the way there"""

    run: ModelArgument
    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE ...")]
    """the image files"""
    out: Omittable[Path] = None
    """folder to write to; if omitted, projections/ in the run's folder"""
    label: Omittable[tuple[str, ...]] = None
    """class of each picture, or one of all, by name or number; class-conditional models need it"""
    steps: int = 1000
    """number of optimization steps"""
    seed: int = 0
    """random seed for the noise of the optimization"""
    feature_extractor: Omittable[str] = None
    """network whose features are compared, as for training; none: pixels only; if omitted, that of the run"""
    data_dir: Omittable[str] = None
    """folder of TFDS datasets, for a feature extractor that has to be trained; if omitted, that of the run"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        import numpy as np

        from zoo.latent import ProjectionSettings, project, require_generator
        from zoo.pretrained import load_model, open_model

        if not 1 <= self.steps <= MAX_STEPS:
            raise UserError(f"--steps {self.steps}: must be from 1 to {MAX_STEPS:,}")
        check_seeds(self.seed)
        names = self._names()
        register_model(self.model)
        opened = open_model(self.run)
        model: Any = load_model(opened, self.checkpoint, discriminator=False)
        require_noise_model(model, "project")
        require_generator(model)
        labels = self._labels(model)
        targets = np.stack([self._read(file, opened, model) for file in self.pictures]).astype(np.float32) / 255
        folder = output_folder(opened, self.out, "projections")
        self._refuse_overwriting(folder, names)
        extractor = self._load_extractor(opened, model)
        with own_if_inside(folder, opened), explain_output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            settings = ProjectionSettings(steps=self.steps, seed=self.seed)
            result = project(model, targets, labels, extractor, settings, show_progress)
            self._write(model, folder, names, targets, labels, result)

    def _names(self) -> list[str]:
        """The names of the files to write: those of the pictures without their suffixes."""
        if not self.pictures:
            raise UserError("which pictures? Give one or more image files")
        names: dict[str, Path] = {}
        for file in self.pictures:
            if file.stem in names:
                raise UserError(f"the projections of {names[file.stem]} and {file} would both be named {file.stem}; rename one")
            names[file.stem] = file
        return list(names)

    def _refuse_overwriting(self, folder: Path, names: list[str]) -> None:
        """Raises UserError if a file to write is one of the pictures."""
        pictures = {file.resolve() for file in self.pictures}
        for path in (folder / f"{name}-{part}.png" for name in names for part in PARTS):
            if path.resolve() in pictures:
                raise UserError(f"--out {folder}: {path.name} is one of the pictures and would be overwritten; give another folder")

    def _labels(self, model: Game) -> list[int] | None:
        """The class of each picture, for a class-conditional model."""
        if "label" not in model.conditions:
            if self.label:
                raise UserError("--label: this model is not class-conditional; omit it")
            return None
        if not self.label:
            classes = f"classes are {', '.join(model.class_names[:12])}" if model.class_names else f"0 to {model.config.num_classes - 1}"
            raise UserError(f"--label: this model is class-conditional; give the class of each picture, or one of all ({classes})")
        labels = [find_class(label, model) for label in self.label]
        if len(labels) not in (1, len(self.pictures)):
            raise UserError(
                f"--label: give one class for each of the {len(self.pictures)} pictures, or one of all; {len(labels)} are given"
            )
        return labels * len(self.pictures) if len(labels) == 1 else labels

    def _read(self, file: Path, opened: Run | PublishedModel, model: Game) -> np.ndarray:
        """A picture in the model's size, resized like the run's training images, uint8 [h, w, c]."""
        from zoo import data
        from zoo.data.image_files import RESIZING, to_pixels

        height, width, channels = model.modality.sample_shape(model.config)
        picture = PictureCommand.read(file, channels, None)
        resize = RESIZING[data.Reading.from_options(opened.record.options).crop]
        return to_pixels(resize(picture, (width, height)), channels)

    def _load_extractor(self, opened: Run | PublishedModel, model: Game) -> Any:
        """The feature extractor, or None for pixels only."""
        from zoo.metrics.extractors import check_extractor_name, load_extractor

        name = self.feature_extractor or opened.record.options.get("feature_extractor") or "classifier"
        if name == NONE:
            return None
        check_extractor_name(name)
        try:
            source = open_data(opened.record, model, None, self.data_dir)
            extractor = load_extractor(name, source.single_images())
        except UserError as error:
            raise UserError(f"{error}; --feature-extractor {NONE} compares pixels only, without the data") from None
        print(f"{extractor.name}: {extractor.description}")
        return extractor

    def _write(
        self, model: Game, folder: Path, names: list[str], targets: np.ndarray, labels: list[int] | None, result: Projection
    ) -> None:
        """Writes the pictures and the latent vectors, and prints the distances."""
        import numpy as np

        from zoo.files import write_atomically
        from zoo.runs import format_table

        for name, target, image, way in zip(names, targets, result.images, result.way, strict=True):
            pictures = (target[None], image[None], np.concatenate([way, target[None]]))
            for part, images in zip(PARTS, pictures, strict=True):
                write_picture(folder / f"{name}-{part}.png", model.modality.render(images, len(images)))
        arrays = {"names": np.array(names), "latents": result.latents, **({} if labels is None else {"labels": np.array(labels)})}

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]

        write_atomically(folder / FILE, save)
        terms = list(result.distances)
        rows = [
            [name, *(f"{result.start_distances[term][i]:.4f} -> {result.distances[term][i]:.4f}" for term in terms)]
            for i, name in enumerate(names)
        ]
        print(printable(format_table(["picture", *(f"{term} (distance, start -> end)" for term in terms)], rows), "\n"))
        print(printable(f"NAME-target.png, NAME-projection.png, NAME-way.png and {FILE} in {folder}"))
