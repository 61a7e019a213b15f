"""Trains each model that runs anywhere on its embedded data, and writes docs/gallery.md with the sample grid of each.

    python benchmarks/gallery.py                    # all that are missing, or whose preset has changed
    python benchmarks/gallery.py --models pggan     # one of them again

The seconds of a model are those of the whole command, from start to export.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provenance import describe_machine, preset_digest
from tqdm import tqdm

from zoo import registry
from zoo.cli import parsing
from zoo.errors import UserError
from zoo.files import write_text
from zoo.runs import Run, format_score, latest_grid
from zoo.training import runtime

TOP = Path(__file__).parents[1]
ORDER = (  # that of the usual lecture on the subject
    "autoencoder",
    "vae",
    "ebm",
    "gan",
    "dcgan",
    "cgan",
    "acgan",
    "sgan",
    "infogan",
    "lsgan",
    "wgan",
    "wgan_gp",
    "sngan",
    "sngan_projection",
    "sagan",
    "pggan",
    "biggan",
    "r3gan",
    "pix2pix",
    "cyclegan",
    "srresnet",
    "srgan",
    "drgan",
)
INTRODUCTION = """# Gallery

Each model as `python train.py --model NAME` trains it on its built-in data: the last sample grid of seed 0, uncurated. Made by
`python benchmarks/gallery.py`. Class-conditional models show one class per row, with the same latent vector in each column; image-to-image
models show held-out images with the model's outputs below them. Results on other data: [real.md](real.md).

Scores are those of the run's last evaluation: of 1,000 samples against the 360 held-out digits, with the digits' classifier (about 98 %
accuracy) as the feature extractor, or of the model's own metrics on held-out images. They show what to expect of the command;
[one table](../benchmarks/results.md) compares the models under one protocol.
"""


@dataclasses.dataclass(frozen=True)
class Options:
    models: tuple[str, ...] = ORDER
    """models to train; the rows of other models stay as they are"""
    rows: Path = TOP / "docs" / "gallery.jsonl"
    """file with a line for each model; the page is generated from it, next to it as .md"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "gallery.py", __doc__)
    runtime.configure()
    only_outdated = options.models == ORDER
    for name in tqdm(options.models, "models", disable=None):
        row = read_rows(options).get(name)
        if not (only_outdated and row and row["preset"] == preset_digest(name)):
            update(options, train(options, name))
    update(options)
    return 0


def train(options: Options, name: str) -> dict[str, Any]:
    """Trains a model, copies its sample grid to the folder of the page, and returns its row."""
    command = ["train.py", "--model", name]
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        status = subprocess.run([sys.executable, *command, "--run-dir", f"{folder}/run"], cwd=TOP).returncode
        if status:
            raise UserError(f"`python {' '.join(command)}` ended with status {status}")
        seconds = time.monotonic() - start
        run = Run(f"{folder}/run")
        pictures = options.rows.with_suffix("")
        pictures.mkdir(parents=True, exist_ok=True)
        if grid := latest_grid(run):
            shutil.copy(grid, pictures / f"{name}.png")
        evaluation = run.evaluations()[-1]
    return {
        "model": name,
        "preset": preset_digest(name),
        "seconds": round(seconds),
        "steps": evaluation["step"],
        "scores": evaluation["scores"],
        "protocol": evaluation["protocol"],
        "machine": describe_machine(),
    }


def read_rows(options: Options) -> dict[str, dict[str, Any]]:
    """The rows by model."""
    lines = options.rows.read_text(encoding="utf-8").splitlines() if options.rows.exists() else []
    return {row["model"]: row for row in map(json.loads, lines)}


def update(options: Options, *rows: dict[str, Any]) -> None:
    """Writes the file of rows, in which new rows replace those of the same models, and the page."""
    by_model = {**read_rows(options), **{row["model"]: row for row in rows}}
    ordered = [by_model[name] for name in sorted(by_model, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))]
    write_text(options.rows, "".join(f"{json.dumps(row)}\n" for row in ordered))
    write_text(options.rows.with_suffix(".md"), "\n".join([INTRODUCTION, *map(format_section, ordered)]))


def format_section(row: dict[str, Any]) -> str:
    """The section about a model."""
    name, entry = row["model"], registry.get_entry(row["model"])
    scores = ", ".join(f"{score} {format_score(value)}" for score, value in row["scores"].items())
    subject = "1,000 samples" if entry.model.generates_from_noise else "held-out images"
    return (
        f"## {name}\n\n{entry.paper}. {entry.summary}.\n\n![{name}](gallery/{name}.png)\n\n"
        f"`python train.py --model {name}`: {row['steps']:,} steps, {row['seconds']} seconds ({row['machine']}). "
        f"On {subject}: {scores}.\n"
    )


if __name__ == "__main__":
    parsing.run(main, "gallery.py")
