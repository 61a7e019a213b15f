"""DR-GAN (Tran, Yin, Liu, CVPR 2017; TPAMI 2018, arXiv:1705.11136).

G is an encoder and a decoder: features f(x), then G(x, c, z) from f(x), a pose code c and noise z. D classifies pose and identity, with
one class in addition to the Nd identities for generated images. For images x of identity y and pose p, and c the code of the target pose t:

    discriminator   minimizes  -E log D_y(x) - E log D_p(x) - E log D_{Nd+1}(G(x, c, z))
    generator       minimizes  -E log D_y(G(x, c, z)) - E log D_t(G(x, c, z))                          (CVPR, eq. 3-4)

`--variant tpami` is the journal's version: D classifies the Nd identities, and has a separate real/fake logit (non-saturating loss).
`--images-per-set n` fuses n images of an identity by confidences w_i in (0, 1) that the encoder predicts with the features,

    f(x_1, ..., x_n) = sum_i w_i f(x_i) / sum_i w_i,

where, during training, a random proper subset of the w_i is set to 0; G minimizes the sum of its losses on the fused and on each single
image. `drgan_96` is the paper's layer table. `drgan` is small, and trains a baseline in addition to G for comparison: a second encoder, as
a classifier of identity and pose on real images only.

Differs from the paper: G is updated once per step; the paper updates it four times once D is strong. The n images of a set share the pose
code and the noise; in the paper each image has its own. The confidence has no ELU, as in the first author's later code; an ELU would keep
it above 0.27. The decoder's layers of stride 1 are convolutions; the paper's are transposed convolutions. Images are cropped at random in
training only; scores and serving use the whole image. Served images use z = 0; the paper's z is random. `drgan` also minimizes an additive
margin softmax of the features of real images (`--identity-weight`; in the first author's later code, D has one), and, for pairs of images
of an identity, the absolute difference between each image rotated to the pose of the other and the other (`--view-weight`).
"""

import dataclasses
import functools
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo.core import Game, ImageConfig, Omittable, Signature, layers, losses, replicas
from zoo.core.images import from_unit, image_to_image_signatures, to_unit
from zoo.core.signatures import require_in_range
from zoo.errors import UserError
from zoo.metrics import identification
from zoo.registry import register

PREVIEW_IDENTITIES, PREVIEW_POSES = 8, 9


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    latent_dim: int = 50  # dimension of the latent vector (Nz)
    batch_size: int = 64  # rows of one update: images, or sets of `images_per_set` images
    num_poses: Omittable[int] = None  # number of poses (Np; default: from the data)
    held_out_identities: Omittable[int] = None  # number of identities to test on, chosen by --seed (default: 30%)
    # cvpr: an extra "fake" class among the identities (Nd + 1); tpami: a separate real/fake logit
    variant: Literal["cvpr", "tpami"] = "cvpr"
    images_per_set: int = 1  # number of images of one identity whose features are fused
    # output channels of each encoder convolution (two at full resolution, three at each lower one; the last is the feature dimension);
    # small images use the last entries; the decoder is symmetric (layer table)
    widths: tuple[int, ...] = (32, 64, 64, 64, 128, 128, 96, 192, 192, 128, 256, 256, 160, 320)
    jitter: int = 0  # random jitter: training images are resized to (size + jitter) pixels and cropped at random
    circular_poses: bool = False  # whether the last pose is next to the first, as on a turntable (for pose distances in the scores)
    identity_weight: float = 0  # weight of a loss that identifies real images by their features (not in the paper)
    view_weight: float = 0  # weight of the absolute difference to another real image, whose pose is the target (not in the paper)
    baseline: bool = False  # whether to also train an encoder on real images alone, for the score `rank1_baseline`
    channel_counts = (1, 3)

    def resolve(self, **data_defaults):
        config = super().resolve(**data_defaults)
        held_out = config.held_out_identities or identification.default_held_out(config.num_classes)
        config = dataclasses.replace(config, held_out_identities=held_out)
        config.validate()
        return config

    def validate(self):
        super().validate()
        if len(self.widths) < 5 or len(self.widths) % 3 != 2:
            raise UserError(f"--widths has {len(self.widths)} values; give two, and three per lower resolution, as 16 32 32 32 64")
        if self.num_classes and self.held_out_identities:
            identification.check_held_out(self.held_out_identities, self.num_classes)

    @property
    def images_per_row(self):
        """Images of one identity in each row of a batch: at least two if views are compared with real images."""
        return max(self.images_per_set, 2 if self.view_weight else 1)

    @property
    def num_identities(self):
        """Identities to train on (Nd)."""
        return self.num_classes - self.held_out_identities


def norm_elu(x):
    return keras.layers.ELU()(layers.BatchNorm()(x))


def plan_layers(config):
    """(sizes of the feature maps, smallest first; channels of the convolutions, from the image on)."""
    sizes = layers.resolutions(config.image_shape)[-(len(config.widths) + 1) // 3 :]
    return sizes, config.widths[1 - 3 * len(sizes) :]


def encoder_trunk(image, config, extra_channels=0):
    """The layers that the encoder and D have in common, up to the last ELU, with `extra_channels` in addition to the features."""
    x, (_, widths) = image, plan_layers(config)
    for i, width in enumerate(widths):
        x = norm_elu(x) if i else x
        width = width + extra_channels if i == len(widths) - 1 else width
        x = layers.conv(x, width, 3, 2 if i and i % 3 == 2 else 1, use_bias=False)
    return layers.BatchNorm()(x)


def average_pool(x):
    return keras.layers.GlobalAveragePooling2D(dtype="float32")(x)


def build_encoder(config):
    """Build the model from images to features [n, f], confidences [n] if several are fused, and optionally cosines to each identity."""
    image = keras.Input(config.image_shape, name="image")
    x, num_features = encoder_trunk(image, config, extra_channels=int(config.images_per_set > 1)), config.widths[-1]
    outputs = {"features": average_pool(keras.layers.ELU()(x[..., :num_features]))}
    if config.images_per_set > 1:
        outputs["confidence"] = ops.sigmoid(average_pool(x[..., num_features:]))[:, 0]
    if config.identity_weight:
        outputs["identity"] = layers.Cosines(config.num_identities)(outputs["features"])
    return keras.Model({"image": image}, outputs, name="encoder")


def build_decoder(config):
    """Build the model from features, a pose and noise to an image."""
    sizes, (*widths, num_features) = plan_layers(config)
    start, *larger = sizes
    features = keras.Input((num_features,), name="features")
    pose = keras.Input((), dtype="int64", name="pose")
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Concatenate()([features, ops.one_hot(pose, config.num_poses), latent])
    x = keras.layers.Dense(start[0] * start[1] * num_features, kernel_initializer=layers.normal_init())(x)
    x = keras.layers.Reshape((*start, num_features))(x)
    for i, width in enumerate(reversed(widths)):
        x = layers.upsample_conv(x, larger[i // 3], width, 3, use_bias=False) if i % 3 == 2 else layers.conv(x, width, 3, use_bias=False)
        x = norm_elu(x)
    x = layers.image_output(layers.conv(x, config.image_shape[-1], 3))
    return keras.Model({"features": features, "pose": pose, "latent": latent}, x, name="decoder")


def build_generator(config):
    encoder, decoder = build_encoder(config), build_decoder(config)
    image = keras.Input(config.image_shape, name="image")
    pose = keras.Input((), dtype="int64", name="pose")
    latent = keras.Input((config.latent_dim,), name="latent")
    encoding = encoder({"image": image})
    outputs = {"image": decoder({"features": encoding["features"], "pose": pose, "latent": latent}), **encoding}
    if config.baseline:  # part of the generator, so that it has an EMA as the encoder does
        outputs["baseline"] = build_classifier(config, config.num_identities, "baseline_encoder")({"image": image})["features"]
    return keras.Model({"image": image, "pose": pose, "latent": latent}, outputs, name="generator")


def build_classifier(config, num_identities, name, realness=False):
    """Build the model from images to logits of identity and pose, the features below, and optionally the logit that an image is real."""
    image = keras.Input(config.image_shape, name="image")
    features = average_pool(keras.layers.ELU()(encoder_trunk(image, config)))
    identity, pose = layers.logits(features, num_identities), layers.logits(features, config.num_poses)
    outputs = {"identity": identity, "pose": pose, "features": features}
    if realness and config.variant == "tpami":
        outputs["realness"] = layers.logits(features)
    elif realness:
        outputs["realness"] = ops.logsumexp(identity[:, :-1], axis=-1) - identity[:, -1]
    return keras.Model({"image": image}, outputs, name=name)


def build_discriminator(config):
    return build_classifier(config, config.num_identities + (config.variant == "cvpr"), "discriminator", realness=True)


def fuse_features(features, weights):
    """Fuse the features of a set by their weighted mean: [n, images, f] and weights [n, images] -> [n, f]."""
    weights = weights[..., None]
    return tf.reduce_sum(weights * features, 1) / tf.reduce_sum(weights, 1)


def random_subset(shape, size_seed, order_seed):
    """Draw a random subset of each set, 1 to all of its images, as a mask of 0 and 1: float32 [n, images]."""
    rows, images = shape
    size = replicas.draw_rows(lambda count: tf.random.stateless_uniform([count, 1], size_seed, 1, images + 1, tf.int32), rows)
    rank = tf.argsort(replicas.draw_rows(lambda count: tf.random.stateless_uniform([count, images], order_seed), rows))
    return tf.cast(rank < size, tf.float32)


@register(
    drgan=Config(
        variant="tpami",
        batch_size=16,  # pairs of images
        identity_weight=100,
        view_weight=100,
        widths=(16, 16, 16, 16, 32, 32, 32, 48, 48, 48, 64, 64, 64, 320),
        baseline=True,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        schedule="linear",
        decay_start=0.5,
        ema_decay=0.99,
        steps=1600,
        eval_every=400,
    ),
    drgan_96=Config(image_shape=(96, 96, 3), jitter=14, steps=200_000, eval_every=1000),
    drgan_tpami_96=Config(image_shape=(96, 96, 3), jitter=14, steps=200_000, eval_every=1000, variant="tpami"),
    drgan_multi_96=Config(image_shape=(96, 96, 3), jitter=14, steps=200_000, eval_every=1000, images_per_set=6, batch_size=10),
)
class DRGAN(Game):
    """Rotates faces or objects to another pose, and recognizes them in any pose by pose-invariant features."""

    batch_keys = ("image", "label", "pose")
    generates_from_noise = False
    own_metrics = identification.IDENTIFICATION_METRICS
    discriminator_outputs = ("identity", "pose", "features", "realness")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    @staticmethod
    def prepare_data(config, source):
        source = source.split_by_label(config.held_out_identities, config.seed).with_jitter(config.jitter, flip=False)
        return source.group_by_label(config.images_per_row) if config.images_per_row > 1 else source

    def sample_latent(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed, -1, 1)

    def flatten_sets(self, images):
        """Flatten images, or sets of images, to single images [n, h, w, c]."""
        return tf.reshape(images, [-1, *self.config.image_shape])

    def fuse_sets(self, encoding, shape, subset=1.0):
        """Fuse outputs of the encoder for [sets, images] images: the features of those images that a mask `subset` of 0 and 1 selects."""
        features = tf.reshape(encoding["features"], [*shape, self.config.widths[-1]])
        return fuse_features(features, subset * tf.reshape(encoding["confidence"], shape))

    def generate(self, batch):
        """Rotate single images, then fused sets, to random poses; with `view_weight` to those of other images of the same rows."""
        config, rows, count = self.config, tf.shape(batch["label"])[0], self.config.images_per_row
        target = replicas.draw_integers(self.seeds.next(), rows, config.num_poses)
        latent = replicas.draw_latents(self, rows)
        encoding = self.generator.get_layer("encoder")({"image": self.flatten_sets(batch["image"])}, training=True)
        pose = tf.reshape(tf.roll(batch["pose"], -1, 1), [-1]) if config.view_weight else tf.repeat(target, count)
        inputs = {"features": encoding["features"], "pose": pose, "latent": tf.repeat(latent, count, axis=0)}
        label = tf.repeat(batch["label"], count)
        if config.images_per_set > 1:
            subset = random_subset((rows, count), self.seeds.next(), self.seeds.next())
            target = batch["pose"][:, 0] if config.view_weight else target
            fused = {"features": self.fuse_sets(encoding, (rows, count), subset), "pose": target, "latent": latent}
            inputs = {key: tf.concat([value, fused[key]], 0) for key, value in inputs.items()}
            label = tf.concat([label, batch["label"]], 0)
        fake = {"image": self.generator.get_layer("decoder")(inputs, training=True), "pose": inputs["pose"], "label": label}
        return fake | ({"identity": encoding["identity"]} if config.identity_weight else {})

    def call_discriminator(self, images, batch=None):
        return self.discriminator({"image": self.augment(images)}, training=True)

    def discriminator_loss(self, batch, fake):
        images, pose = self.flatten_sets(batch["image"]), tf.reshape(batch["pose"], [-1])
        label = tf.repeat(batch["label"], self.config.images_per_row)
        on_real, on_fake = self.call_discriminator(images), self.call_discriminator(fake["image"])
        terms = {f"d_{key}": losses.class_cross_entropy(target, on_real[key]) for key, target in (("identity", label), ("pose", pose))}
        self.step_metrics.log_logits(on_real["realness"], on_fake["realness"][: tf.shape(images)[0]])  # of the single images
        if self.config.variant == "tpami":
            terms["d_adversarial"] = self.objective.discriminator(on_real["realness"], on_fake["realness"])
        else:
            terms["d_fake"] = losses.class_cross_entropy(tf.fill(tf.shape(fake["label"]), self.config.num_identities), on_fake["identity"])
        return terms

    def generator_loss(self, batch, fake):
        """The loss on the fused images, and if there are several in a set, the sum of the losses on the single ones."""
        outputs, images = self.call_discriminator(fake["image"]), self.config.images_per_set
        num_singles = tf.shape(fake["label"])[0] // (images + 1) * images if images > 1 else 0
        parts = {"g": (slice(num_singles, None), 1)} | ({"g_single": (slice(num_singles), images)} if images > 1 else {})
        terms = {}
        for name, (rows, count) in parts.items():
            for key, target in (("identity", fake["label"]), ("pose", fake["pose"])):
                terms[f"{name}_{key}"] = count * losses.class_cross_entropy(target[rows], outputs[key][rows])
            if self.config.variant == "tpami":
                terms[f"{name}_adversarial"] = count * self.objective.generator(outputs["realness"][rows])
        return {**terms, **self._supervised_losses(batch, fake)}

    def _supervised_losses(self, batch, fake):
        """The losses of the generator without the discriminator, and those of the baseline."""
        config, images, terms = self.config, self.flatten_sets(batch["image"]), {}
        label = tf.repeat(batch["label"], config.images_per_row)
        if config.view_weight:
            targets = self.flatten_sets(tf.roll(batch["image"], -1, 1))
            targets = tf.concat([targets, batch["image"][:, 0]], 0) if config.images_per_set > 1 else targets
            terms["g_view"] = config.view_weight * tf.reduce_mean(tf.abs(fake["image"] - targets))
        if config.identity_weight:
            terms["g_encoder_identity"] = config.identity_weight * losses.margin_softmax(label, fake["identity"])
        if config.baseline:
            outputs = self.generator.get_layer("baseline_encoder")({"image": self.augment(images)}, training=True)
            for key, target in (("identity", label), ("pose", tf.reshape(batch["pose"], [-1]))):
                terms[f"g_baseline_{key}"] = losses.class_cross_entropy(target, outputs[key])
        return terms

    def decode(self, features, pose):
        """Decode features to images, without noise, with the EMA decoder.

        Args:
            features: Features [n, f].
            pose: Poses, int64 [n], 0 to `num_poses` - 1.

        Returns:
            Images in [-1, 1], [n, h, w, c].

        Raises:
            UserError: A pose is out of range.
        """
        pose = tf.convert_to_tensor(pose, tf.int64)
        require_in_range(pose, self.config.num_poses, "pose", "poses")
        latent = tf.zeros([tf.shape(features)[0], self.config.latent_dim])
        return self.ema_generator.get_layer("decoder")({"features": features, "pose": pose, "latent": latent}, training=False)

    def rotate(self, image, pose):
        """Rotate images in [-1, 1] to poses int64 [n]."""
        return self.decode(self.extract_features(image), pose)

    def extract_features(self, images, encoder="encoder"):
        """Extract features [n, f] from images in [-1, 1] with the EMA of an encoder, `encoder` or `baseline_encoder`."""
        return self.ema_generator.get_layer(encoder)({"image": images}, training=False)["features"]

    def fuse(self, images):
        """Extract the features [n, f] of sets of images in [-1, 1], [n, images, h, w, c], with the EMA encoder."""
        encoding = self.ema_generator.get_layer("encoder")({"image": self.flatten_sets(images)}, training=False)
        shape = tf.unstack(tf.shape(images)[:2])
        return self.fuse_sets({"confidence": tf.ones(shape), **encoding}, shape)

    @property
    def encoders(self):
        """Name -> function from images in [-1, 1] to features, which rank-1 identification compares; the model's own is ""."""
        baseline = {"baseline": functools.partial(self.extract_features, encoder="baseline_encoder")} if self.config.baseline else {}
        return {"": self.extract_features, **baseline}

    def preview(self, batch):
        """One identity per row: the input, then its rotations from the first pose to the last."""
        config, rows = self.config, np.unique(batch["label"], return_index=True)[1][:PREVIEW_IDENTITIES]
        inputs = tf.gather(tf.reshape(batch["image"], [-1, config.images_per_row, *config.image_shape]), rows)[:, : config.images_per_set]
        poses = np.linspace(0, config.num_poses - 1, min(PREVIEW_POSES, config.num_poses)).round().astype(np.int64)
        features = tf.repeat(self.fuse(inputs), len(poses), axis=0)
        rotations = tf.reshape(self.decode(features, np.tile(poses, len(rows))), [len(rows), len(poses), *config.image_shape])
        return to_unit(self.flatten_sets(tf.concat([inputs, rotations], 1))), config.images_per_set + len(poses)

    def signatures(self):
        shape, pose = self.config.image_shape, tf.TensorSpec([None], tf.int64, "pose")
        image, images = tf.TensorSpec([None, *shape], tf.float32, "image"), tf.TensorSpec([None, None, *shape], tf.float32, "images")
        rotation = image_to_image_signatures("rotate", self.rotate, shape, pose)
        encoding = {
            "features": Signature(lambda image: {"features": self.extract_features(from_unit(image))}, [image], ("features",)),
            "fuse": Signature(lambda images: {"features": self.fuse(from_unit(images, "images"))}, [images], ("features",)),
        }
        return {"serving_default": rotation["rotate"], **rotation, **encoding}
