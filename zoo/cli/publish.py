"""`zoo publish`: a run's model as small and safe files, to share it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    from zoo.pretrained import PublishedModel
    from zoo.runs import Run

HUB = "hf://"
SAMPLES = "samples.png"


@dataclasses.dataclass(frozen=True)
class Publish:
    """write a run's weights as small files that hold no code, with a manifest and a card, for `zoo.load` on other machines"""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """folder of the run"""
    to: Omittable[str] = None
    """folder to write to, or hf://USER/NAME to upload to the Hugging Face Hub; if omitted, published/NAME"""
    name: Omittable[str] = None
    """name of the published model, such as acgan-mnist; if omitted, that of the folder or address"""
    summary: Omittable[str] = None
    """what the model makes, in one line"""
    license: Omittable[str] = None
    """SPDX identifier of the license of the weights, such as cc-by-4.0; if omitted, that of the data, where it is known"""
    attribution: Omittable[str] = None
    """who made the data, in one sentence; if omitted, the known attribution of the dataset"""
    limit: tuple[str, ...] = ()
    """known limitations, one sentence each"""
    checkpoint: str = "last"
    """checkpoint to publish: `last`, `best`, or a step"""

    def __call__(self) -> None:
        from zoo.pretrained import web
        from zoo.runs import Run

        run = Run(self.run)
        if self.to and self.to.startswith(HUB):
            repository = web.parse_hub_address(self.to)
            web.import_hub(self.to)  # before the work is done
            with tempfile.TemporaryDirectory() as folder:
                self.write(run, Path(folder), self.name or repository.rpartition("/")[2].lower(), self.to)
                web.upload(Path(folder), self.to)
            print(printable(f"{self.to}: zoo.load({self.to!r}) loads it"))
            return
        if self.to and "://" in self.to:
            raise UserError(f"--to {self.to}: expected a folder, or hf://USER/NAME to upload to the Hugging Face Hub")
        target = Path(self.to or Path("published", self.name or run.folder.name.lower())).expanduser()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"--to {target} already exists and is not an empty folder; choose another one")
        model = self.write_folder(run, target)
        print(printable(f"{target}: {model.manifest.total_bytes() / 1e6:.1f} MB; zoo.load({str(target)!r}) loads it"))

    def write_folder(self, run: Run, target: Path) -> PublishedModel:
        """Writes a published model to a folder, which is there in full or not at all.

        Args:
            run: The run.
            target: The folder; its name is what the card loads.

        Raises:
            UserError: It cannot be written.
        """
        from zoo.pretrained.published import open_folder

        try:
            with tempfile.TemporaryDirectory() as top:  # nothing is created at the target before there is a model
                written = Path(top, target.name)
                self.write(run, written, self.name or target.name.lower(), target.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(prefix=".writing-", dir=target.parent) as work:
                    os.replace(shutil.copytree(written, Path(work, target.name)), target)
        except OSError as error:
            raise UserError(f"--to {target} cannot be written: {error.strerror or error}") from None
        return open_folder(target, str(target))

    def write(self, run: Run, folder: Path, name: str, address: str) -> PublishedModel:
        """Writes the files of the published model.

        Args:
            run: The run.
            folder: The folder to write to.
            name: The name of the published model.
            address: What `zoo.load` will take, for the card.
        """
        from zoo.pretrained.publishing import publish
        from zoo.registry import get_entry
        from zoo.reports.published_card import write_published_card
        from zoo.runs.scores import grid_step, list_grids

        published = publish(run, folder, self.checkpoint, name, self.summary, self.license, self.attribution, self.limit)
        manifest = published.manifest
        grid = next((path for path in list_grids(run) if grid_step(path) == manifest.step), None)
        if grid:
            shutil.copyfile(grid, folder / SAMPLES)
        entry = get_entry(manifest.record.model)
        model = entry.build(entry.configure(**manifest.record.config_values()).resolve())
        write_published_card(folder, manifest, entry, model, address, SAMPLES if grid else None)
        return published
