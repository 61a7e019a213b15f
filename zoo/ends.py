"""The two ends of a model: images are [-1, 1] in here, and [0, 1] or PNG bytes out there; what is asked for is checked."""

import tensorflow as tf

from zoo.errors import UserError


def to_unit(images):
    """[-1, 1] -> [0, 1], float32, clipped."""
    return tf.clip_by_value((tf.cast(images, tf.float32) + 1) / 2, 0, 1)


def from_unit(images, name="image"):
    """[0, 1] -> [-1, 1], float32. name: of what is given. UserError: values are of another range, such as 0 to 255."""
    images = tf.cast(images, tf.float32)
    inside = tf.reduce_all((images > -0.01) & (images < 1.01))  # pictures that were resized may be a little beyond
    require(inside, f"{name}: values are from 0 to 1 here, not from 0 to 255 or from -1 to 1")
    return images * 2 - 1


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
    """Raises UserError with the text `otherwise` where not `holds`; as part of a graph: InvalidArgumentError, for who asks a server.

    Returns that part of the graph, which comes first only before what is made to wait for it.
    """
    if tf.is_symbolic_tensor(holds):
        return tf.debugging.Assert(holds, [otherwise])
    if not holds:
        raise UserError(otherwise)
    return None


def row_each(values, like, name, of):
    """`values`, once it is known that there are as many as rows of `like`. name: of one of them; of: what a row is."""
    known = require(tf.equal(tf.size(values), tf.shape(like)[0]), f"{name}: there must be one for each {of}")
    with tf.control_dependencies([] if known is None else [known]):
        return tf.identity(values)


def within(values, count, name, those):
    """Requires of a tensor of integers that all are from 0 to count - 1. name: of one; those: of what there is, in the plural."""
    require(tf.reduce_all((values >= 0) & (values < count)), f"{name}: there are {those} 0 to {count - 1}")


def asked(game, seed, truncation, conditions):
    """What `Game.sample` is asked for, as tensors of a row a seed. UserError: see there."""
    if not game.draws:
        raise UserError(f"this model makes images of other images: serve(NAME, ...), with one of {', '.join(game.exports())}")
    seed = tf.convert_to_tensor(seed, tf.int64)
    if seed.shape.rank != 1:
        raise UserError(f"seed has shape {list(seed.shape)}; give one number for each image, in a list: [7]")
    conditions = {name: tf.convert_to_tensor(value, tf.int64) for name, value in conditions.items()}
    if unasked := [name for name in conditions if name not in game.conditions]:
        raise UserError(f"{unasked[0]}: this model does not ask for it; it asks for {' and '.join(['seed', *game.conditions])}")
    if missing := [name for name in game.conditions if name not in conditions]:
        raise UserError(f"{missing[0]} is missing; this model needs one for each seed")
    game.known(conditions)
    for name, value in conditions.items():
        if value.shape.rank != 1 or tf.executing_eagerly() and value.shape != seed.shape:
            raise UserError(f"{len(seed)} seeds and {name} of shape {list(value.shape)}: there must be one for each seed")
        conditions[name] = row_each(value, seed, name, "seed")
    if truncation is not None and not game.truncates:
        raise UserError("this model was not made for truncation; leave it out")
    if truncation is not None:
        truncation = tf.convert_to_tensor(truncation, tf.float32)
        require(tf.reduce_all(truncation > 0), "truncation must be more than 0; 0.5 is strong, 2 weak, 10 as good as none")
        truncation = row_each(truncation, seed, "truncation", "seed") if truncation.shape.rank else tf.fill(tf.shape(seed), truncation)
    return seed, truncation, conditions


def answer(offered, signature, inputs):
    """The outputs of one of the signatures that are offered (see `Game.exports`) for inputs by name. UserError: see `Game.serve`."""
    if signature not in offered:
        raise UserError(f"there is no signature '{signature}'; there is: {', '.join(offered)}")
    function, specs = offered[signature]
    if set(inputs) != (names := {spec.name for spec in specs}):
        wrong = [f"{name} is missing" for name in sorted(names - set(inputs))]
        wrong += [f"{name} is not taken" for name in sorted(set(inputs) - names)]
        raise UserError(f"{signature} takes {', '.join(sorted(names))}: {', '.join(wrong)}")
    given = [tf.convert_to_tensor(inputs[spec.name], spec.dtype) for spec in specs]
    for value, spec in zip(given, specs):
        if not spec.shape.is_compatible_with(value.shape):
            raise UserError(f"{spec.name} has shape {list(value.shape)}; {signature} takes {list(spec.shape)}")
    return function(*given)


def drawing(game):
    """The signatures of a model that makes images of noise, and those of its discriminator where it has one."""
    conditions = [tf.TensorSpec([None], tf.int64, name) for name in game.conditions]
    drawn = [tf.TensorSpec([None], tf.int64, "seed"), *conditions]
    drawn += [tf.TensorSpec([None], tf.float32, "truncation")] if game.truncates else []

    def known(names, values, like, of):
        return {name: row_each(value, like, name, of) for name, value in game.known(dict(zip(names, values))).items()}

    def serving_default(latent, *values):
        require(tf.reduce_all(tf.math.is_finite(latent)), "latent: values must be finite")
        return {"image": to_unit(game.draw(game.averaged, latent, **known(game.conditions, values, latent, "latent")))}

    def sample(*values):
        return {"image": game.sample(**dict(zip([spec.name for spec in drawn], values)))}

    def png(*values):
        return {"image_bytes": encoded(sample(*values)["image"])}

    latent = tf.TensorSpec([None, game.config.latent_dim], tf.float32, "latent")
    offered = {"serving_default": (serving_default, [latent, *conditions]), "sample": (sample, drawn), "png": (png, drawn)}
    if not game.discriminator:
        return offered
    judged = [tf.TensorSpec([None], tf.int64, i.name) for i in game.discriminator.inputs if i.dtype == "int64"]

    def discriminate(image, *values):
        return game.discriminate(image, **known([spec.name for spec in judged], values, image, "image"))

    image = tf.TensorSpec([None, *game.config.image_shape], tf.float32, "image")
    return {**offered, "discriminate": (discriminate, [image, *judged])}


def translating(name, function, shape, *more):
    """Signatures `name` and `name_png` of a function of images in [-1, 1], of `shape`, to such; more: specs of what it takes a row."""

    def image(image, *others):
        others = [row_each(value, image, spec.name, "image") for value, spec in zip(others, more)]
        return {"image": to_unit(function(from_unit(image), *others))}

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
