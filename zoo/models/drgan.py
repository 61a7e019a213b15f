"""DR-GAN (Tran, Yin, Liu, CVPR 2017; TPAMI 2018, arXiv:1705.11136).

G is an encoder and a decoder: features f(x), then G(x, c, z) from f(x), the code c of a pose and noise z. D names the pose and the
identity, one of Nd and one more for generated images. For images x of identity y and pose p, and c of the asked pose t:

    discriminator   minimises  -E log D_y(x) - E log D_p(x) - E log D_{Nd+1}(G(x, c, z))
    generator       minimises  -E log D_y(G(x, c, z)) - E log D_t(G(x, c, z))                          (CVPR, eq. 3-4)

`--form tpami` is that of the journal: the identities are Nd, and a logit of D's own says real or generated (non-saturating).
`--images n` fuses n images of an identity by confidences w_i in (0, 1) that the encoder gives with the features,

    f(x_1, ..., x_n) = sum_i w_i f(x_i) / sum_i w_i,

where a random choice of them has w_i = 0 in training, never all; G minimises the sum of its terms over the fused and each single image.

`drgan_96` is the layer table; `drgan` is small, and trains a second encoder beside G, by identities and poses of real images alone, to be
compared with. Differs from the paper: the generator is not updated four times a round once D is strong; all n images of an identity have
the same code and noise; the confidence goes through no ELU (it would stay above 0.27), as in the first author's later code; transposed
convolutions of stride 1 are convolutions; what is measured and served is the whole image, where training cuts --jitter pixels off. Served
images are made with z = 0.
"""

import dataclasses
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo import ends, game, layers, losses
from zoo.errors import UserError
from zoo.registry import register

SHARE, FEWEST = 0.3, 2  # of the identities, that are held out where nothing is said; on either side
SHOWN = 8, 9  # identities and poses of a preview
AT_ONCE = 250  # images that scores are made of
QUARTERS = (25, 50, 75, 100)  # of the range of poses, in percent: how far a probe is from the gallery's pose
BY = ("", "_pixels", "_encoder")  # what identities are told by: the features, and what they are compared with


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    latent_dim: int = 50  # length of the generator's noise (Nz)
    batch_size: int = 64  # rows of one update: images, or sets of `images` of them
    num_poses: int | None = None  # default: the data's own (Np)
    held_out: int | None = None  # identities that are never trained on, drawn by --seed (default: three in ten)
    form: Literal["cvpr", "tpami"] = "cvpr"  # of the discriminator: generated images are one more identity, or it has a logit of its own
    images: int = 1  # of one identity, that are fused
    widths: tuple[int, ...] = (32, 64, 64, 64, 128, 128, 96, 192, 192, 128, 256, 256, 160, 320)  # of the encoder's convolutions: two, and
    # three at each smaller size, the last one's are the features; small images take the last ones; the decoder has them in reverse (table)
    jitter: int = 0  # pixels by which images are larger before they are cut at random
    circular: bool = False  # whether the last pose is next to the first, as on a turntable: how far poses are apart in the scores
    baseline: bool = False  # whether an encoder is trained beside the generator's by real images alone, for `rank1_encoder`

    def resolved(self, **decides):
        config = super().resolved(**decides)
        config = dataclasses.replace(config, held_out=config.held_out or max(FEWEST, round(SHARE * config.num_classes)))
        config.check()
        return config

    def check(self):
        super().check()
        if len(self.widths) < 5 or len(self.widths) % 3 != 2:
            raise UserError(f"--widths has {len(self.widths)} numbers: two, and three for each halving of the image, as 16 32 32 32 64")
        if self.num_classes and self.held_out and not FEWEST <= self.held_out <= self.num_classes - FEWEST:
            most = self.num_classes - FEWEST
            if most < FEWEST:
                raise UserError(f"there are {self.num_classes} identities; at least {2 * FEWEST} are needed, half of them to test on")
            raise UserError(f"--held-out {self.held_out}: of {self.num_classes} identities, {FEWEST} to {most} can be held out")

    @property
    def identities(self):
        """That are trained on (Nd)."""
        return self.num_classes - self.held_out


def norm_elu(x):
    return keras.layers.ELU()(layers.BatchNorm()(x))


def plan(config):
    """(sizes of the feature maps from the smallest to the image's, widths of the convolutions from the image on)."""
    sizes = layers.pyramid(config.image_shape)[-(len(config.widths) + 1) // 3 :]
    return sizes, config.widths[1 - 3 * len(sizes) :]


def trunk(image, config, more=0):
    """The layers that the encoder and D have both, but for the last ELU. more: channels beside the features."""
    x, (_, widths) = image, plan(config)
    for i, width in enumerate(widths):
        x = norm_elu(x) if i else x
        width = width + more if i == len(widths) - 1 else width
        x = layers.conv(x, width, 3, 2 if i and i % 3 == 2 else 1, use_bias=False)
    return layers.BatchNorm()(x)


def pooled(x):
    return keras.layers.GlobalAveragePooling2D(dtype="float32")(x)


def build_encoder(config):
    """Features [n, F] of images; where several are fused, the confidence [n] in each as well."""
    image = keras.Input(config.image_shape, name="image")
    x, count = trunk(image, config, more=int(config.images > 1)), config.widths[-1]
    said = {"features": pooled(keras.layers.ELU()(x[..., :count]))}
    if config.images > 1:
        said["confidence"] = ops.sigmoid(pooled(x[..., count:]))[:, 0]
    return keras.Model({"image": image}, said, name="encoder")


def build_decoder(config):
    """An image of features, a pose and noise."""
    sizes, (*widths, count) = plan(config)
    start, *larger = sizes
    features = keras.Input((count,), name="features")
    pose = keras.Input((), dtype="int64", name="pose")
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Concatenate()([features, ops.one_hot(pose, config.num_poses), latent])
    x = keras.layers.Dense(start[0] * start[1] * count, kernel_initializer=layers.normal())(x)
    x = keras.layers.Reshape((*start, count))(x)
    for i, width in enumerate(reversed(widths)):
        x = layers.rise(x, larger[i // 3], width, 3, use_bias=False) if i % 3 == 2 else layers.conv(x, width, 3, use_bias=False)
        x = norm_elu(x)
    x = layers.image_output(layers.conv(x, config.image_shape[-1], 3))
    return keras.Model({"features": features, "pose": pose, "latent": latent}, x, name="decoder")


def build_generator(config):
    encoder, decoder = build_encoder(config), build_decoder(config)
    image = keras.Input(config.image_shape, name="image")
    pose = keras.Input((), dtype="int64", name="pose")
    latent = keras.Input((config.latent_dim,), name="latent")
    said = encoder({"image": image})
    made = decoder({"features": said["features"], "pose": pose, "latent": latent})
    if config.baseline:  # averaged as the encoder is
        said["alone"] = build_namer(config, config.identities, "alone")({"image": image})["features"]
    return keras.Model({"image": image, "pose": pose, "latent": latent}, {"image": made, **said}, name="generator")


def build_namer(config, identities, name, judging=False):
    """Logits of identities and poses, and the features that they are made of; judging: how real as well."""
    image = keras.Input(config.image_shape, name="image")
    features = pooled(keras.layers.ELU()(trunk(image, config)))
    said = {"identity": layers.logits(features, identities), "pose": layers.logits(features, config.num_poses), "features": features}
    if judging and config.form == "tpami":
        said["realness"] = layers.logits(features)
    elif judging:
        said["realness"] = ops.logsumexp(said["identity"][:, :-1], axis=-1) - said["identity"][:, -1]
    return keras.Model({"image": image}, said, name=name)


def build_discriminator(config):
    return build_namer(config, config.identities + (config.form == "cvpr"), "discriminator", judging=True)


def fused(features, weights):
    """sum(w f) / sum(w): features [n, images, F] and weights [n, images] -> [n, F]."""
    weights = weights[..., None]
    return tf.reduce_sum(weights * features, 1) / tf.reduce_sum(weights, 1)


def chosen(shape, first, second):
    """1 for the images that are kept, else 0, float32 [n, images]: of each row as many as a draw of 1 to all says. Two seeds."""
    rows, images = shape
    count = tf.random.stateless_uniform([rows, 1], first, 1, images + 1, tf.int32)
    rank = tf.argsort(tf.random.stateless_uniform([rows, images], second))
    return tf.cast(rank < count, tf.float32)


def identified(vectors, label, pose):
    """(whether each probe is named rightly, by how many poses it is apart from the gallery's image of its identity), bool and int [probes].

    The gallery is one image of each identity, that of its first pose; all others are probes, and take the name of the nearest.
    """
    order = np.lexsort((pose, label))
    gallery = order[np.unique(label[order], return_index=True)[1]]
    probes = np.setdiff1d(np.arange(len(label)), gallery)
    seen, known = (np.asarray(vectors[rows], np.float64) for rows in (probes, gallery))
    squares = np.square(known).sum(1) - 2 * seen @ known.T  # but for the probe's own, the same in a row
    named = label[gallery][squares.argmin(1)]
    own = np.searchsorted(label[gallery], label[probes])
    return named == label[probes], np.abs(pose[probes] - pose[gallery][own])


@register(
    drgan=Config(
        form="tpami",
        batch_size=32,
        widths=(16, 16, 16, 16, 32, 32, 32, 48, 48, 48, 64, 64, 64, 320),
        baseline=True,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        schedule="linear",
        steady=0.5,
        averaging=0.99,
        steps=800,
        every=200,
    ),
    drgan_96=Config(image_shape=(96, 96, 3), jitter=14, steps=200_000, every=1000),
    drgan_tpami_96=Config(image_shape=(96, 96, 3), jitter=14, steps=200_000, every=1000, form="tpami"),
    drgan_multi_96=Config(image_shape=(96, 96, 3), jitter=14, steps=200_000, every=1000, images=6, batch_size=10),
)
class DRGAN(game.Game):
    """Turns what it sees to another pose, and knows it again from any: features without the pose."""

    batch_keys = ("image", "label", "pose")
    data = "turned_digits"
    draws = False
    reads = False
    measures = tuple(f"rank1{by}{apart}" for by in BY for apart in ("", *(f"_apart_{percent}" for percent in QUARTERS)))

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    @staticmethod
    def prepare(config, source):
        source = source.split_by_label(config.held_out, config.seed).jittered(config.jitter, flip=False)
        return source.together(config.images) if config.images > 1 else source

    def prior(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed, -1, 1)

    def flat(self, images):
        """Single images, of rows that hold one or several each."""
        return tf.reshape(images, [-1, *self.config.image_shape])

    def encoded(self, network, images, training=False):
        """(features [n, images, F], weights [n, images]) of images in [-1, 1], [n, images, h, w, c]."""
        shape = tf.shape(images)[:2]
        said = network.get_layer("encoder")({"image": self.flat(images)}, training=training)
        features = tf.reshape(said["features"], [*tf.unstack(shape), self.config.widths[-1]])
        return features, tf.reshape(said["confidence"], shape) if "confidence" in said else tf.ones(shape)

    def generate(self, batch):
        """Images turned to random poses, with those and their identities: of each single image, then of those fused."""
        config, rows = self.config, tf.shape(batch["label"])[0]
        pose = tf.random.stateless_uniform([rows], self.randomness.next(), 0, config.num_poses, tf.int64)
        latent = self.prior((rows, config.latent_dim), self.randomness.next())
        images = tf.reshape(batch["image"], [rows, config.images, *config.image_shape])
        features, weights = self.encoded(self.generator, images, training=True)
        asked = {"features": tf.reshape(features, [-1, config.widths[-1]])}
        asked |= {"pose": tf.repeat(pose, config.images), "latent": tf.repeat(latent, config.images, axis=0)}
        label = tf.repeat(batch["label"], config.images)
        if config.images > 1:
            weights *= chosen((rows, config.images), self.randomness.next(), self.randomness.next())
            whole = {"features": fused(features, weights), "pose": pose, "latent": latent}
            asked = {key: tf.concat([value, whole[key]], 0) for key, value in asked.items()}
            label = tf.concat([label, batch["label"]], 0)
        image = self.generator.get_layer("decoder")(asked, training=True)
        return {"image": image, "pose": asked["pose"], "label": label}

    def judge(self, images, batch=None):
        return self.discriminator({"image": self.augmented(images)}, training=True)

    def discriminator_loss(self, batch, fake):
        images, pose = self.flat(batch["image"]), tf.reshape(batch["pose"], [-1])
        label = tf.repeat(batch["label"], self.config.images)
        real, made = self.judge(images), self.judge(fake["image"])
        terms = {"d_identity": losses.class_error(label, real["identity"]), "d_pose": losses.class_error(pose, real["pose"])}
        self.note_logits(real["realness"], made["realness"][: tf.shape(images)[0]])  # of the single ones, which are as many
        if self.config.form == "tpami":
            terms["d_adversarial"] = self.objective.discriminator(real["realness"], made["realness"])
        else:
            terms["d_fake"] = losses.class_error(tf.fill(tf.shape(fake["label"]), self.config.identities), made["identity"])
        return terms

    def generator_loss(self, batch, fake):
        """Of the fused images; of the single ones, if there are several, the sum over them."""
        made, images = self.judge(fake["image"]), self.config.images
        single = tf.shape(fake["label"])[0] // (images + 1) * images if images > 1 else 0
        parts = {"g": (slice(single, None), 1), **({"g_single": (slice(0, single), images)} if images > 1 else {})}
        terms = {}
        for name, (rows, count) in parts.items():
            terms[f"{name}_identity"] = count * losses.class_error(fake["label"][rows], made["identity"][rows])
            terms[f"{name}_pose"] = count * losses.class_error(fake["pose"][rows], made["pose"][rows])
            if self.config.form == "tpami":
                terms[f"{name}_adversarial"] = count * self.g_adversarial(made["realness"][rows])
        if self.config.baseline:
            alone = self.generator.get_layer("alone")({"image": self.augmented(self.flat(batch["image"]))}, training=True)
            terms["g_alone_identity"] = losses.class_error(tf.repeat(batch["label"], images), alone["identity"])
            terms["g_alone_pose"] = losses.class_error(tf.reshape(batch["pose"], [-1]), alone["pose"])
        return terms

    def turned(self, features, pose):
        """Images in [-1, 1] of features and poses [n], with no noise, by the averaged decoder. UserError: no such pose."""
        pose = tf.convert_to_tensor(pose, tf.int64)
        ends.within(pose, self.config.num_poses, "pose", "poses")
        asked = {"features": features, "pose": pose}
        asked["latent"] = tf.zeros([tf.shape(features)[0], self.config.latent_dim])
        return self.averaged.get_layer("decoder")(asked, training=False)

    def rotate(self, image, pose):
        """Images in [-1, 1] turned to poses [n]."""
        return self.turned(self.features(image), pose)

    def features(self, images):
        """[n, F] of images in [-1, 1], by the averaged encoder."""
        return self.averaged.get_layer("encoder")({"image": images}, training=False)["features"]

    def preview(self, batch):
        """An identity a row: what is given of it, then its turns from the first pose to the last."""
        identities, poses = SHOWN
        rows = np.unique(batch["label"], return_index=True)[1][:identities]
        given = tf.reshape(batch["image"], [-1, self.config.images, *self.config.image_shape])
        given = tf.gather(given, rows)
        asked = np.unique(np.linspace(0, self.config.num_poses - 1, min(poses, self.config.num_poses)).round().astype(np.int64))
        features = tf.repeat(fused(*self.encoded(self.averaged, given)), len(asked), axis=0)
        turns = self.turned(features, np.tile(asked, len(rows)))
        turns = tf.reshape(turns, [len(rows), len(asked), *self.config.image_shape])
        return ends.to_unit(self.flat(tf.concat([given, turns], 1))), self.config.images + len(asked)

    def exports(self):
        shape = self.config.image_shape
        image, pose = tf.TensorSpec([None, *shape], tf.float32, "image"), tf.TensorSpec([None], tf.int64, "pose")
        images = tf.TensorSpec([None, None, *shape], tf.float32, "images")
        turning = ends.translating("rotate", self.rotate, shape, pose)

        def features(image):
            return {"features": self.features(ends.from_unit(image))}

        def fuse(images):
            return {"features": fused(*self.encoded(self.averaged, ends.from_unit(images, "images")))}

        return {"serving_default": turning["rotate"], **turning, "features": (features, [image]), "fuse": (fuse, [images])}

    def scores(self, held, classify):
        """Rank-1 identification of identities that were not trained on, and by how much of the range of poses a probe was turned."""
        images, label, pose = held["image"], held["label"], held["pose"]
        if len(np.unique(label)) == len(label):
            return {}  # a probe must be left

        def seen(network):
            parts = [tf.constant(images[i : i + AT_ONCE] / 127.5 - 1, tf.float32) for i in range(0, len(images), AT_ONCE)]
            vectors = np.concatenate([np.asarray(network(part)) for part in parts])
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # so that the nearest is that of the smallest angle

        vectors = {"": seen(self.features), "_pixels": images.reshape(len(images), -1)}
        if self.config.baseline:
            vectors["_encoder"] = seen(lambda part: self.averaged.get_layer("alone")({"image": part}, training=False)["features"])
        found, count = {}, self.config.num_poses
        for by, rows in vectors.items():
            right, apart = identified(rows, label, pose)
            apart, most = (np.minimum(apart, count - apart), count // 2) if self.config.circular else (apart, count - 1)
            quarter = np.maximum(np.ceil(apart * 4 / max(most, 1)), 1)
            found[f"rank1{by}"] = right.mean()
            found |= {f"rank1{by}_apart_{q}": right[quarter == i].mean() for i, q in enumerate(QUARTERS, 1) if (quarter == i).any()}
        return {name: float(value) for name, value in found.items()}
