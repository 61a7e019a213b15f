"""`zoo data`: what a model would see of a dataset."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from zoo.cli.options import DATA_HELP
from zoo.errors import UserError, printable
from zoo.types import Omittable

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

CELL = 64  # pixels to which smaller images are enlarged on the sheet
LABEL_HEIGHT, LETTER_WIDTH, GAP = 14, 6, 4  # pixels
MAX_COUNT = 10_000
MAX_CLASSES = 40  # listed


@dataclasses.dataclass(frozen=True)
class Data:
    """show what a model would see of a dataset: splits, classes with counts, image sizes, what is left out, and a sheet of examples"""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE", help=DATA_HELP)] = ""
    model: Omittable[str] = None
    """model whose keys decide how a folder is read: pairs, domains, poses, ...; if omitted, single images"""
    data_dir: Omittable[str] = None
    """folder of TFDS datasets; if omitted, TFDS_DATA_DIR or ~/tensorflow_datasets"""
    image_shape: Omittable[tuple[int, int, int]] = None
    """height, width and channels that images are resized to; if omitted, those of the model or of the data"""
    crop: Literal["center", "pad", "none"] = "center"
    """how images get another aspect ratio, as for training"""
    frames: bool = False
    """take every frame of a file as an image, as for training"""
    label_file: Omittable[str] = None
    """file with the labels of a folder's images, as for training"""
    label_key: Omittable[str] = None
    """feature of a TFDS dataset that holds the labels, as for training"""
    count: int = 64
    """number of examples on the sheet"""
    out: Path = Path("examples.png")
    """PNG file of the sheet"""
    clear: bool = False
    """remove the decoded examples of all datasets from the cache, and exit"""

    def __call__(self) -> None:
        from zoo import data
        from zoo.data.source import FOLDER_PREFIX

        if self.clear:
            print(f"removed {data.clear_cache(self.data_dir):,} bytes")
            return
        if self.out.suffix.lower() != ".png":
            raise UserError(f"--out {self.out}: the sheet is written as PNG; give a name that ends in .png")
        if not 1 <= self.count <= MAX_COUNT:
            raise UserError(f"--count {self.count}: must be from 1 to {MAX_COUNT:,}")
        keys, shape = ("image",), self.image_shape
        if self.model:
            from zoo.registry import resolve

            entry = resolve(self.model)
            keys, shape = entry.model.batch_keys, shape or getattr(entry.config, "image_shape", None)
        reading = data.Reading(self.crop, self.frames, self.label_file, self.label_key)
        name = self.source or data.default_source_name(keys)
        folder = Path(name.removeprefix(FOLDER_PREFIX)).expanduser().resolve()
        if name.startswith(FOLDER_PREFIX) and folder in self.out.resolve().parents:
            raise UserError(f"--out {self.out}: is in the image folder and would be read as an image; choose another folder")
        source = data.open_source(name, self.data_dir, shape, keys, reading=reading)
        print(printable(describe(source), "\n"))
        sheet = draw_sheet(source, self.count)
        try:
            sheet.save(self.out)
        except OSError as error:
            raise UserError(f"--out {self.out}: {error.strerror or error}") from None
        print(printable(f"examples  {self.out}"))


def describe(source: Any) -> str:
    """Splits, classes and sizes of a source, as lines."""
    height, width, channels = source.image_shape
    size = f"{height}x{width}x{channels}" if height else f"any size, {channels} channel{'s' if channels > 1 else ''}"
    lines = [f"data      {source.name} {source.version}", f"keys      {', '.join(source.keys)}; images of {size}"]
    lines += [f"{name:10}{text}" for name, text in source.facts().items()]
    parts = [source.x, source.y] if hasattr(source, "x") else [source]
    order = " (x + y)" if len(parts) > 1 else ""
    lines += [f"split     {split}: {' + '.join(f'{part.sizes[split]:,}' for part in parts)} examples{order}" for split in source.sizes]
    if source.class_names:
        counts = {split: _count_labels(source, split) for split in source.sizes}
        lines.append(f"classes   {len(source.class_names)} (number = name: {' + '.join(source.sizes)})")
        for i, name in list(enumerate(source.class_names))[:MAX_CLASSES]:
            lines.append(f"          {i} = {name}: {' + '.join(f'{count[i]:,}' for count in counts.values())}")
        if len(source.class_names) > MAX_CLASSES:
            lines.append(f"          and {len(source.class_names) - MAX_CLASSES} more")
    if source.pose_names:
        lines.append(f"poses     {', '.join(source.pose_names)}")
    return "\n".join(lines)


def _count_labels(source: Any, split: str) -> np.ndarray:
    import numpy as np

    parts = [source.x, source.y] if hasattr(source, "x") else [source]
    return sum(np.bincount(part.arrays(split)["label"], minlength=source.num_classes) for part in parts)  # type: ignore[return-value]


def draw_sheet(source: Any, count: int) -> Image.Image:
    """Examples of the train split in a grid, each with the name of its class and pose below; the images of one example side by side."""
    from PIL import Image, ImageDraw

    examples = source.load_examples("train", MAX_COUNT if source.pose_names else count)
    if source.pose_names:
        rows = _spread_over_poses(examples["label"], examples["pose"], count)
        examples = {key: value[rows] for key, value in examples.items()}
    keys = [key for key in ("image", "x", "y", "picture") if key in examples]
    cells = [_join([_as_picture(examples[key][i]) for key in keys]) for i in range(min(len(examples[key]) for key in keys))]
    texts = [_label(source, examples, i) for i in range(len(cells))]
    width, height = max(cell.width for cell in cells), max(cell.height for cell in cells)
    below = LABEL_HEIGHT * max(text.count("\n") + 1 if text else 0 for text in texts)
    columns = max(1, round((len(cells) * (height + below) / width) ** 0.5))
    if source.pose_names:
        columns = int((examples["label"] == examples["label"][0]).sum())
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + below + GAP) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (cell, text) in enumerate(zip(cells, texts, strict=True)):
        left, top = GAP + i % columns * (width + GAP), GAP + i // columns * (height + below + GAP)
        sheet.paste(cell, (left, top))
        if text:
            lines = [line[: max(1, width // LETTER_WIDTH)] for line in text.split("\n")]
            draw.multiline_text((left, top + height), "\n".join(lines), "black", spacing=0)
    return sheet


def _as_picture(pixels: np.ndarray) -> Image.Image:
    """An image, enlarged by a whole factor if it is small, reduced if it is large."""
    from PIL import Image

    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    factor = max(1, CELL // max(picture.size))
    if factor > 1:
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((4 * CELL, 4 * CELL))
    return picture


def _join(pictures: list[Image.Image]) -> Image.Image:
    """Pictures side by side."""
    from PIL import Image

    joined = Image.new("RGB", (sum(one.width for one in pictures), max(one.height for one in pictures)), "white")
    left = 0
    for one in pictures:
        joined.paste(one, (left, 0))
        left += one.width
    return joined


def _label(source: Any, examples: dict[str, Any], i: int) -> str:
    """The names of an example's class and pose, or their numbers where the font lacks the letters."""
    names = {"label": source.class_names, "pose": source.pose_names}
    numbers = {key: int(examples[key][i]) for key in names if key in examples}
    return "\n".join(names[key][number] if names[key][number].isascii() else str(number) for key, number in numbers.items())


def _spread_over_poses(labels: np.ndarray, poses: np.ndarray, count: int) -> np.ndarray:
    """Rows of at most `count` images: about as many identities as poses of each, both spread evenly over those that have enough images."""
    import numpy as np

    def spread(values: np.ndarray, number: int) -> np.ndarray:
        return values[np.linspace(0, len(values) - 1, min(len(values), number)).round().astype(int)]

    images = np.bincount(labels)
    columns = min(int(count**0.5), int(images.max()))
    identities = spread(np.flatnonzero(images >= columns), count // columns)
    own = [np.flatnonzero(labels == label) for label in identities]
    return np.concatenate([spread(rows[np.argsort(poses[rows], kind="stable")], columns) for rows in own])
