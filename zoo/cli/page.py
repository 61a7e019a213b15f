"""`zoo page`: a generator as a folder of static files for any web space."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ModelArgument, explain_output_errors, register_model, require_noise_model
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.runs import RunRecord
    from zoo.serving.static_page import PageDescription

NUM_DIRECTIONS = 5  # sliders


@dataclasses.dataclass(frozen=True)
class Page:
    """write a page on which a generator runs in the browser: a folder of files for any web space, without server code"""

    run: ModelArgument
    out: Path
    """folder to write"""
    runtime: Omittable[Path] = None
    """folder in which `npm install onnxruntime-web` was run, whose files are copied; if omitted, the page loads them from a public CDN"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if the run's model is your own"""

    def __call__(self) -> None:
        from zoo.latent import require_generator
        from zoo.pretrained import load_model, open_model
        from zoo.serving.portable import require_format
        from zoo.serving.static_page import find_runtime, write_page

        require_format("onnx")
        if self.runtime:
            find_runtime(self.runtime)
        register_model(self.model)
        trained = open_model(self.run)
        model: Any = load_model(trained, self.checkpoint, discriminator=False)
        require_noise_model(model, "page")
        require_generator(model)
        with explain_output_errors(self.out):
            files = write_page(model, trained.record.model, self.out, self._describe(model, trained.record), self.runtime)
        size = sum(path.stat().st_size for path in files) / 1e6
        print(printable(f"{len(files)} files, {size:.1f} MB, in {self.out}; try it: python3 -m http.server --directory {self.out}"))

    def _describe(self, model: Game, record: RunRecord) -> PageDescription:
        """What the page shows besides the images."""
        from zoo.latent.prior import LatentPrior
        from zoo.pretrained.publishing import hide_folders
        from zoo.registry import get_entry
        from zoo.serving.static_page import PageDescription

        entry, count = get_entry(record.model), model.config.num_classes if "label" in model.conditions else 0
        names = model.class_names if model.class_names and len(model.class_names) == count else tuple(map(str, range(count)))
        title = f"{Path(self.run).name or self.run}: {record.model} on {hide_folders(record.data.name)}"
        summary = f"{entry.summary.removesuffix('.')}. {entry.paper.removesuffix('.')}."
        return PageDescription(printable(title), summary, names if count else (), LatentPrior.fit(model).to_json(), self._directions(model))

    @staticmethod
    def _directions(model: Game) -> tuple[dict[str, Any], ...]:
        """The directions of the sliders; none for a generator that they cannot be computed of."""
        from zoo.latent import find_directions

        try:
            directions = find_directions(model, ("sefa",), NUM_DIRECTIONS)
        except UserError:
            return ()
        rows = zip(directions.names, directions.vectors, directions.deviations, strict=True)
        return tuple({"name": name, "vector": vector.round(6).tolist(), "deviation": float(size)} for name, vector, size in rows)
