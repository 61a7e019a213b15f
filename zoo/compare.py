"""Runs side by side: one table, one picture. Scores share a column only where their whole protocols are equal."""

import csv
import dataclasses
import io
import itertools
import json
import math
import shlex
import shutil
import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoo import results
from zoo.errors import UserError, nearest
from zoo.results import Point, base, digits, measured, spoken

MAIN = ("frechet", "fid")  # the score that is drawn where none is named
FOLLOWS = {"extractor_sha256": "extractor", "resizing": "extractor", "real_images": "fake_images"}  # field of a protocol -> what decides it
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C98A00", "#3A9FD8", "#222222", "#8B5A2B")  # told apart by colour-blind people too
LINES = ("-", "--", ":")  # for the ninth run and on
WIDEST = 28  # characters of a cell in the terminal; longer ones lose their middle
PIXELS = 800  # of a grid's longer side in the picture
ASIDE = ("protocol",)  # groups of columns that are for the CSV; elsewhere a note says them once


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of the table. cells: a value, a `Point` or None for each run. best: the runs whose score is the best."""

    group: str
    title: str
    cells: list
    best: tuple = ()


class Comparison:
    """Runs, and the one protocol whose scores are compared.

    runs: `Run`s. score: the one that is drawn, `frechet` or
    `frechet[...]` (default: the Fréchet distance, else the first). count: generated images of the protocol; default: the most.
    Raises UserError: no runs, one given twice, one without scores, no protocol that all share, a score that there is not.
    """

    def __init__(self, runs, score=None, count=None):
        self.runs = list(runs)
        self.names = _names([run.folder for run in self.runs])
        self.measured = [measured(run) for run in self.runs]
        if bare := [name for name, found in zip(self.names, self.measured) if not found]:
            raise UserError(
                f"{', '.join(bare)} {'has' if len(bare) == 1 else 'have'} no scores to compare; measure: python -m zoo evaluate RUN"
            )
        self._known(score)
        self.shared = self._shared(count)
        able = [protocol for protocol in self.shared if self._full(protocol, score)]
        if not able:
            raise UserError(
                f"'{score}' was measured by no protocol that all runs share; measure it on each: "
                f"python -m zoo evaluate RUN --metrics {base(score)}"
            )
        self.protocol = able[0]
        self.score = self._full(self.protocol, score)
        # A curve wants points: the protocol of the looks has many, that of an evaluation afterwards often one.
        self.drawn = max(able, key=lambda protocol: sum(map(len, self.curves(protocol))))

    def scores(self, protocol):
        """Names of the scores that any run has under a protocol."""
        return list(dict.fromkeys(name for found in self.measured for name in found[protocol]))

    def points(self, name, protocol):
        """The points of a score, a list a run."""
        return [found[protocol].get(name, []) for found in self.measured]

    def curves(self, protocol):
        """The points of the chosen score under a protocol, a list a run."""
        return self.points(self._full(protocol, self.score), protocol)

    def best(self, name, points):
        """The best of a score's points; None where none is finite."""
        key = results.best_first(name)
        return min((point for point in points if math.isfinite(point.value)), key=lambda point: key(point.value), default=None)

    @property
    def notes(self):
        """What must be read with the table: the protocol, and which others there are."""
        chosen, drawn = json.loads(self.protocol), json.loads(self.drawn)
        notes = [f"All scores: {spoken(chosen)}."]
        counts = sorted({_images(protocol) for protocol in self.shared} - {_images(self.protocol)})
        if counts:
            notes.append(f"The runs share scores of {' and '.join(f'{n:,}' for n in counts)} images as well: --count {counts[-1]}.")
        if drawn != chosen:
            differ = {field: drawn.get(field) for field in _differing([chosen, drawn])}
            notes.append(f"The picture has more points under another protocol, and draws those: {spoken(differ)}.")
        return notes

    def _known(self, score):
        """Refuses a score that no run has."""
        names = {name for found in self.measured for scores in found.values() for name in scores}
        bases = sorted({base(name) for name in names})
        if score and score not in names and score not in bases:
            raise UserError(f"no run has a score '{score}'{nearest(score, [*bases, *sorted(names)])} There is: {', '.join(bases)}")

    def _full(self, protocol, score):
        """The name under which a protocol has a score (the default one for None), or None."""
        names = self.scores(protocol)
        if score is None:
            return next((name for name in names if base(name) in MAIN), names[0])
        return next((name for name in names if name == score), None) or next((name for name in names if base(name) == score), None)

    def _shared(self, count):
        """The protocols that all runs have, the one with the most images first."""
        shared = [protocol for protocol in self.measured[0] if all(protocol in found for found in self.measured)]
        if not shared:
            raise UserError(self._apart())
        fitting = [protocol for protocol in shared if count in (None, _images(protocol))]
        if not fitting:
            raise UserError(
                f"--count {count}: the runs share scores of {_listed(set(map(_images, shared)))} images; "
                f"measure others on each: python -m zoo evaluate RUN --count {count}"
            )
        exact = lambda protocol: json.loads(protocol).get("precision") == "float32"  # noqa: E731 -- as `evaluate` measures
        return sorted(fitting, key=lambda protocol: (_images(protocol), exact(protocol)), reverse=True)

    def _apart(self):
        """Why there is no shared protocol: the fields that differ from the one that most runs have, and what to type."""
        often = Counter(protocol for found in self.measured for protocol in found)
        wanted = json.loads(max(often, key=lambda protocol: (often[protocol], _images(protocol))))
        near = [min(map(json.loads, found), key=lambda own: len(_differing([own, wanted]))) for found in self.measured]
        fields = _differing(near)
        told = []
        for field in fields:
            who = {}
            for name, protocol in zip(self.names, near):
                who.setdefault(results.field(field, protocol.get(field)), []).append(name)
            told.append(f"{field} {' and '.join(f'{value} ({_listed(names)})' for value, names in who.items())}")
        if {"data", "image_shape"} & set(fields):
            cure = "scores against other data or at another size do not compare: leave those runs out"
        else:
            cure = f"measure each by one protocol: python -m zoo evaluate RUN --count {_images(json.dumps(wanted))}"
            cure += "".join(f" --{field} {wanted[field]}" for field in ("split", "seed") if field in fields)
        return f"the runs' scores have no protocol in common: {'; '.join(told)}; {cure}"


# -- the table ------------------------------------------------------------------------------------------------------------------------


def table(comparison):
    """The columns, in their groups: what each run is, how it went, its scores, the settings that differ."""
    records = [run.record for run in comparison.runs]
    looks = [run.looks for run in comparison.runs]
    sizes = [record.get("parameters", {}) for record in records]
    columns = [
        Column("run", "run", comparison.names),
        Column("run", "model", [record["model"] for record in records]),
        Column("run", "data", [f"{record['data']['name']} {record['data']['version']}" for record in records]),
        Column("run", "generator parameters", [size.get("generator") for size in sizes]),
        Column("run", "discriminator parameters", [size.get("discriminator") for size in sizes]),
        Column("run", "precision", [record["precision"] for record in records]),
    ]
    for title, name in (("images", "images"), ("seconds", "seconds"), ("images/s", "images_per_second")):
        columns.append(Column("went", title, [rows[-1].get(name) if rows else None for rows in looks]))
    for name in sorted(comparison.scores(comparison.protocol), key=lambda name: name != comparison.score):
        points = comparison.points(name, comparison.protocol)
        bests = [comparison.best(name, found) for found in points]
        columns.append(Column("went", f"{name} best", bests, _winners(comparison, name, bests)))
        columns.append(Column("went", f"{name} last", [found[-1] if found else None for found in points]))
    columns += [Column("settings that differ", name, values) for name, values in _differ(records)]
    return [*columns, Column("protocol", "protocol", [comparison.protocol] * len(records))]


def terminal(comparison, width=None, colour=None):
    """The table as text of `width` characters (default: the terminal's): folded into several where it is wider. `*`: the best."""
    width = max(60, width or shutil.get_terminal_size((100, 24)).columns)
    colour = sys.stdout.isatty() if colour is None else colour
    console = Console(file=io.StringIO(), width=width, force_terminal=colour, no_color=not colour, legacy_windows=False)
    first, *columns = table(comparison)
    for group in dict.fromkeys(column.group for column in columns if column.group not in ASIDE):
        for some in _folded(first, [column for column in columns if column.group == group], width):
            console.print()
            if group.startswith("settings"):
                console.print(group)
            console.print(_rich([first, *some]))
    console.print()
    for note in [*comparison.notes, *(["*: the best of the runs; @: its round."] if len(comparison.runs) > 1 else ["@: its round."])]:
        console.print(textwrap.fill(note, width, subsequent_indent="  "), markup=False, highlight=False)
    return "\n".join(line.rstrip() for line in console.file.getvalue().strip("\n").splitlines()) + "\n"


def markdown(comparison):
    """The table as one Markdown table, with its protocol below; the best scores are bold."""
    columns = [column for column in table(comparison) if column.group not in ASIDE]
    rows = [[_short(column.title) for column in columns]]
    rows.append(["---" if _is_text(column) else "---:" for column in columns])
    for i in range(len(comparison.runs)):
        cells = [_text(column.cells[i]) for column in columns]
        rows.append([f"**{cell}**" if i in column.best else cell for cell, column in zip(cells, columns)])
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"{note}\n" for note in comparison.notes)])


def table_csv(comparison):
    """The table as CSV, numbers in full: a score takes two columns, its value and its round, and a third where it has an error."""
    titles, columns = [], []
    for column in table(comparison):
        points = [cell for cell in column.cells if isinstance(cell, Point)]
        if not points:
            titles.append(column.title)
            columns.append([_plain(cell) for cell in column.cells])
            continue
        for part in ("value", "round", *(["error"] if any(point.error is not None for point in points) else [])):
            titles.append(column.title if part == "value" else f"{column.title} {part}")
            columns.append(["" if cell is None else _plain(getattr(cell, part)) for cell in column.cells])
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([titles, *zip(*columns)])
    return file.getvalue()


FORMATS = {"terminal": terminal, "markdown": markdown, "csv": table_csv}


# -- the picture ----------------------------------------------------------------------------------------------------------------------


def draw(comparison, path):
    """Writes the picture of `figure` as a PNG. Raises UserError for another kind of file, or one that cannot be written."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: the picture is a PNG; --out {shlex.quote(str(path.with_suffix('.png')))}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        results.replace(path, lambda work: figure(comparison).savefig(work, format="png", dpi=110))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from None


def figure(comparison):
    """The chosen score over images seen, a line a run with its best marked, above the runs' last grids."""
    count = len(comparison.runs)
    rows = -(-count // 4)
    columns = -(-count // rows)
    side = min(3.6, 11.4 / columns)  # inches of a grid
    whole = Figure((12, 4.8 + rows * (side + 0.55) + 0.3), layout="constrained")
    whole.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    above, below = whole.subfigures(2, 1, height_ratios=[4.8, rows * (side + 0.55) + 0.3])
    bests = _curves(comparison, above.subplots())
    below.suptitle("the last samples of each run", x=0.01, ha="left", fontsize=10)
    panels = below.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for i, (panel, run, name, best) in enumerate(zip(panels, comparison.runs, comparison.names, bests)):
        grid = _grid(run)
        if grid is None:
            panel.text(0.5, 0.5, "no samples", ha="center", va="center", color="grey", transform=panel.transAxes)
        else:
            panel.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        title = textwrap.fill(name, max(16, int(side * 11)))
        panel.set_title(f"{title}\n{_best_text(best)}", fontsize=9, color=COLOURS[i % len(COLOURS)])
    return whole


def _grid(run):
    """The newest grid of samples as a uint8 array of at most `PIXELS` a side; None where there is none."""
    if not (path := results.last_grid(run)):
        return None
    with Image.open(path) as grid:
        grid = grid.convert("L" if grid.mode == "L" else "RGB")
        grid.thumbnail((PIXELS, PIXELS))
        return np.asarray(grid)


def _curves(comparison, axes):
    """Draws the lines; returns the best point of each run, or None."""
    name, bests, values = comparison.score, [], []
    for i, (label, points) in enumerate(zip(comparison.names, comparison.curves(comparison.drawn))):
        colour, line = COLOURS[i % len(COLOURS)], LINES[i // len(COLOURS) % len(LINES)]
        points = [point for point in points if math.isfinite(point.value)]
        best = comparison.best(name, points)
        bests.append(best)
        values += [point.value for point in points]
        style = {"marker": "o", "markersize": 3.5} if len(points) <= 40 else {}
        images = [point.images for point in points]
        axes.plot(images, [point.value for point in points], line, color=colour, linewidth=1.7, label=label, **style)
        if best:
            axes.scatter(best.images, best.value, marker="*", s=190, color=colour, edgecolor="white", linewidth=0.8, zorder=3)
    if values and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    axes.set_xlim(left=0)
    axes.set_xlabel("images seen")
    axes.set_ylabel(f"{base(name)} ({results.better(name)} is better)")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, ncols=1 + len(bests) // 5)
    axes.set_title(
        f"{base(name)}, the best marked", loc="left", fontsize=12, pad=24 + 10 * (len(spoken(json.loads(comparison.drawn))) > 190)
    )
    protocol = textwrap.fill(spoken(json.loads(comparison.drawn)), 190)
    axes.annotate(protocol, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", fontsize=7, color="grey", va="bottom")
    return bests


# -- what a run's folder says ---------------------------------------------------------------------------------------------------------


def _names(folders):
    """The folders' names, with as much of their paths as tells them apart."""
    if not folders:
        raise UserError("which runs? python -m zoo compare runs/ONE runs/OTHER")
    paths = [Path(folder).resolve() for folder in folders]
    if twice := next((folder for folder, path in zip(folders, paths) if paths.count(path) > 1), None):
        raise UserError(f"{twice} is given twice; name each run once")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return [str(Path(*path.parts[-depth:])) for path in paths]


def _differ(records):
    """(name, [value a run]) of each setting that two runs have and that is not the same; what only one model has says nothing."""
    settings = []
    for record in records:
        fields = {name: value for name, value in record["config"].items() if name not in ("steps", "every")}  # their length is in `images`
        begun = {"init": record.get("options", {}).get("init"), "examples": record["data"].get("examples")}
        settings.append({**fields, **{name: record.get(name) for name in ("replicas", "xla")}, **begun})
    for name in dict.fromkeys(name for fields in settings for name in fields):
        values = [fields.get(name) for fields in settings]
        if len({json.dumps(fields[name]) for fields in settings if name in fields}) > 1:
            yield name, values


def _differing(protocols):
    """Fields in which protocols differ, without those that follow from another one of them."""
    names = dict.fromkeys(name for protocol in protocols for name in protocol)
    differ = [name for name in names if len({json.dumps(protocol.get(name)) for protocol in protocols}) > 1]
    return [name for name in differ if FOLLOWS.get(name) not in differ]


def _winners(comparison, name, cells):
    best = comparison.best(name, [cell for cell in cells if cell])
    return tuple(i for i, cell in enumerate(cells) if best and cell and cell.value == best.value) if len(cells) > 1 else ()


# -- how things are said --------------------------------------------------------------------------------------------------------------


def _images(protocol):
    """How many images a protocol (as JSON) takes: generated ones, or where it measures what is made of real ones, those."""
    fields = json.loads(protocol)
    return fields.get("fake_images") or fields.get("real_images", 0)


def _short(title):
    """A column's title without the extractor, which the protocol names."""
    return f"{base(title)} {title.rpartition(' ')[2]}" if "[" in title else title


def _text(value):
    """A cell for people."""
    if value is None:
        return "–"
    if isinstance(value, Point):
        error = "" if value.error is None else f"±{digits(value.error, 2)}"
        return f"{digits(value.value)}{error} @{value.round:,}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:g}"


def _plain(value):
    """A cell for programs."""
    return "" if value is None else " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _listed(values):
    return ", ".join(map(str, sorted(values)))


def _best_text(point):
    return "not measured" if point is None else f"best {digits(point.value)} at {point.images:,} images"


def _is_text(column):
    return not any(isinstance(cell, (int, float, Point)) for cell in column.cells)


def _cell(column, i):
    """A cell for the terminal. A long one loses its middle; a run's name is broken into lines."""
    text = _text(column.cells[i])
    if column.title == "run":
        return textwrap.fill(text, WIDEST)
    return text if len(text) <= WIDEST else f"{text[: WIDEST // 2 - 1]}…{text[-(WIDEST // 2) :]}"


def _folded(first, columns, width):
    """The columns in lots that fit beside the first one into `width` characters; best and last of a score stay together."""

    def room(column):
        lines = [line for i in range(len(column.cells)) for line in _cell(column, i).splitlines()]
        return max(map(len, [*_short(column.title).split(), *lines])) + 2 * bool(column.best) + 3

    lot, left = [], width - room(first)
    for _, some in itertools.groupby(columns, lambda column: column.title.removesuffix(" best").removesuffix(" last")):
        some = list(some)
        need = sum(map(room, some))
        if lot and need > left:
            yield lot
            lot, left = [], width - room(first)
        lot += some
        left -= need
    if lot:
        yield lot


def _rich(columns):
    """Columns as a table of rich's."""
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in columns:
        side = "left" if _is_text(column) else "right"
        drawn.add_column("\n".join(_short(column.title).split()), justify=side, no_wrap=True, vertical="bottom")
    for i in range(len(columns[0].cells)):
        cells = [_cell(column, i) + (" *" if i in column.best else "  " if column.best else "") for column in columns]
        drawn.add_row(*(Text(cell, "bold" if i in column.best else "") for cell, column in zip(cells, columns)))
    return drawn
