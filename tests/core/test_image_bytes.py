"""Image files of requests: what is refused before it is decoded, and that the others become the same pixels as files in a folder."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo.core.image_bytes import decode_images, encode_png, limit_pixels, read_sizes
from zoo.core.images import image_to_image_signatures
from zoo.data.image_files import open_upright, to_pixels
from zoo.errors import UserError

ANY, FIXED = (None, None, 3), (8, 8, 3)


def png(height, width, channels=3):
    return tf.io.encode_png(np.full([height, width, channels], 51, np.uint8)).numpy()


def claim_size(height, width):
    """A PNG whose header claims a size that its pixels do not have."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + png(8, 8)[24:]


def jpeg(height, width):
    return tf.io.encode_jpeg(np.full([height, width, 3], 51, np.uint8)).numpy()


def refused(function, message, *values):
    """Whether a function of tensors refuses values with a message, in Python and in a graph."""
    with pytest.raises(UserError, match=message):
        function(*map(tf.constant, values))
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tf.function(function)(*map(tf.constant, values))
    return True


def test_sizes_are_read_from_headers():
    files = tf.constant([png(8, 300), jpeg(700, 16), png(2, 3, 1), claim_size(2**31 - 1, 2**30)])
    assert read_sizes(files).numpy().tolist() == [[8, 300], [700, 16], [2, 3], [2**31 - 1, 2**30]]
    assert read_sizes(tf.constant([], tf.string)).shape == (0, 2)


@pytest.mark.parametrize("file", [b"", b"BM" + bytes(60), b"GIF89a" + bytes(30), png(8, 8)[:14], b"\x89PNG" + bytes(40)])
def test_other_files_are_refused(file):
    with pytest.raises(UserError, match="image_bytes: not a PNG or JPEG file"):
        decode_images(tf.constant([png(8, 8), file]), ANY)


def test_other_files_are_refused_by_a_server():
    assert refused(lambda files: decode_images(files, ANY), "image_bytes: not a PNG or JPEG file", [png(8, 8), b"junk"])


def test_one_request_has_images_of_one_size():
    message = r"must have one size; \[height width\] are from \[8 7\] to \[9 8\]"
    assert refused(lambda files: decode_images(files, ANY), message, [png(8, 8), png(9, 7)])


def test_images_of_another_size_are_not_decoded():
    files = [claim_size(30_000, 8)]
    assert refused(lambda files: decode_images(files, FIXED), "the height is 30000 pixels; this signature takes 8", files)


def test_images_are_decoded():
    files = tf.constant([png(8, 9), jpeg(8, 9)])
    images = decode_images(files, ANY)
    assert images.shape == (2, 8, 9, 3)
    np.testing.assert_allclose(images, 0.2, atol=0.01)
    assert decode_images(encode_png(images[:, :, :, :1]), (None, None, 1)).shape == (2, 8, 9, 1)


def save(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def difference(content, channels):
    """The largest difference, in levels of 255, between a file in a request and the same file in a folder."""
    decoded = decode_images(tf.constant([content]), (None, None, channels))[0].numpy() * 255
    expected = to_pixels(open_upright(io.BytesIO(content), transparent=channels == 4), channels)
    assert decoded.shape == expected.shape
    return np.abs(decoded - expected).max()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("format", "endian"), [("JPEG", "<"), ("PNG", "<"), ("JPEG", ">"), ("PNG", ">")])
def test_images_are_turned_upright(format, endian, orientation):
    steps = np.linspace(0, 255, 16 * 24).reshape(16, 24)
    image = Image.fromarray(np.uint8(np.stack([steps, steps[::-1], steps[:, ::-1]], -1)))
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010E], exif[0x0112], exif[0x0131] = "a description", orientation, "software"
    content = save(image, format=format, exif=exif.tobytes())
    assert difference(content, 3) < 0.01
    size = [24, 16] if orientation >= 5 else [16, 24]
    assert read_sizes(tf.constant([content])).numpy().tolist() == [size]
    plain = save(image.resize((size[1], size[0])), format=format)  # in one request with others
    assert decode_images(tf.constant([content, plain]), ANY).shape == (2, *size, 3)


@pytest.mark.parametrize("content", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"eXIfMM\0*\0\0\0\x08\xff\xff" + bytes(24)])
def test_damaged_orientations_are_ignored(content):
    file = jpeg(8, 9)
    file = file[:20] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + file[20:]
    assert decode_images(tf.constant([file]), ANY).shape == (1, 8, 9, 3)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "1"])
def test_transparent_images_are_on_white(mode, channels):
    colors = np.random.RandomState(0).randint(0, 256, (9, 7, 4), np.uint8)
    colors[0, 0, 3] = 0
    image = Image.fromarray(colors).convert(mode)
    options = {"transparency": 3} if mode == "P" else {}
    content = save(image, format="PNG", **options)
    if channels == 4 and mode in ("LA", "P", "RGBA"):
        decoded = decode_images(tf.constant([content]), (None, None, 4)).numpy()[0]
        assert 0 <= decoded[..., 3].min() < decoded[..., 3].max() <= 1
    else:
        assert difference(content, channels) < 1.01


def test_pixels_of_a_request_are_limited():
    signatures = image_to_image_signatures("negate", lambda image: -image, ANY)
    limited = {name: limit_pixels(signature, 200) for name, signature in signatures.items()}
    files, images = [png(10, 10)] * 2, np.zeros([2, 10, 10, 3], np.float32)
    assert limited["negate_png"](tf.constant(files))["image_bytes"].shape == (2,)
    assert limited["negate"](tf.constant(images))["image"].shape == images.shape
    message = r"a request has at most 200 pixels \(zoo export --max-pixels\), and this one"
    assert refused(limited["negate_png"], f"image_bytes: {message} 300", [*files, png(10, 10)])
    with pytest.raises(UserError, match=message):
        limited["negate_png"](tf.constant([claim_size(2**31 - 1, 2**31 - 1)]))
    assert refused(limited["negate"], f"image: {message} 300", np.zeros([3, 10, 10, 3], np.float32))
    fixed = image_to_image_signatures("negate", lambda image: -image, FIXED)
    assert limit_pixels(fixed["negate"], 1) is fixed["negate"]  # the model bounds the size, and the rows are sent


@pytest.mark.parametrize("shape", [ANY, FIXED])
def test_no_files_give_no_files(shape):
    signature = limit_pixels(image_to_image_signatures("negate", lambda image: -image, shape)["negate_png"], 300)
    served = tf.function(lambda files: signature(files), input_signature=signature.inputs)
    assert served(tf.constant([], tf.string))["image_bytes"].shape == (0,)
    assert served(tf.constant([png(8, 8)]))["image_bytes"].shape == (1,)
