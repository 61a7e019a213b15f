"""Labeled sheets: one direction per row, one step per column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zoo.core import Game
from zoo.core.images import tile_grid
from zoo.latent.directions import Directions, move
from zoo.latent.distribution import LatentDistribution
from zoo.latent.networks import Sampler

STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # standard deviations
CELL_SIDES = (64, 192)  # pixels: smaller images are enlarged by a whole factor, larger ones are reduced
LABEL_WIDTH, LABEL_HEIGHT, GAP, FONT_SIZE = 96, 20, 3, 12


def draw_directions(
    model: Game, directions: Directions, method: str, seed: int = 0, label: int | None = None, steps: Sequence[float] = STEPS
) -> np.ndarray:
    """The effects of the directions of a method on one sample, as a labeled sheet.

    Args:
        model: The model of the directions.
        directions: The directions.
        method: `sefa` or `pca`.
        seed: Seed of the sample.
        label: Its class, for class-conditional models.
        steps: Steps along each direction, in standard deviations of the latent vectors.

    Returns:
        A picture, uint8 [height, width, 3].
    """
    rows = [i for i, name in enumerate(directions.names) if name.startswith(method)]
    offsets = np.stack([step * directions.deviations[i] * directions.vectors[i] for i in rows for step in steps])
    start = np.repeat(model.latents([seed]).numpy(), len(offsets), 0)
    latent = move(model, start, offsets, LatentDistribution.measure(model))
    conditions = {} if label is None else {"label": np.full(len(latent), label, np.int64)}
    cells = [_as_cell(image) for batch in Sampler(model)(latent, **conditions) for image in batch]
    captions = [f"{directions.names[i]}\n{directions.values[i]:.3g}" for i in rows]
    return _draw_sheet(cells, captions, [f"{step:+g} sd" if step else "0" for step in steps])


def _as_cell(image: np.ndarray) -> Image.Image:
    """An image [h, w, c] in [0, 1] at the size that the sheet shows."""
    pixels = tile_grid(image[None], 1)
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    factor = max(1, CELL_SIDES[0] // max(picture.size))
    picture = picture.convert("RGB").resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((CELL_SIDES[1], CELL_SIDES[1]))
    return picture


def _draw_sheet(cells: Sequence[Image.Image], rows: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    """Cells in a grid, with texts to the left of the rows and above the columns."""
    width, height = (side + GAP for side in cells[0].size)
    sheet = Image.new("RGB", (LABEL_WIDTH + len(columns) * width, LABEL_HEIGHT + len(rows) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for j, text in enumerate(columns):
        draw.text((LABEL_WIDTH + (j + 0.5) * width, LABEL_HEIGHT / 2), text, "black", font, anchor="mm")
    for i, text in enumerate(rows):
        draw.text((LABEL_WIDTH / 2, LABEL_HEIGHT + (i + 0.5) * height), text, "black", font, anchor="mm", align="center")
    for k, cell in enumerate(cells):
        sheet.paste(cell, (LABEL_WIDTH + k % len(columns) * width, LABEL_HEIGHT + k // len(columns) * height))
    return np.asarray(sheet)
