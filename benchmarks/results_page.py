"""The results of `quality.py`: a line of JSON for each finished run, and the page that is generated from them."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from provenance import preset_digest

from zoo.files import write_text
from zoo.types import Protocol

Row = dict[str, Any]
Protocols = tuple[Protocol, ...]  # of the first and the second feature extractor
REAL = "real"  # the "model" of a row of real images

COLUMNS = (
    "model",
    "runs",
    "parameters G / D",
    "Fréchet ↓ best",
    "Fréchet ↓ last",
    "Fréchet ↓ last, second extractor",
    "KID x1000 ↓",
    "precision ↑",
    "recall ↑",
    "class accuracy ↑",
    "class accuracy ↑ second extractor",
    "seconds",
)
CELLS = (  # of the columns from the first Fréchet distance on: checkpoint, number of the extractor, score, format, factor
    ("best", 0, "frechet", ".2f", 1),
    ("last", 0, "frechet", ".2f", 1),
    ("last", 1, "frechet", ".2f", 1),
    ("last", 0, "kid", ".1f", 1000),
    ("last", 0, "precision", ".3f", 1),
    ("last", 0, "recall", ".3f", 1),
    ("last", 0, "class_accuracy", ".2%", 1),
    ("last", 1, "class_accuracy", ".2%", 1),
)

INTRODUCTION = """# Models on real data

Made by `python benchmarks/quality.py`, which trains each model with the command below its table, and scores the last checkpoint and the
best one (selected at eight evaluations by 1,000 samples) with two feature extractors:
`zoo evaluate RUN --feature-extractor file:benchmarks/extractors/NAME.keras`. Neither takes part in the training; the second was trained
with another seed.

Values are means ± standard deviations over seeds. All columns except "best" are scores of the last checkpoint. Seconds include training,
evaluations and scores. For real images, as many images of the train split replace the samples; their class accuracy is that of the test
split.

`gan` trails `dcgan` because its networks are perceptrons, as in its paper, which do not know which pixels are neighbors; on Fashion-MNIST
its samples lack diversity (recall). The class accuracy of `cgan` on MNIST was expected to be 99.5 %, and is 99.25 to 99.60 % depending on
the seed, about that of real images; a linear decay of the learning rates lowered its Fréchet distance to 1.01, but its class accuracy to
99.14 %, and a longer moving average did not help.

`autoencoder` is a negative example: its codes are not normally distributed. `wgan` and `wgan_gp` spend most of the images on their
critics, and update the generator a fifth and a third as often as `dcgan`. The samples of `infogan` lack diversity (recall). `sgan` learns
slowly: after 40,000 steps with a hundred labels its Fréchet distance is 58, on 1,000 samples. `r3gan` improves to the end; a tenth and a
hundredth of its penalty brought the distance on the built-in digits to 85 and 92 instead of 76, after 900 steps. `sngan_projection` loses
diversity after its best evaluation on MNIST. `sngan` starts late with one of three seeds: it is at 22.8, and still falling, where the
others are at 9.5 and 7.8.
"""


# -- rows ---------------------------------------------------------------------------------------------------------------


def read_rows(path: Path, **values: Any) -> list[Row]:
    """The rows of a file, or those with these values; a missing field counts as None."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):  # truncated when the benchmark was killed
            rows.append(json.loads(line))
    return [row for row in rows if all(row.get(name) == value for name, value in values.items())]


def append_row(path: Path, row: Row) -> None:
    """Adds a row to a file."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def describe_shape(row: Row) -> list[str]:
    """The size that the images of a row were resized to, as one word; nothing if they keep their own."""
    return ["x".join(map(str, row["image_shape"]))] if row.get("image_shape") else []


def grid_path(folder: Path, row: Row) -> Path:
    """Where the sample grid of a row's model is."""
    return folder / f"{'-'.join([row['model'], row['data'], *describe_shape(row), str(row['images'])])}.png"


# -- the page -----------------------------------------------------------------------------------------------------------


def write_page(path: Path, grids: Path) -> None:
    """Writes the page of a file of rows, next to it as .md.

    There is a table for each protocol, because only scores of the same protocol are comparable. Rows of outdated presets are left out.
    """
    rows = [row for row in read_rows(path) if row["model"] == REAL or row["preset"] == preset_digest(row["model"])]
    protocols: dict[tuple[Any, ...], Protocols] = {}  # by data and size: runs that diverged have no scores, and so no protocol
    tables: dict[tuple[Protocols, int], list[Row]] = {}
    for row in rows:
        images = row["data"], *(row.get("image_shape") or ())
        if row["last"]:
            protocols[images] = tuple(Protocol.from_dict(result["protocol"]) for result in row["last"].values())
        tables.setdefault((protocols[images], row["images"]), []).append(row)
    lines = [INTRODUCTION]
    for (table_protocols, _), table_rows in tables.items():
        lines += format_section(table_protocols, table_rows, path.parent, grids)
    write_text(path.with_suffix(".md"), "\n".join(lines) + "\n")


def format_section(protocols: Protocols, rows: Sequence[Row], folder: Path, grids: Path) -> list[str]:
    """The lines about one protocol: table, sample grids, commands, protocol and machines.

    Args:
        protocols: Of the two extractors.
        rows: All rows with these protocols.
        folder: Of the page, which the links are relative to.
        grids: Folder of the sample grids.
    """
    by_model: dict[str, list[Row]] = {}
    for row in rows:
        if row["model"] != REAL:
            by_model.setdefault(row["model"], []).append(row)
    title = ", ".join([rows[0]["data"], *describe_shape(rows[0]), f"{rows[0]['images']:,} images seen"])
    paths = {model: grid_path(grids, model_rows[0]) for model, model_rows in by_model.items()}
    return [
        f"## {title}",
        "",
        format_line(COLUMNS),
        "|" + "---|" * len(COLUMNS),
        *(format_line(["real images", "", "", "", *score_cells([row])[1:], ""]) for row in rows if row["model"] == REAL),
        *(format_line(model_cells(model, model_rows)) for model, model_rows in by_model.items()),
        "",
        *(f"![{model}]({os.path.relpath(path, folder)})" for model, path in paths.items() if path.exists()),
        "",
        "Samples of the last checkpoint of seed 0, uncurated, in the order of the table. Commands:",
        "",
        *(f"- `{model_rows[0]['command']}`" for model_rows in by_model.values()),
        "",
        f"Protocol: {protocols[0].describe()}. The second extractor is {protocols[1].extractor}.",
        "",
        *format_machines(rows),
        "",
    ]


def format_line(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def model_cells(model: str, rows: Sequence[Row]) -> list[str]:
    """The cells of a model."""
    completed = [row for row in rows if not row.get("diverged")]
    diverged = len(rows) - len(completed)
    parameters = " / ".join(f"{count:,}" for count in completed[0]["parameters"].values()) if completed else ""
    seconds = f"{statistics.mean(row['seconds'] for row in completed):,.0f}" if completed else ""
    runs = f"{len(rows)}, {diverged} diverged" if diverged else f"{len(rows)}"
    return [f"`{model}`", runs, parameters, *score_cells(completed), seconds]


def score_cells(rows: Sequence[Row]) -> list[str]:
    """The cells of the scores: mean and standard deviation over the rows, empty where there are none."""
    cells = []
    for checkpoint, extractor, name, form, factor in CELLS:
        results = [list(row[checkpoint].values())[extractor] for row in rows if checkpoint in row]
        values = [factor * result["scores"][name] for result in results if name in result["scores"]]
        deviation = f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):{form}}{deviation}" if values else "")
    return cells


def format_machines(rows: Sequence[Row]) -> list[str]:
    """A line for each machine, precision and set of versions, because seconds are comparable within one of them only."""
    models: dict[str, dict[str, None]] = {}  # in the order of the rows
    for row in rows:
        if "machine" in row:
            versions = ", ".join(" ".join(pair) for pair in row["versions"].items())
            models.setdefault(f"{row['machine']}, {row['precision']}, {versions}", {})[f"`{row['model']}`"] = None
    if len(models) == 1:
        return [f"Machine: {machine}." for machine in models]
    return [f"Machine of {', '.join(names)}: {machine}." for machine, names in models.items()]
