"""The two ends of a model: images are [-1, 1] in here, and [0, 1] or PNG bytes out there; what is asked for is checked."""

import tensorflow as tf

from zoo.errors import UserError


def to_unit(images):
    """[-1, 1] -> [0, 1], float32, clipped."""
    return tf.clip_by_value((tf.cast(images, tf.float32) + 1) / 2, 0, 1)


def encoded(images):
    """Images in [0, 1] as PNG bytes, one a row."""
    pixels = tf.image.convert_image_dtype(images, tf.uint8, saturate=True)
    return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)


def decoded(texts, channels):
    """PNG bytes [n], all of one size, as images in [0, 1]."""
    spec = tf.TensorSpec([None, None, channels], tf.uint8)
    pixels = tf.map_fn(lambda text: tf.io.decode_png(text, channels), texts, fn_output_signature=spec)
    return tf.image.convert_image_dtype(pixels, tf.float32)


def require(holds, otherwise):
    """Raises UserError with the text `otherwise` where not `holds`; as part of a graph: InvalidArgumentError, for who asks a server."""
    if tf.is_symbolic_tensor(holds):
        tf.debugging.Assert(holds, [otherwise])
    elif not holds:
        raise UserError(otherwise)


def within(values, count, name, those):
    """Requires of a tensor of integers that all are from 0 to count - 1. name: of one; those: of what there is, in the plural."""
    require(tf.reduce_all((values >= 0) & (values < count)), f"{name}: there are {those} 0 to {count - 1}")


def translating(name, function, shape, *more):
    """Signatures `name` and `name_png` of a function of images in [-1, 1], of `shape`, to such; more: specs of what else it takes."""

    def image(image, *others):
        return {"image": to_unit(function(image * 2 - 1, *others))}

    def png(image_bytes, *others):
        return {"image_bytes": encoded(image(tf.ensure_shape(decoded(image_bytes, shape[-1]), [None, *shape]), *others)["image"])}

    return {
        name: (image, [tf.TensorSpec([None, *shape], tf.float32, "image"), *more]),
        f"{name}_png": (png, [tf.TensorSpec([None], tf.string, "image_bytes"), *more]),
    }


def rows_of(versions, samples=None, columns=8):
    """A preview: at most 16 images in [-1, 1], each version of them (original, reconstruction) below the other; then samples in [0, 1]."""
    versions = [to_unit(version[:16]) for version in versions]
    columns = min(columns, len(versions[0]))
    count = len(versions[0]) // columns * columns
    rows = [version[i : i + columns] for i in range(0, count, columns) for version in versions]
    return tf.concat([*rows, *([] if samples is None else [samples])], 0), columns
