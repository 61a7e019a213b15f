"""`zoo demo`: a page on which trained models can be tried out."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from zoo.cli.arguments import MODEL_HELP, register_model
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    from zoo.cli.demo_page import OpenedModel

PORT = 7860
MAX_PORT = 65535
RUNS = Path("runs")


@dataclasses.dataclass(frozen=True)
class Demo:
    """open a page on which models can be tried out: samples, sliders, walks, uploads, and a gallery of runs; offline, on this machine"""

    run: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help=f"{MODEL_HELP}; default: all pretrained")] = ()
    gallery: Omittable[Path] = None
    """folder of runs, which are shown with their scores and curves; if omitted, runs/ if it exists"""
    port: int = PORT
    """port of the page on this machine"""
    share: bool = False
    """also open a public link through Gradio's servers, for anyone who has it"""
    checkpoint: str = "last"
    """checkpoint to load: `last`, `best`, or a step"""
    model: Omittable[str] = None
    """path/to/file.py:NAME, if a run's model is your own"""

    def __call__(self) -> None:
        self._validate()
        register_model(self.model)
        from zoo.cli.demo_gallery import RunGallery

        folder = self.gallery or (RUNS if RUNS.is_dir() else None)
        gallery = RunGallery.open(folder) if folder else None
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read by Gradio when it is imported
        if not any(name.startswith("hf://") for name in self.run):
            os.environ.setdefault("HF_HUB_OFFLINE", "1")  # of a library that Gradio uses
        with tempfile.TemporaryDirectory(prefix="zoo-demo-", ignore_cleanup_errors=True) as temporary:
            os.environ["GRADIO_TEMP_DIR"] = temporary
            from zoo.cli.demo_page import launch_page

            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the folder is removed
            page = launch_page(self._open_models(), gallery, Path(temporary), self.port, self.share)
            print(f"{page.local_url} (stop with Ctrl-C)", flush=True)
            if page.share_url:
                print(f"{page.share_url} (public)", flush=True)
            page.block_thread()

    def _validate(self) -> None:
        """Raises UserError for options out of range, and if Gradio is not installed."""
        if not 1 <= self.port <= MAX_PORT:
            raise UserError(f"--port {self.port}: must be from 1 to {MAX_PORT}")
        if importlib.util.find_spec("gradio") is None:
            raise UserError("zoo demo needs the package gradio: pip install 'gan-zoo[demo]'")

    def _open_models(self) -> list[OpenedModel]:
        """The models of the page, in order; each name once."""
        from zoo.cli.demo_page import OpenedModel
        from zoo.pretrained import list_pretrained, load_model, open_model

        opened: list[OpenedModel] = []
        for name in dict.fromkeys(self.run or list_pretrained()):
            trained = open_model(name)
            model: Any = load_model(trained, self.checkpoint)
            opened.append(OpenedModel(printable(name), model, trained.record))
            print(f"loaded {printable(name)}", flush=True)
        return opened
