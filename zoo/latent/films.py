"""Films: GIF files by Pillow, MP4 files by PyAV, and the sample grids of a training run as frames."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zoo.errors import UserError
from zoo.files import write_atomically
from zoo.runs import Run
from zoo.runs.scores import grid_step, list_grids

GIF, MP4 = ".gif", ".mp4"
MAX_FRAMES = 100_000
MAX_RATES = {GIF: 50, MP4: 120}  # frames per second; viewers play GIFs of less than 2/100 s per frame slowly
MAX_GIF_VALUES = 2**30  # pixels times channels of all frames, which Pillow keeps in memory
CAPTION_HEIGHT = 20  # pixels
QUALITY = "18"  # constant rate factor of H.264: visually lossless


def check_film(path: str | os.PathLike[str], rate: float) -> Path:
    """The path of a film to write, once it is certain that it can be written.

    Args:
        path: A file that ends in .gif or .mp4.
        rate: Frames per second.

    Raises:
        UserError: For other suffixes, a rate out of range, a folder that cannot be written to, and MP4 without PyAV.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MAX_RATES:
        raise UserError(f"{path}: films are written as GIF or MP4; give a name that ends in .gif or .mp4")
    if not 1 <= rate <= MAX_RATES[suffix]:
        raise UserError(f"{rate:g} frames per second: must be from 1 to {MAX_RATES[suffix]} for {suffix} files")
    if suffix == MP4:
        try:
            import av  # noqa: F401
        except ImportError:
            name = path.with_suffix(GIF)
            raise UserError(f"{path}: MP4 files need PyAV: pip install 'gan-zoo[video]'; or write a GIF file: {name}") from None
    if path.is_dir():
        raise UserError(f"{path} cannot be written: it is a folder")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{path} cannot be written: {folder} is not a folder that can be written to")
    return path


def write_film(path: str | os.PathLike[str], frames: Iterable[np.ndarray], rate: float = 25) -> int:
    """Writes frames as a film, atomically: a film that is interrupted leaves no file, and one that was there before stays.

    Args:
        path: A file that ends in .gif (colors are reduced to 256 per frame) or .mp4 (needs PyAV); the folders above it are created.
        frames: Pictures of one size, uint8 [h, w, 1, 3 or 4]; transparent ones are composited onto white.
        rate: Frames per second.

    Returns:
        The number of frames.

    Raises:
        UserError: For no frames, frames of different sizes, GIFs that do not fit into memory, and a path that cannot be written.
    """
    path = check_film(path, rate)
    frames = _count_and_check(frames, path, counter := [0])
    write = _write_gif if path.suffix.lower() == GIF else _write_mp4
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: write(temporary, frames, rate))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    return counter[0]


def _count_and_check(frames: Iterable[np.ndarray], path: Path, counter: list[int]) -> Iterator[np.ndarray]:
    """Yields the frames in grayscale or RGB, and counts them."""
    shape, total = None, 0
    for frame in frames:
        frame = _on_white(frame)
        shape, total = shape or frame.shape, total + frame.size
        if frame.shape != shape:
            raise UserError(f"frames of {frame.shape[:2]} and {shape[:2]} pixels; a film has one size")
        if path.suffix.lower() == GIF and total > MAX_GIF_VALUES:
            raise UserError(f"{path}: the film is too large for a GIF file; write .mp4, or fewer or smaller frames")
        counter[0] += 1
        if counter[0] > MAX_FRAMES:
            raise UserError(f"a film has at most {MAX_FRAMES:,} frames")
        yield frame
    if not counter[0]:
        raise UserError("a film needs at least one frame")


def _on_white(frame: np.ndarray) -> np.ndarray:
    if frame.shape[-1] != 4:
        return frame
    opacity = frame[..., 3:].astype(np.float32) / 255
    return np.rint(frame[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)


def _write_gif(path: Path, frames: Iterator[np.ndarray], rate: float) -> None:
    pictures = map(_as_picture, frames)
    first = next(pictures)
    # GIF counts in hundredths of a second: each frame ends at the hundredth that is nearest to its time, so that errors do not add up.
    ends = [round(100 * number / rate) for number in range(MAX_FRAMES + 1)]
    durations = [10 * (end - start) for start, end in itertools.pairwise(ends)]
    first.save(path, "GIF", save_all=True, append_images=pictures, duration=durations, loop=0, optimize=False)


def _as_picture(frame: np.ndarray) -> Image.Image:
    return Image.fromarray(frame.squeeze(-1) if frame.shape[-1] == 1 else frame)


def _write_mp4(path: Path, frames: Iterator[np.ndarray], rate: float) -> None:
    from fractions import Fraction

    import av

    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: Any = None
        for frame in frames:
            height, width, _ = frame.shape
            # H.264 with subsampled colors, which all players support, has even sides.
            frame = np.pad(frame, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuv420p"
                stream.options = {"crf": QUALITY}
            colors = np.ascontiguousarray(np.broadcast_to(frame, (*frame.shape[:2], 3)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colors, format="rgb24")))
        container.mux(stream.encode(None))


def enlarge(picture: np.ndarray, factor: int) -> np.ndarray:
    """A picture [h, w, c] whose pixels are squares of `factor` by `factor`."""
    return picture.repeat(factor, 0).repeat(factor, 1)


def training_grids(run: Run) -> list[Path]:
    """The sample grids of a training run, by step.

    Raises:
        UserError: There are none.
    """
    grids = list_grids(run)[::-1]
    if not grids:
        raise UserError(f"{run.display_path} has no sample grids (samples/step-*.png); they are written at each evaluation")
    return grids


def read_grids(grids: Iterable[Path], factor: int = 1) -> Iterator[np.ndarray]:
    """Yields sample grids as frames of one size, uint8 [h, w, 1 or 3], each with its step below.

    Args:
        grids: The files.
        factor: Enlarges their pixels.

    Raises:
        UserError: One cannot be read.
    """
    from zoo.data.image_files import DECODE_ERRORS, open_upright

    size: tuple[int, int] | None = None
    for path in grids:
        try:
            picture = open_upright(path)
        except DECODE_ERRORS as error:
            raise UserError(f"{path} cannot be read as an image: {getattr(error, 'strerror', None) or error}") from None
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
        size = size or picture.size
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        yield add_caption(picture, f"step {grid_step(path):,}")


def add_caption(picture: Image.Image, text: str) -> np.ndarray:
    """A picture with a line of text below, uint8 [h, w, 1 or 3]."""
    captioned = Image.new(picture.mode, (picture.width, picture.height + CAPTION_HEIGHT), "white")
    captioned.paste(picture, (0, 0))
    font = ImageFont.load_default(CAPTION_HEIGHT * 0.65)
    ImageDraw.Draw(captioned).text((4, picture.height + CAPTION_HEIGHT / 2), text, "black", font, anchor="lm")
    pixels = np.asarray(captioned)
    return pixels.reshape(*pixels.shape[:2], -1)
