"""Uses what was trained: lists the models, samples from a run, scores it, compares it with others, exports it."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import tensorflow as tf
import tyro
from tqdm import tqdm

import zoo
from zoo import callbacks, card, command, compare, data, export, metrics, registry, results, runs, summaries
from zoo.data import folder as pictures
from zoo.errors import UserError

Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
BATCH = 100  # images that are made at once
SMALLEST = 8  # sides of a picture that is changed, in pixels
COLUMNS = 12  # of a grid of poses


@dataclasses.dataclass(frozen=True)
class List:
    """the table of models"""

    def __call__(self):
        print(registry.table())


@dataclasses.dataclass(frozen=True)
class Generate:
    """pictures from a run, with no data set at hand"""

    run: Folder
    """the run's folder"""
    out: Path = Path("samples.png")
    """one PNG grid; a name without .png is a folder that gets one PNG an image"""
    count: int = 64
    """how many images"""
    label: tuple[int, ...] | None = None
    """classes, in turn (default: all of them); for models with classes"""
    seed: int = 0
    """seed of the first image; each next image has the next seed"""
    truncation: float | None = None
    """keep the noise within so many standard deviations: the smaller, the more typical and alike (biggan)"""
    checkpoint: str = "last"
    """`last`, `best`, or a round"""
    columns: int | None = None
    """of the grid (default: as square as it goes)"""

    def __call__(self):
        if self.count < 1:
            raise UserError(f"--count {self.count}: at least 1")
        if self.columns is not None and self.columns < 1:
            raise UserError(f"--columns {self.columns}: at least 1")
        game = zoo.load(self.run, self.checkpoint)
        drawing(game, "generate")
        truncated(game, self.truncation)
        conditions = {}
        if "label" in game.conditions:
            classes = game.config.num_classes
            labels = self.label or tuple(range(classes))
            if wrong := [label for label in labels if not 0 <= label < classes]:
                raise UserError(f"--label {wrong[0]}: this run has classes 0 to {classes - 1}")
            conditions["label"] = np.resize(np.int64(labels), self.count)
        elif self.label:
            raise UserError("--label: this run's model has no classes; leave it out")
        seeds = np.arange(self.seed, self.seed + self.count, dtype=np.int64)
        sample = tf.function(game.sample, reduce_retracing=True)
        images = [
            sample(seeds[i : i + BATCH], truncation=self.truncation, **{k: v[i : i + BATCH] for k, v in conditions.items()}).numpy()
            for i in range(0, self.count, BATCH)
        ]
        self._write(np.concatenate(images), seeds, conditions)

    def _write(self, images, seeds, conditions):
        if self.out.suffix.lower() in pictures.SUFFIXES - {".png"}:
            raise UserError(f"--out {self.out}: pictures are written as PNG; give a name that ends in .png, or that of a folder")
        try:
            if self.out.suffix.lower() == ".png":
                self.out.parent.mkdir(parents=True, exist_ok=True)
                callbacks.save_png(self.out, callbacks.grid(images, self.columns or int(np.ceil(np.sqrt(len(images))))))
            else:
                self.out.mkdir(parents=True, exist_ok=True)
                for i, (seed, image) in enumerate(zip(seeds, images)):
                    names = "".join(f"-{key}{values[i]}" for key, values in conditions.items())
                    callbacks.save_png(self.out / f"seed{seed}{names}.png", callbacks.grid(image[None], 1))
        except OSError as error:
            raise UserError(f"{self.out} cannot be written: {error}") from None
        print(f"{len(images)} images in {self.out}")


@dataclasses.dataclass(frozen=True)
class Export:
    """the next SavedModel version of a run, for TF Serving"""

    run: Folder
    """the run's folder"""
    checkpoint: str = "last"
    """`last`, `best`, or a round"""

    def __call__(self):
        run = runs.Run(self.run)
        game = zoo.load(run, self.checkpoint)
        with runs.writing(run):
            print(export.write(game, run.export_folder))
            card.renew(run, registry.entry(run.record["model"]), game)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What every measurement of a run is told."""

    run: Folder
    """the run's folder"""
    checkpoint: str = "last"
    """`last`, `best`, or a round"""
    count: int = 10_000
    """samples, and real images where the split has as many"""
    data: str | None = None
    """where the real images come from (default: what the run was trained on)"""
    data_dir: str | None = None
    """where TFDS keeps its data sets (default: as in the run)"""
    seed: int = 0
    """of the samples, and of the choice of real images"""
    live: bool = False
    """the generator as it is, not its average"""
    truncation: float | None = None
    """keep the noise of the samples within so many standard deviations (biggan)"""

    titled: ClassVar[tuple[str, ...]] = ()  # fields of the protocol that the title of a table says in its own way

    def open(self):
        """(Run, model, Evaluation)."""
        metrics.plausible(self.count, self.seed)  # before an extractor is trained
        run = runs.Run(self.run)
        game = zoo.load(run, self.checkpoint)
        self.check(game)
        if self.live and not game.draws:
            raise UserError("--live: what this run's model measures of itself is of its averaged networks; leave it out")
        truncated(game, self.truncation)
        options = run.record.get("options") or {}
        name, folder = self.data or run.record["data"]["name"], self.data_dir or options.get("data_dir")
        source = data.open(name, folder, game.config.image_shape, type(game).batch_keys)
        extractor, split = self.seen_by(source, game, options)
        if (examples := run.record["data"].get("examples")) and not self.data:
            source = source.few(examples, game.config.seed)
        source = game.prepare(game.config, source)
        return run, game, metrics.Evaluation(source, extractor, self.count, split, self.seed, self.live, self.truncation, progress)

    def check(self, game):
        """Raises UserError where the model does not do what is measured."""
        drawing(game, type(self).__name__.lower())

    def told(self, run, game, evaluation, found):
        """Prints an analysis' table with its protocol, and keeps both and a plot in a folder of the run's."""
        title, header, rows = found.table()
        folder, name = self.out or run.folder / self.folder, type(found).__name__.lower()
        fields = evaluation.protocol(game.compute_dtype).items()
        protocol = results.spoken({field: value for field, value in fields if field not in self.titled})
        text = f"{title}\n{results.table(header, rows)}\n{run.folder}, checkpoint {self.checkpoint} (round {game.played:,}); {protocol}\n"
        with runs.writing(run):
            found.plot(folder / f"{name}.png")
            (folder / f"{name}.txt").write_text(text)
        print(f"{text}drawn in {folder / name}.png\n")

    def seen_by(self, source, game, options):
        """(Extractor or None, split or None)."""
        return None, None


@dataclasses.dataclass(frozen=True)
class Scored(Measured):
    """What a measurement by an extractor's features is told as well."""

    extractor: str | None = None
    """what the scores see by: classifier[:SEED], rotations, inception[:FILE], keras:NETWORK (default: as in the run)"""
    split: str | None = None
    """of the real images (default: test, where there is one)"""

    def seen_by(self, source, game, options):
        if not game.reads:
            return None, self.split
        extractor = metrics.extractors.open(self.extractor or options.get("extractor") or "classifier", source.pictures())
        print(f"{extractor.name}: {extractor.about}")
        return extractor, self.split


@dataclasses.dataclass(frozen=True)
class Evaluate(Scored):
    """scores of a run's samples against real images, with their protocol; kept in its metrics.jsonl"""

    metrics: tuple[str, ...] | None = None
    """some of: frechet (fid), kid, inception_score, precision, recall, density, coverage, class_accuracy, ms_ssim, swd, memorisation
    or what the model measures of itself (default: all that the model, the data and the extractor have)"""

    def __call__(self):
        run, game, evaluation = self.open()
        asked, say = self.metrics, None
        if asked is None:
            asked = [*evaluation.possible(game, metrics.METRICS), *game.measures]
            say = lambda text: print(text, file=sys.stderr)  # noqa: E731
        scores, protocol = evaluation.all(game, asked, say), evaluation.protocol(game.compute_dtype, game.draws)
        if not scores:
            raise UserError(f"{evaluation.source.name} does not allow to measure {', '.join(asked)}; without --metrics: what it allows")
        sampled = [name for name in asked if name in metrics.METRICS]
        real, which = evaluation.reference(sampled) if sampled else ({}, f"{protocol['real_images']:,} of the {evaluation.split} split")
        rows = [[name, f"{value:.4g}", f"{real[name]:.4g}" if name in real else ""] for name, value in scores.items()]
        print(f"{run.folder}, checkpoint {self.checkpoint} (round {game.played:,})")
        print(results.table(["score", "model", "real"] if real else ["score", "model"], rows if real else [row[:2] for row in rows]))
        print(f"real: {which}\n\nprotocol")
        for name, value in protocol.items():
            print(f"  {name} = {value}")
        with runs.writing(run):
            run.append_scores(game.played, self.checkpoint, scores, protocol)
            summaries.evaluated(run.folder, game.played, self.checkpoint, scores, protocol)
            card.renew(run, registry.entry(run.record["model"]), game)
        print(f"\nwritten to {run.folder / 'metrics.jsonl'} and {run.folder / 'README.md'}")

    def check(self, game):
        for name in self.metrics or ():
            metrics.known(name, game.measures)
        if set(self.metrics or ()) - set(game.measures):
            super().check(game)


@dataclasses.dataclass(frozen=True)
class Analyse(Scored):
    """ACGAN's two analyses (classes by resolution, variety within them) and the samples' nearest training images: tables and plots"""

    folder: ClassVar[str] = "analysis"
    out: Path | None = None
    """folder of the tables and plots (default: analysis/ in the run's)"""

    def __call__(self):
        run, game, evaluation = self.open()
        fake, done = evaluation.samples(game), 0
        for analysis in (metrics.analyses.discriminability, metrics.analyses.diversity, metrics.analyses.neighbours):
            try:
                found = analysis(evaluation, game, fake)
            except UserError as error:
                print(f"{analysis.__name__} is left out: {error}\n", file=sys.stderr)
            else:
                self.told(run, game, evaluation, found)
                done += 1
        if not done:
            raise UserError("no analysis could be made: see above")


@dataclasses.dataclass(frozen=True)
class Usefulness(Measured):
    """what samples are good for: a classifier trained on them, and one of few real images with them added"""

    sizes: tuple[int, ...] | None = None
    """numbers of real images that samples are added to (default: 100, 500 and 2,000, where there are as many)"""
    repeats: int = 3
    """trainings of each kind"""
    updates: int = 1000
    """of each classifier, of 128 images each"""
    folder: ClassVar[str] = "usefulness"
    titled: ClassVar[tuple[str, ...]] = ("real_images", "fake_images", "extractor", "extractor_sha256", "resizing")
    out: Path | None = None
    """folder of the tables and plots (default: usefulness/ in the run's)"""

    def __call__(self):
        if self.repeats < 1:
            raise UserError(f"--repeats {self.repeats}: at least 1")
        if wrong := [size for size in self.sizes or () if size < 1]:
            raise UserError(f"--sizes {wrong[0]}: at least 1")
        run, game, evaluation = self.open()
        most = evaluation.source.sizes["train"]
        if wrong := [size for size in self.sizes or () if size > most]:
            raise UserError(f"--sizes {wrong[0]}: {evaluation.source.name} has {most} to learn from")
        self.told(run, game, evaluation, metrics.analyses.gan_train_test(evaluation, game, updates=self.updates))
        found = metrics.analyses.augmentation(evaluation, game, self.sizes, repeats=self.repeats, updates=self.updates)
        self.told(run, game, evaluation, found)


def drawing(game, what):
    """Raises UserError where a model makes no images of noise."""
    if not game.draws:
        raise UserError(
            f"zoo {what}: this run's model makes images of other images, not of noise: python -m zoo {results.tool(game.exports())} RUN "
            f"PICTURE OUT.png; what it measures of itself ({', '.join(game.measures)}): python -m zoo evaluate RUN"
        )


def truncated(game, limit):
    """Raises UserError where a model's noise cannot be kept within a limit."""
    if limit is not None and not 0 < limit < float("inf"):
        raise UserError(f"--truncation {limit}: must be more than 0; 0.5 is strong, 2 weak, none is without it")
    if limit is not None and not game.truncates:
        raise UserError("--truncation: this run's model was not made for it; leave it out (biggan was)")


@dataclasses.dataclass(frozen=True)
class Compare:
    """several runs side by side: one table, one picture; scores of one protocol only"""

    run: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """the runs' folders"""
    score: str | None = None
    """the score that is drawn (default: frechet)"""
    count: int | None = None
    """of the protocols that all runs share, the one with so many samples (default: with the most)"""
    format: Literal["terminal", "markdown", "csv"] = "terminal"
    """of the table"""
    out: Path = Path("compare.png")
    """the picture"""

    def __call__(self):
        comparison = compare.Comparison(map(runs.Run, self.run), self.score, self.count)
        compare.draw(comparison, self.out)
        print(compare.FORMATS[self.format](comparison), end="")
        if self.format == "terminal":
            print(f"drawn in {self.out}")


@dataclasses.dataclass(frozen=True)
class Picture:
    """What every change of a picture is told."""

    run: Folder
    """the run's folder"""
    picture: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")]
    """the picture's file"""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """the PNG that is written"""
    checkpoint: str = "last"
    """`last`, `best`, or a round"""

    def open(self):
        if self.out.suffix.lower() != ".png":
            raise UserError(f"{self.out}: a picture is written as PNG; give a name that ends in .png")
        return zoo.load(self.run, self.checkpoint)

    def read(self, channels):
        """uint8 [h, w, channels]."""
        try:
            pixels = pictures.whole(self.picture, channels)
        except pictures.FAULTS as error:
            raise UserError(f"{self.picture} cannot be read as a picture: {getattr(error, 'strerror', None) or error}") from None
        height, width = pixels.shape[:2]
        if min(height, width) < SMALLEST:
            raise UserError(f"{self.picture} has {width}x{height} pixels; at least {SMALLEST}x{SMALLEST} are needed")
        return pixels

    def write(self, pixels, said):
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            callbacks.save_png(self.out, pixels)
        except OSError as error:
            raise UserError(f"{self.out} cannot be written: {error}") from None
        print(f"{said} in {self.out}")


@dataclasses.dataclass(frozen=True)
class Upscale(Picture):
    """a picture of any size, enlarged by a super-resolution run"""

    def __call__(self):
        game = self.open()
        if not hasattr(game, "enlarged"):
            raise UserError("zoo upscale: this run's model enlarges no pictures; srresnet and srgan do")
        pixels = self.read(game.config.image_shape[-1])
        made = game.enlarged(pixels)
        self.write(made, f"{pixels.shape[1]}x{pixels.shape[0]} pixels made {made.shape[1]}x{made.shape[0]}")


@dataclasses.dataclass(frozen=True)
class Translate(Picture):
    """a picture made another: of the other domain (cyclegan, pix2pix), turned (drgan), reconstructed (autoencoder, vae)"""

    by: str | None = None
    """the signature, where a model has several: to_y, to_x (default: the first)"""
    pose: tuple[str, ...] | None = None
    """the poses that are asked for, twelve a row, by name, or by number where they have none (default: all of them); for drgan"""
    seed: int | None = None
    """of the noise, for pix2pix (default: 0)"""

    def __call__(self):
        game = self.open()
        offered = game.exports()
        ways = [name for name in offered if f"{name}_png" in offered]
        if not ways:
            raise UserError("zoo translate: this run's model makes no pictures of others; cyclegan, pix2pix, drgan, autoencoder and vae do")
        way = self.by or ways[0]
        if way not in ways:
            raise UserError(f"--by {self.by}: this run's model translates by {' and '.join(ways)}")
        _, (image, *others) = offered[way]
        wanted = {spec.name for spec in others}
        for name in ("pose", "seed"):
            if getattr(self, name) is not None and name not in wanted:
                raise UserError(f"--{name}: {way} of this run's model takes no {name}; leave it out")
        asked = {"pose": self.poses(game) if "pose" in wanted else [0], "seed": [self.seed or 0]}
        pixels = self.read(image.shape[-1])
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        if image.shape[1] is not None and pixels.shape != tuple(image.shape[1:]):
            pixels = data.resized(pixels, tuple(image.shape[1:]))
            size += f", cut to its middle and resized to {pixels.shape[1]}x{pixels.shape[0]}"
        given = tf.repeat(tf.cast(pixels, tf.float32)[None] / 255, len(asked["pose"]), axis=0)
        made = game.serve(way, image=given, **{name: asked[name] for name in wanted})["image"].numpy()
        self.write(callbacks.grid(made, min(len(made), COLUMNS)), f"{self.picture} ({size}) by {way}")

    def poses(self, game):
        """Numbers of the poses that are asked for."""
        numbers = range(game.config.num_poses)
        names = runs.Run(self.run).record["data"].get("pose_names") or list(map(str, numbers))
        if wrong := [name for name in self.pose or () if name not in names]:
            raise UserError(f"--pose {wrong[0]}: this run's poses are {', '.join(names)}")
        return [names.index(name) for name in self.pose] if self.pose else list(numbers)


def progress(what):
    """A bar on stderr around a loop, with a name."""
    return lambda loop: tqdm(loop, what, leave=False, disable=None)


COMMANDS = (List, Generate, Translate, Upscale, Evaluate, Compare, Analyse, Usefulness, Export)


def main(argv=None):
    """One of the commands, from the command line; returns the exit status."""
    command.chosen(COMMANDS, sys.argv[1:] if argv is None else argv, "zoo", __doc__)()
    return 0


def script():
    """The installed `zoo`."""
    command.run(main, "zoo")


if __name__ == "__main__":
    script()
