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
HEADER_BYTES = 25  # of a PNG: its start, the length and name of the first chunk, width, height, bits per channel
EXIF_STARTS = tuple(start + order for start in (b"Exif\0\0", b"eXIf") for order in (b"II*\0", b"MM\0*"))  # in JPEG and PNG files
TIFF_BYTES = 4  # of these, where the offsets begin
EXIF_BYTES, EXIF_TAGS, ORIENTATION_TAG = 2**16, 32, 0x0112  # of a file that are searched, and entries that are read
SIDEWAYS = 5  # orientations from here on exchange height and width


def encode_png(images: tf.Tensor) -> tf.Tensor:
    """Images in [0, 1] [n, h, w, c] as PNG files, string [n]."""
    pixels = tf.image.convert_image_dtype(images, tf.uint8, saturate=True)
    return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)


def decode_images(files: tf.Tensor, shape: tuple[int | None, ...]) -> tf.Tensor:
    """PNG or JPEG files, string [n], all of one size, as images in [0, 1]: upright by their EXIF orientation, and on white.

    Args:
        files: Their bytes.
        shape: Height and width that they must have (None: any), and channels: 1, 3, or 4 to keep transparency.

    Raises:
        UserError: For other files and other sizes; InvalidArgumentError inside a graph, and for damaged files.
    """
    *sides, channels = *shape[:2], shape[2] or 3
    sizes = read_sizes(files)
    low, high = tf.reduce_min(sizes, 0), tf.reduce_max(sizes, 0)
    text = tf.strings.format(f"{KEY}: the images of a request must have one size; [height width] are from {{}} to {{}}", (low, high))
    assertions = [require(tf.reduce_all(low == high), text)]
    for name, index, side in zip(("height", "width"), (0, 1), sides, strict=True):
        if side is not None:
            text = tf.strings.format(f"{KEY}: the {name} is {{}} pixels; this signature takes {side}", high[index])
            assertions.append(require(high[index] == side, text))
    spec = tf.TensorSpec([*sides, channels], tf.uint8)

    def decode(values: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        file, orientation = values
        is_jpeg = tf.strings.substr(file, 0, len(JPEG_START)) == JPEG_START
        colors = tf.cond(is_jpeg, lambda: _decode_jpeg(file, min(channels, 3)), lambda: _decode_png(file, channels))
        if channels == 4:
            colors = tf.cond(is_jpeg, lambda: tf.pad(colors, [[0, 0], [0, 0], [0, 1]], constant_values=255), lambda: colors)
        return tf.ensure_shape(_turn_upright(colors, orientation), spec.shape)

    pixels = tf.map_fn(decode, (depend_on(assertions, files), read_orientations(files)), fn_output_signature=spec)
    return tf.image.convert_image_dtype(pixels, tf.float32)


def _decode_jpeg(file: tf.Tensor, channels: int) -> tf.Tensor:
    colors = tf.io.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE")
    return tf.image.rgb_to_grayscale(colors) if channels == 1 else colors


def _decode_png(file: tf.Tensor, channels: int) -> tf.Tensor:
    """A PNG file as a uint8 image; on white, unless there are four channels."""
    image = tf.io.decode_png(file, 4)
    colors, alpha = image[..., :3], image[..., 3:]
    depth = tf.cast(tf.io.decode_raw(tf.strings.substr(file, HEADER_BYTES - 1, 1), tf.uint8)[0], tf.int32)
    filled = tf.cast(tf.bitwise.left_shift(1, tf.minimum(depth, 8)) - 1, tf.uint8)
    alpha = tf.where(tf.reduce_all(alpha == filled), tf.constant(255, tf.uint8), alpha)  # what is filled in is 1 for images of 1 bit
    if channels == 4:
        return tf.concat([colors, alpha], -1)
    opacity = tf.cast(alpha, tf.float32) / 255
    colors = tf.cast(colors, tf.float32) * opacity + 255 * (1 - opacity)
    return tf.cast(tf.round(tf.image.rgb_to_grayscale(colors) if channels == 1 else colors), tf.uint8)


def _turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """An image that was stored in one of the eight EXIF orientations."""
    image = tf.cond(orientation >= SIDEWAYS, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    for axis, orientations in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        is_flipped = tf.reduce_any(orientation == tf.constant(orientations, tf.int64))
        image = tf.cond(is_flipped, functools.partial(tf.reverse, image, [axis]), functools.partial(tf.identity, image))
    return image


def read_orientations(files: tf.Tensor) -> tf.Tensor:
    """The EXIF orientations of image files, string [n], int64 [n]: 1 to 8; 1 for files that state none."""
    content = tf.io.decode_raw(files, tf.uint8, fixed_length=EXIF_BYTES)
    tiff, exists = tf.zeros_like(tf.strings.length(files)), tf.zeros_like(files, tf.bool)
    for start in EXIF_STARTS:
        windows = tf.reduce_all([content[:, i : EXIF_BYTES - len(start) + i] == byte for i, byte in enumerate(start)], 0)
        has_start = tf.reduce_any(windows, 1)
        tiff = tf.where(has_start & ~exists, tf.argmax(windows, 1, tf.int32) + len(start) - TIFF_BYTES, tiff)
        exists |= has_start
    is_little_endian = tf.gather(content, tiff, batch_dims=1) == ord("I")

    def read_number(offsets: tf.Tensor, size: int) -> tf.Tensor:
        """The integers of `size` bytes at `offsets` [n, m]; 0 outside of what is searched."""
        places = offsets[..., None] + tf.range(size)
        inside = (places >= 0) & (places < EXIF_BYTES)
        values = tf.where(inside, tf.cast(tf.gather(content, tf.where(inside, places, 0), batch_dims=1), tf.int64), 0)
        powers = 256 ** tf.range(size, dtype=tf.int64)
        return tf.reduce_sum(values * tf.where(is_little_endian[:, None, None], powers, powers[::-1]), -1)

    directory = tiff + tf.cast(tf.minimum(read_number(tiff[:, None] + 4, 4)[:, 0], EXIF_BYTES), tf.int32)
    entries = directory[:, None] + 2 + 12 * tf.range(EXIF_TAGS)
    is_entry = tf.range(EXIF_TAGS, dtype=tf.int64) < read_number(directory[:, None], 2)
    is_orientation = exists[:, None] & is_entry & (read_number(entries, 2) == ORIENTATION_TAG)
    orientations = tf.reduce_max(tf.where(is_orientation, read_number(entries + 8, 2), 1), 1)
    return tf.where(orientations > 8, tf.ones_like(orientations), orientations)


def read_sizes(files: tf.Tensor) -> tf.Tensor:
    """Heights and widths of upright PNG or JPEG files, string [n], from their headers: int64 [n, 2].

    Raises:
        UserError: For files of another kind; InvalidArgumentError inside a graph.
    """
    header = tf.io.decode_raw(files, tf.uint8, fixed_length=HEADER_BYTES)
    is_png = _equals(header[:, :8], PNG_START) & _equals(header[:, 12:16], PNG_CHUNK)
    is_jpeg = _equals(header[:, :3], JPEG_START)
    text = f"{KEY}: not a PNG or JPEG file; as JSON, bytes are {{'b64': '...'}}"
    checked = depend_on([require(tf.reduce_all(is_png | is_jpeg), text)], files)
    is_deep = is_png & (header[:, 24] == 16)
    checked = depend_on([require(~tf.reduce_any(is_deep), f"{KEY}: PNG files of 16 bits per channel are unsupported; use 8 bits")], checked)
    numbers = tf.reshape(tf.cast(header[:, 16:24], tf.int64), [-1, 2, 4])
    width_height = tf.reduce_sum(numbers * tf.constant([2**24, 2**16, 2**8, 1], tf.int64), -1)

    def read_jpeg(values: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        file, is_file = values
        return tf.cond(is_file, lambda: tf.image.extract_jpeg_shape(file, tf.int64)[:2], lambda: tf.zeros([2], tf.int64))

    jpeg_sizes = tf.map_fn(read_jpeg, (checked, is_jpeg), fn_output_signature=tf.TensorSpec([2], tf.int64))
    sizes = tf.where(is_jpeg[:, None], jpeg_sizes, width_height[:, ::-1])
    return tf.where(read_orientations(checked)[:, None] >= SIDEWAYS, sizes[:, ::-1], sizes)


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
    Image.fromarray(pixels).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels or 3]).save(file, "PNG")
    return file.getvalue()
