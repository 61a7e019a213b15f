"""`zoo list`: the table of models."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class List:
    """print the table of models"""

    def __call__(self) -> None:
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


def _describe_size(config: Any) -> str:
    """The size of a model's images, or its constraint if the size comes from the data."""
    shape = getattr(config, "image_shape", None)
    return "x".join(map(str, shape)) if shape else getattr(config, "size_constraint", "any")
