"""Trains the pretrained models of this package by their recipes, scores and publishes them, and writes docs/pretrained.md.

    python benchmarks/pretrain.py acgan-mnist --data-dir ~/tensorflow_datasets
    python benchmarks/pretrain.py --folders ~/pictures        # all of them; see benchmarks/fruits.py for the folders

Each model is trained with the command of its recipe, seed and number of images included, scored with 10,000 samples by two feature
extractors that had no part in its training, and written to zoo/pretrained/models/NAME. An interrupted training continues when the script is
started again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from provenance import describe_machine, preset_digest
from quality import Options as Quality
from quality import build_evaluations, evaluate_checkpoint, find_extractors, train
from recipes import RECIPES, Recipe
from rows import merge_rows, write_rows

from zoo import registry
from zoo.cli import parsing
from zoo.cli.publish import Publish
from zoo.errors import UserError, option_name
from zoo.pretrained.published import SHIPPED
from zoo.reports import markdown
from zoo.runs import Run, format_score
from zoo.training import runtime

TOP = Path(__file__).parents[1]
EVALUATIONS = 12  # during training; each selects the best checkpoint
SELECTION = ("--feature-extractor", "classifier:2")  # of the best checkpoint; the extractors of the scores have other seeds
MAX_FILE, MAX_TOTAL = 8e6, 60e6  # bytes of a file of weights, and of all of them


@dataclasses.dataclass(frozen=True)
class Options:
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """models to make; if omitted, all that are missing"""
    data_dir: str | None = None
    """folder of TFDS datasets"""
    folders: Path | None = None
    """folder with the folders of images"""
    runs: Path = Path("runs/pretrained")
    """folder of the runs"""
    count: int = 10_000
    """samples that are scored"""
    models: Path = SHIPPED
    """folder of the published models"""
    extractors: Path = TOP / "benchmarks" / "extractors"
    """folder of the two classifiers of each dataset; trained if missing"""
    rows: Path = TOP / "docs" / "pretrained.jsonl"
    """file with a line for each model; the page is generated from it, next to it as .md"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "pretrain.py", __doc__)
    runtime.configure()
    for name in options.names:
        if name not in RECIPES:
            raise UserError(f"there is no recipe for {name}. Available: {', '.join(RECIPES)}")
    for name in options.names or [name for name in RECIPES if not (options.models / name / "manifest.json").exists()]:
        row = make(options, name, RECIPES[name])
        made = {one["name"]: one for one in merge_rows(options.rows, [row], ["name"]).values()}
        rows = [made[name] for name in RECIPES if name in made]
        write_rows(options.rows, rows, write_page(rows, options.rows.stem))
    check_sizes(options.models)
    return 0


def training_command(options: Options, recipe: Recipe) -> list[str]:
    """The command of a recipe."""
    config = registry.get_entry(recipe.model).config
    words = shlex.split(recipe.options)
    steps = recipe.images
    for field in ("batch_size", "discriminator_steps"):
        steps //= int(words[words.index(option_name(field)) + 1]) if option_name(field) in words else getattr(config, field)
    data = recipe.data
    if data.startswith("folder:"):
        if options.folders is None:
            raise UserError(f"{recipe.data} needs the folder that contains it: --folders FOLDER")
        data = f"folder:{(options.folders / data.removeprefix('folder:')).expanduser().resolve()}"
    if "--init-from" in words and options.models != SHIPPED:  # another pretrained model, which has no name elsewhere
        position = words.index("--init-from") + 1
        words[position] = str((options.models / words[position]).resolve())
    length = ["--steps", str(steps), "--eval-every", str(-(-steps // EVALUATIONS))]
    return ["train.py", "--model", recipe.model, "--data", data, *words, *length, "--seed", "0", *SELECTION]


def make(options: Options, name: str, recipe: Recipe) -> dict[str, Any]:
    """Trains, scores and publishes a model; returns its row."""
    command = training_command(options, recipe)
    digest = hashlib.sha256(repr((recipe.model, recipe.data, recipe.images, recipe.options, preset_digest(recipe.model))).encode())
    folder = (options.runs / f"{name}-{digest.hexdigest()[:8]}").resolve()  # a run of another recipe is not continued
    if not train(command, options.data_dir, folder, folder / "export" / recipe.model):
        raise UserError(f"{name}: the training diverged")
    run = Run(folder)
    scores = evaluate(options, recipe, run)
    target = options.models / name
    shutil.rmtree(target, ignore_errors=True)
    publish = Publish(folder, summary=recipe.summary, license=recipe.license, attribution=recipe.attribution, limit=recipe.limits)
    manifest = dataclasses.replace(publish, checkpoint=recipe.checkpoint).write(run, target, name, name).manifest
    grids = options.rows.with_suffix("")
    grids.mkdir(parents=True, exist_ok=True)
    if (target / "samples.png").exists():
        shutil.copyfile(target / "samples.png", grids / f"{name}.png")
    seconds = run.evaluations()[-1]["seconds"]
    return {
        "name": name,
        "model": recipe.model,
        "data": recipe.data,
        "license": manifest.license,
        "bytes": manifest.total_bytes(),
        "images": recipe.images,
        "minutes": round(seconds / 60, 1),
        "command": manifest.record.command.splitlines()[0],
        "checkpoint": recipe.checkpoint,
        "scores": scores,
        "machine": describe_machine(),
        "precision": run.record.precision,
        "tensorflow": run.record.versions["tensorflow"],
        "date": run.record.created[:10],
    }


def evaluate(options: Options, recipe: Recipe, run: Run) -> dict[str, Any]:
    """The scores of the last and the best checkpoint: by two feature extractors, and those of the model's own metrics."""
    from zoo import data

    model, best = registry.get_entry(recipe.model).model, run.best()
    steps = {"last": run.completed_steps(), **({"best": best.step} if best else {})}
    rows = {row["step"]: row.get("scores", {}) for row in run.evaluations()}
    scores: dict[str, Any] = {which: {} for which in steps}
    if model.generates_from_noise:
        reading = data.Reading.from_options(run.record.options)
        shape = run.record.config["image_shape"]
        source = data.open_source(run.record.data.name, options.data_dir, shape, ("image",), True, None, reading)
        quality = Quality(data_dir=options.data_dir, extractors=options.extractors, count=options.count)
        evaluations = build_evaluations(quality, source, find_extractors(quality, source))
        for which, step in steps.items():
            is_scored = which == "best" and step == steps["last"]
            scores[which] = dict(scores["last"]) if is_scored else evaluate_checkpoint(run, which, evaluations)
    for which, step in steps.items():
        own = {name: value for name, value in rows[step].items() if any(metric.includes(name) for metric in model.own_metrics)}
        scores[which] |= {"own": {"scores": own}} if own else {}
    return scores


def check_sizes(models: Path) -> None:
    """Raises UserError if a file of weights, or all of them, are too large for the package."""
    sizes = {path: path.stat().st_size for path in models.glob("*/*.safetensors")}
    for path, size in sizes.items():
        if size > MAX_FILE:
            raise UserError(f"{path} has {size / 1e6:.1f} MB; at most {MAX_FILE / 1e6:.0f}")
    if sum(sizes.values()) > MAX_TOTAL:
        raise UserError(f"{models} has {sum(sizes.values()) / 1e6:.1f} MB of weights; at most {MAX_TOTAL / 1e6:.0f}")


INTRODUCTION = """# Pretrained models

```sh
zoo list --pretrained
zoo generate acgan-mnist --label 3 --count 64 --out threes.png
```

```python
import zoo

model = zoo.load("acgan-mnist")
```

Generated by `python benchmarks/pretrain.py`, which trains each model with the command below, scores and publishes it. Models that generate
from noise are scored with 10,000 samples by two feature extractors that had no part in training; their Fréchet distances can be compared
with those in [one table](../benchmarks/results.md). The machine ran other jobs beside the trainings, so most took more minutes than they
need. Every model has a card beside its weights, with the license of its data.
"""


def write_page(rows: list[dict[str, Any]], grids: str) -> str:
    """The page: a table, then the grid of each model, from a folder beside the page, and its command."""
    header = ["name", "model", "data", "license", "MB", "scores: last", "scores: best", "minutes"]
    cells = [
        [
            f"`{row['name']}`",
            f"`{row['model']}`",
            markdown.escape(row["data"]),
            row["license"],
            f"{row['bytes'] / 1e6:.1f}",
            *(describe_scores(row["scores"].get(which)) for which in ("last", "best")),
            f"{row['minutes']:g}",
        ]
        for row in rows
    ]
    parts = [INTRODUCTION, markdown.table(header, cells)]
    for row in rows:
        recipe = RECIPES[row["name"]]
        machine = ", ".join([row["machine"], row["precision"], f"TensorFlow {row['tensorflow']}", row["date"]])
        parts += [
            f"## {row['name']}",
            f"{markdown.escape(recipe.summary[0].upper() + recipe.summary[1:])}. {' '.join(map(markdown.escape, recipe.limits))}".strip(),
            f"![{row['name']}]({grids}/{row['name']}.png)",
            markdown.code_block("sh", row["command"]),
            f"{row['minutes']:g} minutes, {row['images']:,} images; {machine}. Published: the {row['checkpoint']} checkpoint.",
        ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def describe_scores(scores: dict[str, Any] | None) -> str:
    """Scores by each extractor: `frechet 0.95 / 0.97, recall 0.90 / 0.91`."""
    if not scores:
        return "–"
    values: dict[str, list[float]] = {}
    for one in scores.values():
        for name, value in one["scores"].items():
            values.setdefault(name, []).append(value)
    return ", ".join(f"{name.replace('_', ' ')} {' / '.join(map(format_score, given))}" for name, given in values.items())


if __name__ == "__main__":
    parsing.run(main, "pretrain.py")
