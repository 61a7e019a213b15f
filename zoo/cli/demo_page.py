"""The page of `zoo demo`, in Gradio: one tab for each model, whose controls follow from the model's signatures, and a gallery of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from zoo.cli.demo_downloads import Downloads
from zoo.cli.demo_gallery import COLUMNS, SCORE_COLUMNS, RunGallery
from zoo.cli.demo_image_tab import build_image_tabs
from zoo.cli.demo_images import ImageTool
from zoo.cli.demo_noise import NoiseTool
from zoo.cli.demo_noise_tab import NoiseTab
from zoo.cli.demo_widgets import explain_errors
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.runs import RunRecord

HOST = "127.0.0.1"  # of this machine only
MAX_UPLOAD = "20mb"
CSS = ".pixelated img { image-rendering: pixelated } footer { display: none !important }"


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A model of the page.

    Attributes:
        name: The run or pretrained model, as the user named it.
        model: The model, with its weights.
        record: The record of its run.
    """

    name: str
    model: Game
    record: RunRecord


def launch_page(
    models: Sequence[OpenedModel], gallery: RunGallery | None, folder: Path, port: int, share: bool = False, wait: bool = True
) -> gr.Blocks:
    """Serves the page.

    Args:
        models: Its models.
        gallery: The runs that it shows; None for no gallery.
        folder: A temporary folder.
        port: The port on this machine.
        share: Whether to open a public link through Gradio's servers.

    Returns:
        The page; `close` stops it.

    Raises:
        UserError: The port is in use.
    """
    page = build_page(models, gallery, folder)
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # none is loaded
    try:
        page.launch(
            server_name=HOST,
            server_port=port,
            share=share,
            prevent_thread_lock=True,
            quiet=True,
            show_error=True,
            ssr_mode=False,
            pwa=False,
            footer_links=[],
            max_file_size=MAX_UPLOAD,
            theme=gr.themes.Default(**fonts),  # type: ignore[arg-type]
            css=CSS,
        )
    except OSError:  # Gradio's error for a port in use
        raise UserError(f"--port {port}: in use by another program; give another port") from None
    return page


def build_page(models: Sequence[OpenedModel], gallery: RunGallery | None, folder: Path) -> gr.Blocks:
    """The page; see `launch_page`."""
    downloads = Downloads(folder)
    with gr.Blocks(analytics_enabled=False, title="The GAN zoo", delete_cache=(3600, 3600)) as page:
        gr.Markdown("# The GAN zoo")
        for opened in models:
            with gr.Tab(opened.name):
                build_model(page, opened, downloads)
        if gallery is not None:
            with gr.Tab("Gallery of runs"):
                build_gallery(gallery, downloads)
    return page


def build_model(page: gr.Blocks, opened: OpenedModel, downloads: Downloads) -> None:
    """The controls of a model: those of samples if it generates from noise, and those of each kind of upload that it takes."""
    gr.Markdown(describe_model(opened))
    if opened.model.generates_from_noise:
        NoiseTab(opened.name, NoiseTool(opened.model), downloads).build(page)
    build_image_tabs(opened.name, ImageTool(opened.model, opened.record), downloads)


def describe_model(opened: OpenedModel) -> str:
    """What a model is, in Markdown."""
    from zoo.pretrained.publishing import hide_folders
    from zoo.registry import get_entry
    from zoo.reports import markdown

    entry, record = get_entry(opened.record.model), opened.record
    parts = (f"{record.model} on {hide_folders(record.data.name)}", entry.summary, entry.paper)
    return " ".join(f"{markdown.escape(part.removesuffix('.'))}." for part in parts)


def build_gallery(gallery: RunGallery, downloads: Downloads) -> None:
    """The table of runs; the samples, scores and curves of the one that is chosen."""
    if not gallery.runs:
        gr.Markdown("No runs here yet.")
        return
    tab = GalleryTab(gallery, downloads)
    widths: list[str | int] = ["22%", "14%", "16%", "10%", "38%"]
    gr.Dataframe(gallery.table(), headers=list(COLUMNS), column_widths=widths, interactive=False, wrap=True, label="Runs", elem_id="runs")
    sheets = gr.Gallery(tab.list_sheets(), label="Latest samples", columns=4, height=260, allow_preview=False, buttons=[], elem_id="sheets")
    names = list(gallery.runs)
    chosen = gr.Dropdown(names, value=names[0], label="Run", elem_id="run")
    grid, scores, curves = tab.show(names[0])
    with gr.Row():
        options: dict[str, Any] = {"format": "png", "type": "filepath", "interactive": False, "buttons": ["fullscreen"]}
        grid_image = gr.Image(grid, label="Samples", elem_id="run-samples", **options)
        table = gr.Dataframe(scores, headers=list(SCORE_COLUMNS), interactive=False, wrap=True, label="Scores", elem_id="run-scores")
    curve_image = gr.Image(curves, show_label=False, elem_id="run-curves", **options)
    outputs = [grid_image, table, curve_image]
    chosen.input(tab.show, chosen, outputs, api_visibility="private")
    sheets.select(tab.choose, None, chosen, api_visibility="private").then(tab.show, chosen, outputs, api_visibility="private")


@dataclasses.dataclass(frozen=True)
class GalleryTab:
    """What the gallery shows of a run."""

    gallery: RunGallery
    downloads: Downloads

    def list_sheets(self) -> list[Any]:
        """The latest samples of each run that has some, with its name."""
        grids = {name: self.gallery.grid(name) for name in self.gallery.runs}
        return [(str(self.downloads.copy(grid)), name) for name, grid in grids.items() if grid is not None]

    def choose(self, event: gr.SelectData) -> str:
        """The run whose samples were clicked."""
        return str(event.value["caption"])

    @explain_errors
    def show(self, name: str) -> tuple[Any, list[list[str]], Any]:
        """Files of its samples and curves, and the rows of its scores."""
        grid, curves = self.gallery.grid(name), self.gallery.draw_curves(name, self.downloads.path("curves.png"))
        if grid is not None:
            grid = self.downloads.copy(grid)
        return grid and str(grid), self.gallery.scores(name), curves and str(curves)
