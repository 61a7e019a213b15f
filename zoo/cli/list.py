"""`zoo list`: the table of models."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

FILE_WIDTH = 400  # characters of a line that is not written to a terminal: no line is wrapped


@dataclasses.dataclass(frozen=True)
class List:
    """print the table of models"""

    pretrained: bool = False
    """list the pretrained models, which need no training, with their scores and licenses"""

    def __call__(self) -> None:
        if self.pretrained:
            print_pretrained()
        else:
            print(format_models())


def format_models() -> str:
    """The table of models: papers with summaries, and below each the model names with image sizes and required keys of the data."""
    from zoo.registry import get_entry, list_models

    names = list_models()
    width = max(map(len, names))
    lines, paper, summary = [f"  {'name':{width}}  {'images':14}  needs from the data"], "", ""
    for name in names:
        entry = get_entry(name)
        if entry.paper != paper:
            lines += ["", entry.paper]
        if (entry.paper, entry.summary) != (paper, summary):
            lines.append(entry.summary)
        paper, summary = entry.paper, entry.summary
        lines.append(f"  {name:{width}}  {_describe_size(entry.config):14}  {', '.join(entry.model.batch_keys)}")
    return "\n".join(lines)


def print_pretrained() -> None:
    """Prints the table of pretrained models."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from zoo.pretrained import list_pretrained, open_pretrained

    table = Table("name", "model", "data", "MB", "scores", "license", box=None, pad_edge=False, header_style="")
    for name in list_pretrained():
        manifest = open_pretrained(name).manifest
        size = f"{manifest.total_bytes() / 1e6:.1f}"
        cells = (name, manifest.record.model, manifest.record.data.name, size, _describe_scores(manifest), manifest.license)
        table.add_row(*map(Text, cells))
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table)
    print("\nSamples: zoo generate NAME    in Python: zoo.load(NAME)    scores and limits: docs/pretrained.md")


def _describe_scores(manifest: Any) -> str:
    """The scores under the protocol with the most samples."""
    from zoo.runs import format_score

    if not manifest.scores:
        return "–"
    return ", ".join(f"{name.replace('_', ' ')} {format_score(value)}" for name, value in manifest.scores[0].values.items())


def _describe_size(config: Any) -> str:
    """The size of a model's images, or its constraint if the size comes from the data."""
    shape = getattr(config, "image_shape", None)
    return "x".join(map(str, shape)) if shape else getattr(config, "size_constraint", "any")
