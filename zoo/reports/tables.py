"""The table of a comparison, for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zoo.reports import markdown
from zoo.reports.comparison import Comparison
from zoo.runs.measurements import average_speed
from zoo.runs.record import RunRecord
from zoo.runs.scores import format_score
from zoo.runs.settings import LENGTH_FIELDS
from zoo.types import ScorePoint

if TYPE_CHECKING:
    from rich.table import Table

CELL_WIDTH = 28  # characters of a cell in the terminal; longer cells are shortened in the middle
MIN_WIDTH = 60  # minimum characters of the table in the terminal
PROTOCOL = "protocol"  # group of columns in the CSV only: the other formats have a note
DIFFERENT_SETTINGS = "settings that differ"


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        group: Columns of a group are shown together.
        title: Its header.
        cells: A value, a `ScorePoint` or None for each run.
        best: Indices of the runs that have the best score.
    """

    group: str
    title: str
    cells: Sequence[Any]
    best: tuple[int, ...] = ()

    @property
    def is_text(self) -> bool:
        return not any(isinstance(cell, (int, float, ScorePoint)) for cell in self.cells)


def build_columns(comparison: Comparison) -> list[Column]:
    """The columns by group: the runs, their training, their scores, the settings that differ."""
    records = [run.record for run in comparison.runs]
    last_rows = [evaluations[-1] if (evaluations := run.evaluations()) else {} for run in comparison.runs]
    columns = [
        Column("run", "run", comparison.names),
        Column("run", "model", [record.model for record in records]),
        Column("run", "data", [f"{record.data.name} {record.data.version}" for record in records]),
        Column("run", "generator parameters", [record.parameters.get("generator") for record in records]),
        Column("run", "discriminator parameters", [record.parameters.get("discriminator") for record in records]),
        Column("run", "precision", [record.precision for record in records]),
    ]
    columns += [
        Column("training", "images seen", [row.get("images") for row in last_rows]),
        Column("training", "seconds", [round(row["seconds"]) if "seconds" in row else None for row in last_rows]),
        Column("training", "images/s", [round(average_speed(row)) or None for row in last_rows]),
    ]
    for name in sorted(comparison.scores(comparison.protocol), key=lambda name: name != comparison.score):
        points = comparison.points(name, comparison.protocol)
        if comparison.metric(name):
            best = [comparison.best(name, run_points) for run_points in points]
            columns.append(Column("training", f"{name} best", best, _find_winners(comparison, name, best)))
        columns.append(Column("training", f"{name} last", [run_points[-1] if run_points else None for run_points in points]))
    columns += [Column(DIFFERENT_SETTINGS, name, values) for name, values in _different_settings(records)]
    protocol = json.dumps(comparison.protocol.to_dict(), sort_keys=True)
    return [*columns, Column(PROTOCOL, PROTOCOL, [protocol] * len(records))]


def format_terminal(comparison: Comparison, width: int | None = None, color: bool | None = None) -> str:
    """The table as text, folded into several tables if it is too wide.

    Args:
        comparison: The runs.
        width: Characters of a line; default: the terminal's.
        color: Whether to use colors and bold type; default: on a terminal.
    """
    from rich.console import Console

    width = max(MIN_WIDTH, width or shutil.get_terminal_size((100, 24)).columns)
    color = sys.stdout.isatty() if color is None else color
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=color, no_color=not color, legacy_windows=False)
    first, *columns = build_columns(comparison)
    for group in dict.fromkeys(column.group for column in columns if column.group != PROTOCOL):
        for part in _fold(first, [column for column in columns if column.group == group], width):
            console.print()
            if group == DIFFERENT_SETTINGS:
                console.print(group)
            console.print(_build_rich_table([first, *part]))
    console.print()
    legend = "*: best of the runs; @: its step." if len(comparison.runs) > 1 else "@: its step."
    for note in [*comparison.notes(), legend]:
        console.print(textwrap.fill(note, width, subsequent_indent="  "), markup=False, highlight=False)
    return "\n".join(line.rstrip() for line in text.getvalue().strip("\n").splitlines()) + "\n"


def format_markdown(comparison: Comparison) -> str:
    """The table as one Markdown table, with the notes below; the best scores are bold."""
    columns = [column for column in build_columns(comparison) if column.group != PROTOCOL]
    rows = []
    for i in range(len(comparison.runs)):
        cells = [markdown.escape(format_cell(column.cells[i])) for column in columns]
        rows.append([f"**{cell}**" if i in column.best else cell for cell, column in zip(cells, columns, strict=True)])
    table = markdown.table([markdown.escape(column.title) for column in columns], rows, [not column.is_text for column in columns])
    return "\n".join([table, "", *(f"{markdown.escape(note)}\n" for note in comparison.notes())])


def format_csv(comparison: Comparison) -> str:
    """The table as CSV with full precision; a score has columns for its value, its step and, if it has one, its uncertainty."""
    titles, columns = [], []
    for column in build_columns(comparison):
        points = [cell for cell in column.cells if isinstance(cell, ScorePoint)]
        if not points:
            titles.append(column.title)
            columns.append([_format_csv_cell(cell) for cell in column.cells])
            continue
        for part in ("value", "step", *(["error"] if any(point.error is not None for point in points) else [])):
            titles.append(column.title if part == "value" else f"{column.title} {part}")
            columns.append(["" if cell is None else _format_csv_cell(getattr(cell, part)) for cell in column.cells])
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([titles, *zip(*columns, strict=True)])
    return file.getvalue()


FORMATS: dict[str, Callable[[Comparison], str]] = {"terminal": format_terminal, "markdown": format_markdown, "csv": format_csv}


def format_cell(value: Any) -> str:
    """Formats a cell for readers."""
    if value is None:
        return "–"
    if isinstance(value, ScorePoint):
        error = "" if value.error is None else f"±{format_score(value.error, 2)}"
        return f"{format_score(value.value)}{error} @{value.step:,}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:g}"


def _format_csv_cell(value: Any) -> Any:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _format_terminal_cell(column: Column, i: int) -> str:
    """Formats a cell for the terminal: names of runs are wrapped, other long cells are shortened in the middle."""
    text = format_cell(column.cells[i])
    if column.title == "run":
        return textwrap.fill(text, CELL_WIDTH)
    return text if len(text) <= CELL_WIDTH else f"{text[: CELL_WIDTH // 2 - 1]}…{text[-(CELL_WIDTH // 2) :]}"


def _find_winners(comparison: Comparison, name: str, cells: Sequence[ScorePoint | None]) -> tuple[int, ...]:
    """Indices of the runs with the best score; empty for a single run."""
    best = comparison.best(name, [cell for cell in cells if cell])
    if best is None or len(cells) == 1:
        return ()
    return tuple(i for i, cell in enumerate(cells) if cell and cell.value == best.value)


def _different_settings(records: Sequence[RunRecord]) -> Iterator[tuple[str, list[Any]]]:
    """Yields (name, values) of the settings that differ; a setting of only one model is not a difference."""
    settings = []
    for record in records:
        fields = {name: value for name, value in record.config.items() if name not in LENGTH_FIELDS}  # the length is in `images seen`
        start = {"init_from": record.options.get("init_from"), "examples": record.data.examples}
        settings.append({**fields, "replicas": record.replicas, "xla": record.xla, **start})
    for name in dict.fromkeys(name for fields in settings for name in fields):
        if len({json.dumps(fields[name]) for fields in settings if name in fields}) > 1:
            values = [fields.get(name) for fields in settings]
            yield name, [markdown.format_setting(value, name) if name.endswith("shape") else value for value in values]


def _fold(first: Column, columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """Yields groups of columns that fit next to the first one into `width` characters; best and last of a score stay together."""

    def measure(column: Column) -> int:
        lines = [line for i in range(len(column.cells)) for line in _format_terminal_cell(column, i).splitlines()]
        return max(map(len, [*column.title.split(), *lines])) + 2 * bool(column.best) + 3

    part: list[Column] = []
    room = width - measure(first)
    for _, group in itertools.groupby(columns, lambda column: column.title.removesuffix(" best").removesuffix(" last")):
        together = list(group)
        needed = sum(map(measure, together))
        if part and needed > room:
            yield part
            part, room = [], width - measure(first)
        part += together
        room -= needed
    if part:
        yield part


def _build_rich_table(columns: Sequence[Column]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in columns:
        justify = "left" if column.is_text else "right"
        table.add_column("\n".join(column.title.split()), justify=justify, no_wrap=True, vertical="bottom")  # type: ignore[arg-type]
    for i in range(len(columns[0].cells)):
        cells = []
        for column in columns:
            mark = " *" if i in column.best else "  " if column.best else ""
            cells.append(Text(_format_terminal_cell(column, i) + mark, "bold" if i in column.best else ""))
        table.add_row(*cells)
    return table
