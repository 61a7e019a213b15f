"""Trains and scores every model on real data, and writes benchmarks/results.md with a row for each model.

All runs are shown the same number of images and are scored with the same feature extractor (benchmarks/extractors), which has no part in
their training; a second one, trained with another seed, confirms the scores. The benchmark can be interrupted at any moment: started again,
it continues. A row counts as long as the model has the preset that the row was made with. After a change of the code behind it, delete the
row and its run.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance import describe_machine, preset_digest
from results_page import REAL, Row, append_row, describe_shape, grid_path, read_rows, write_page
from tqdm import tqdm

from zoo import registry
from zoo.cli import parsing
from zoo.errors import UserError
from zoo.runs import Run, append_scores, export_versions, latest_grid, load_model
from zoo.runs.naming import slug
from zoo.runs.scores import score_fields
from zoo.training import runtime

if TYPE_CHECKING:
    from zoo.data import Source
    from zoo.metrics import Evaluation

HERE = Path(__file__).parent
EVALUATIONS = 8  # during training; each scores 1,000 samples to select the best checkpoint
DIVERGED = 3  # exit status of train.py
EXTRACTOR_SEEDS = (0, 1)
METRICS = ("frechet", "kid", "precision", "recall", "class_accuracy")


@dataclasses.dataclass(frozen=True)
class Options:
    models: tuple[str, ...] = ("gan", "dcgan", "cgan", "acgan")
    """models to train; the rows of other models stay as they are"""
    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    """TFDS datasets with a `test` split and class labels"""
    seeds: int = 3
    """runs of each model on the first dataset; there is one on each of the others"""
    images: int = 500_000
    """training images that each run is shown"""
    image_shape: tuple[int, int, int] | None = None
    """resize the images, for models that need other sizes than the data's; gives a table of its own"""
    count: int = 10_000
    """samples that are scored at the end"""
    data_dir: str | None = None
    """folder of TFDS datasets"""
    runs: Path = Path("runs/quality")
    """folder of the runs"""
    results: Path = HERE / "results.jsonl"
    """file with a line for each finished run; the page is generated from it, next to it as .md"""
    extractors: Path = HERE / "extractors"
    """folder of the two classifiers of each dataset; trained if missing"""
    grids: Path = HERE.parent / "docs" / "quality"
    """folder for the last sample grid of seed 0 of each model"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "quality.py", __doc__)
    runtime.configure()
    from zoo import data  # imports TensorFlow

    for model in options.models:
        registry.get_entry(model)
    sources = {name: data.open_source(name, options.data_dir, options.image_shape, ("image", "label")) for name in options.data}
    for source in sources.values():
        score_real_images(options, source)
    write_page(options.results, options.grids)
    planned = [  # every model once before any model a second time
        (name, model, seed)
        for seed in range(options.seeds)
        for name in options.data
        for model in options.models
        if seed == 0 or name == options.data[0]
    ]
    progress = tqdm(planned, "runs", disable=None)
    for name, model, seed in progress:
        progress.set_postfix_str(f"{model} on {name}, seed {seed}")
        if not read_rows(options.results, **row_key(options, name, model, seed), preset=preset_digest(model)):
            append_row(options.results, train_and_evaluate(options, sources[name], model, seed))
        write_page(options.results, options.grids)
    print(options.results.with_suffix(".md").read_text(encoding="utf-8"))
    return 0


def row_key(options: Options, data_name: str, model: str, seed: int) -> Row:
    """The fields that identify a row."""
    shape = list(options.image_shape) if options.image_shape else None
    return {"data": data_name, "image_shape": shape, "model": model, "seed": seed, "images": options.images, "count": options.count}


def find_extractors(options: Options, source: Source) -> list[str]:
    """The two feature extractors of a dataset, as `--feature-extractor` takes them; those that are missing are trained."""
    from zoo.metrics.extractors import load_classifier

    names = []
    for seed in EXTRACTOR_SEEDS:
        path = options.extractors / f"{slug(source.name)}-{seed}.keras"
        if not path.exists():
            with tempfile.TemporaryDirectory() as folder:
                load_classifier(source, seed, folder)
                options.extractors.mkdir(parents=True, exist_ok=True)
                (trained,) = Path(folder).glob("*.keras")
                for suffix in (".json", ".keras"):
                    shutil.copy(trained.with_suffix(suffix), path.with_suffix(suffix))
        names.append(f"file:{os.path.relpath(path, HERE.parent)}")
    return names


# -- scores -------------------------------------------------------------------------------------------------------------


def build_evaluations(options: Options, source: Source, names: Iterable[str]) -> list[Evaluation]:
    """An evaluation for each feature extractor."""
    from zoo.metrics import Evaluation
    from zoo.metrics.extractors import load_extractor

    return [Evaluation(source, load_extractor(name, source), options.count) for name in names]


def score_real_images(options: Options, source: Source) -> None:
    """Adds the row of real images in place of samples, if it is missing."""
    key = row_key(options, source.name, REAL, 0)
    if read_rows(options.results, **key):
        return
    results = {}
    for evaluation in build_evaluations(options, source, find_extractors(options, source)):
        scores, _ = evaluation.reference(METRICS)
        protocol = evaluation.protocol("float32")  # as the models that `load_model` returns
        results[protocol.extractor] = score_fields(scores, protocol)
    append_row(options.results, {**key, "last": results})


def evaluate_checkpoint(run: Run, checkpoint: str, evaluations: Iterable[Evaluation]) -> dict[str, Any]:
    """Scores and protocol of a checkpoint by each feature extractor; they are also added to the run."""
    model: Any = load_model(run, checkpoint)
    samples, results = None, {}
    for evaluation in evaluations:
        samples = samples.with_extractor(evaluation.extractor) if samples else evaluation.generate_samples(model)
        scores = evaluation.scores(samples, evaluation.available_metrics(model, METRICS))
        protocol = evaluation.protocol(model.compute_dtype)
        append_scores(run.folder, model.completed_steps, checkpoint, scores, protocol, run.rows())
        results[protocol.extractor] = score_fields(scores, protocol)
    return results


# -- training -----------------------------------------------------------------------------------------------------------


def train_and_evaluate(options: Options, source: Source, model: str, seed: int) -> Row:
    """Trains a model, or resumes its run, evaluates its last and its best checkpoint, and returns the row."""
    key = {**row_key(options, source.name, model, seed), "preset": preset_digest(model)}
    extractors = find_extractors(options, source)
    folder = run_folder(options, key)
    command, steps = training_command(options, source.name, model, seed, extractors[0])
    if not train(command, options.data_dir, folder, folder / "export" / model):
        return {**key, "command": f"python {' '.join(command)}", "diverged": True, "last": {}}
    run = Run(folder)
    evaluations = build_evaluations(options, source, extractors)
    results = {"last": evaluate_checkpoint(run, "last", evaluations)}
    if best := run.best():
        results["best"] = results["last"] if best.step == steps else evaluate_checkpoint(run, "best", evaluations)
    if seed == 0:
        copy_grid(run, grid_path(options.grids, key))
    rows = run.evaluations()
    return {
        **key,
        "parameters": run.record.parameters,
        "seconds": rows[-1]["seconds"],
        "images_per_second": statistics.median(row["images_per_second"] for row in rows),
        "command": f"python {' '.join(command)}",
        "precision": run.record.precision,
        "versions": run.record.versions,
        "machine": describe_machine(),
        **results,
    }


def run_folder(options: Options, key: Row) -> Path:
    """The folder of a row's run."""
    words = [key["model"], key["data"], *describe_shape(key), str(key["images"]), key["preset"], f"seed{key['seed']}"]
    return (options.runs / "-".join(words)).resolve()


def training_command(options: Options, data_name: str, model: str, seed: int, extractor: str) -> tuple[list[str], int]:
    """The command that trains a model, as the page lists it, and its number of steps."""
    config = registry.get_entry(model).config
    steps = options.images // (config.batch_size * config.discriminator_steps)
    command = ["train.py", "--model", model, "--data", data_name, "--steps", str(steps), "--eval-every", str(-(-steps // EVALUATIONS))]
    command += ["--seed", str(seed), "--feature-extractor", extractor]
    if options.image_shape:
        command += ["--image-shape", *map(str, options.image_shape)]
    return command, steps


def train(command: Sequence[str], data_dir: str | None, folder: Path, export_folder: Path) -> bool:
    """Trains, or continues a run that was interrupted; returns False if the training diverged."""
    if not (folder / "config.json").exists():
        location = ["--data-dir", os.path.abspath(os.path.expanduser(data_dir))] if data_dir else []
        return run_python(*command, *location, "--run-dir", str(folder))
    return True if export_versions(export_folder) else run_python("train.py", "--resume", str(folder))


def run_python(*arguments: str) -> bool:
    """Runs Python in the top folder of the project; returns False if a training diverged.

    Raises:
        UserError: The command failed in another way.
    """
    status = subprocess.run([sys.executable, *arguments], cwd=HERE.parent).returncode
    if status not in (0, DIVERGED):
        raise UserError(f"`python {' '.join(arguments)}` ended with status {status}; start the benchmark again to continue")
    return status == 0


def copy_grid(run: Run, path: Path) -> None:
    """Copies the last sample grid of a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if grid := latest_grid(run):
        shutil.copy(grid, path)


if __name__ == "__main__":
    parsing.run(main, "quality.py")
