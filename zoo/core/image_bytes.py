"""Image files in serving signatures: their sizes are read from the headers, and checked, before anything is decoded."""

from __future__ import annotations

import dataclasses
import functools
import io

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.core.signatures import PADDED_SIDE, Signature, depend_on, require

KEY = "image_bytes"  # the input or output of a signature that holds files
MAX_PIXELS = 2**22  # of all images of one request to a server, at default: 2048x2048
PNG_START, PNG_CHUNK, JPEG_START = b"\x89PNG\r\n\x1a\n", b"IHDR", b"\xff\xd8\xff"
HEADER_BYTES = 24  # of a PNG: its start, the length and name of the first chunk, width, height


def encode_png(images: tf.Tensor) -> tf.Tensor:
    """Images in [0, 1] [n, h, w, c] as PNG files, string [n]."""
    pixels = tf.image.convert_image_dtype(images, tf.uint8, saturate=True)
    return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)


def decode_images(files: tf.Tensor, shape: tuple[int | None, ...]) -> tf.Tensor:
    """PNG or JPEG files, string [n], all of one size, as images in [0, 1].

    Args:
        files: Their bytes.
        shape: Height and width that they must have (None: any), and channels.

    Raises:
        UserError: For other files and other sizes; InvalidArgumentError inside a graph, and for damaged files.
    """
    *sides, channels = shape
    sizes = read_sizes(files)
    low, high = tf.reduce_min(sizes, 0), tf.reduce_max(sizes, 0)
    text = tf.strings.format(f"{KEY}: the images of a request must have one size; [height width] are from {{}} to {{}}", (low, high))
    assertions = [require(tf.reduce_all(low == high), text)]
    for name, index, side in zip(("height", "width"), (0, 1), sides, strict=True):
        if side is not None:
            text = tf.strings.format(f"{KEY}: the {name} is {{}} pixels; this signature takes {side}", high[index])
            assertions.append(require(high[index] == side, text))
    spec = tf.TensorSpec([*sides, channels], tf.uint8)

    def decode(file: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.io.decode_png(file, channels or 3), spec.shape)  # decodes JPEG as well

    pixels = tf.map_fn(decode, depend_on(assertions, files), fn_output_signature=spec)
    return tf.image.convert_image_dtype(pixels, tf.float32)


def read_sizes(files: tf.Tensor) -> tf.Tensor:
    """Heights and widths of PNG or JPEG files, string [n], from their headers: int64 [n, 2].

    Raises:
        UserError: For files of another kind; InvalidArgumentError inside a graph.
    """
    header = tf.io.decode_raw(files, tf.uint8, fixed_length=HEADER_BYTES)
    is_png = _equals(header[:, :8], PNG_START) & _equals(header[:, 12:16], PNG_CHUNK)
    is_jpeg = _equals(header[:, :3], JPEG_START)
    text = f"{KEY}: not a PNG or JPEG file; as JSON, bytes are {{'b64': '...'}}"
    checked = depend_on([require(tf.reduce_all(is_png | is_jpeg), text)], files)
    numbers = tf.reshape(tf.cast(header[:, 16:], tf.int64), [-1, 2, 4])
    width_height = tf.reduce_sum(numbers * tf.constant([2**24, 2**16, 2**8, 1], tf.int64), -1)

    def read_jpeg(values: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        file, is_file = values
        return tf.cond(is_file, lambda: tf.image.extract_jpeg_shape(file, tf.int64)[:2], lambda: tf.zeros([2], tf.int64))

    jpeg_sizes = tf.map_fn(read_jpeg, (checked, is_jpeg), fn_output_signature=tf.TensorSpec([2], tf.int64))
    return tf.where(is_jpeg[:, None], jpeg_sizes, width_height[:, ::-1])


def limit_pixels(signature: Signature, max_pixels: int) -> Signature:
    """The signature with a limit on the pixels of a request, where these are not bounded by the size of its images or of the request.

    Args:
        signature: One that takes image files, or images of any size.
        max_pixels: Upper bound on the sum over all images of a request.
    """
    specs = signature.inputs
    files = [i for i, spec in enumerate(specs) if spec.name == KEY and spec.dtype == tf.string]
    images = [i for i, spec in enumerate(specs) if spec.shape.rank == 4 and None in spec.shape.as_list()[1:3]]
    if not files and not images:
        return signature

    def limited(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = [tf.reduce_sum(tf.reduce_prod(read_sizes(values[i]), 1)) for i in files]
        pixels += [tf.reduce_prod(tf.shape(values[i], tf.int64)[:3]) for i in images]
        text = tf.strings.format(
            f"{specs[0].name}: a request has at most {max_pixels} pixels (zoo export --max-pixels), and this one {{}}", sum(pixels)
        )
        assertion = require(sum(pixels) <= max_pixels, text)
        return signature.function(*(depend_on([assertion], value) for value in values))

    return dataclasses.replace(signature, function=limited)


def _equals(header: tf.Tensor, expected: bytes) -> tf.Tensor:
    return tf.reduce_all(header == np.frombuffer(expected, np.uint8), 1)


@functools.cache
def blank_png(shape: tuple[int | None, ...]) -> bytes:
    """A black image of a shape, in which None is `PADDED_SIDE`, as a file."""
    *sides, channels = shape
    file = io.BytesIO()
    pixels = np.zeros([side or PADDED_SIDE for side in sides], np.uint8)
    Image.fromarray(pixels).convert("L" if channels == 1 else "RGB").save(file, "PNG")
    return file.getvalue()
