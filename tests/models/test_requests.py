"""What a model and its export refuse; settings in Python; sizes of images; the two objectives of the first paper."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model

import zoo
from zoo import registry
from zoo.core import losses
from zoo.errors import UserError
from zoo.testing import serving_checks
from zoo.testing.serving_checks import run_cpp_loader


@pytest.mark.parametrize("name", ["biggan", "drgan"])
def test_out_of_range_values_are_refused(trained, name):
    model = trained(name).model
    signatures = trained(name).served
    if name == "drgan":
        served, row = signatures["rotate"], {"image": tf.zeros([1, *model.config.image_shape]), "pose": tf.constant([0], tf.int64)}
        wrong = {"pose": ([-1, model.config.num_poses], "pose is out of range; available poses: 0 to")}
    else:
        served, row = signatures["sample"], {"seed": tf.constant([1], tf.int64), "label": tf.constant([2], tf.int64), "truncation": [0.5]}
        wrong = {"label": ([-1, 3], "label is out of range; available classes: 0 to 2"), "truncation": ([0.0, -1.0], "must be more than 0")}
        with pytest.raises(UserError, match="truncation: give one for each seed"):
            model.sample([1, 2, 3], label=[0, 1, 2], truncation=[0.5, 1.0])
        np.testing.assert_array_equal(
            model.sample([1, 2], label=[0, 1], truncation=0.5), model.sample([1, 2], label=[0, 1], truncation=[0.5, 0.5])
        )
    row = {key: tf.convert_to_tensor(value) for key, value in row.items()}
    assert served(**row)["image"].shape[0] == 1
    for key, (values, message) in wrong.items():
        for value in values:
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                served(**{**row, key: tf.constant([value], row[key].dtype)})


@pytest.mark.parametrize("name", ["sngan_projection"])
def test_a_server_refuses_other_sizes_and_one_label_for_two_images(trained, name, tmp_path):
    model, version, signatures = (getattr(trained(name), part) for part in ("model", "version", "served"))
    height, width, channels = model.config.image_shape
    image, label = np.full([2, height, width, channels], 0.5, np.float32), np.int64([0, 1])
    if serving_checks.has_cpp_library():
        assert run_cpp_loader(version, {"discriminate": {"image": image, "label": label}}, tmp_path)
        with pytest.raises(RuntimeError, match="not compatible with expected shape"):
            run_cpp_loader(version, {"discriminate": {"image": image[:, :, : width - 2], "label": label}}, tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="label: give one for each image"):
        signatures["discriminate"](image=tf.constant(image), label=tf.constant(label[:1]))
    with pytest.raises(UserError, match="label: give one for each image"):
        model.serve("discriminate", image=image, label=label[:1])


@pytest.mark.parametrize("name", ["sngan_projection"])
def test_the_export_is_checked_without_the_cpp_library(trained, name, monkeypatch):
    """As on macOS and Windows, where TensorFlow does not come with it."""
    monkeypatch.setattr(serving_checks, "has_cpp_library", lambda: False)
    monkeypatch.setattr(serving_checks, "run_cpp_loader", lambda *arguments: pytest.fail("no C++ loader"))
    serving_checks.check_the_export_equals_the_model(trained(name))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(type(trained(name).model.modality), "to_external", lambda self, samples: samples)
        serving_checks.check_the_export_equals_the_model(trained(name))


@pytest.mark.parametrize("name, signature, argument", [("pix2pix", "translate", "seed"), ("drgan", "rotate", "pose")])
def test_there_is_one_seed_or_pose_per_image(trained, name, signature, argument):
    model, row = trained(name).model, {argument: np.int64([0])}
    image = np.full([2, *model.config.image_shape], 0.5, np.float32)
    with pytest.raises(UserError, match=f"{argument}: give one for each image"):
        model.serve(signature, image=image, **row)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{argument}: give one for each image"):
        trained(name).served[signature](image=tf.constant(image), **{argument: tf.constant(row[argument])})


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("gan", {"schedule": "quadratic"}, "--schedule quadratic: choose from constant, linear, cosine"),
        ("gan", {"augment": ("color", "colour")}, "--augment colour: choose from color, translation, cutout"),
        ("gan", {"objective": "minmax"}, "--objective minmax: choose from non_saturating, minimax"),
    ],
)
def test_settings_in_python_are_checked_as_on_the_command_line(name, settings, message):
    with pytest.raises(UserError, match=message):
        zoo.create(name, **settings)


def test_the_shape_of_images_has_three_numbers():
    with pytest.raises(UserError, match=r"image_shape=\(28, 28\): expected tuple\[int, int, int\]"):
        dataclasses.replace(registry.get_entry("gan").config, image_shape=(28, 28))


@pytest.mark.parametrize("side", [28, 100])
@pytest.mark.parametrize("name", [n for n in zoo.list_models() if registry.get_entry(n).config.image_shape is None])
def test_networks_adapt_to_the_size_of_the_images(name, side):
    multiple = registry.get_entry(name).config.size_multiple
    if name == "pggan" or side % multiple:
        with pytest.raises(UserError, match="--image-shape"):
            zoo.create(name, image_shape=(side, side, 3), num_classes=4)
        return
    model = zoo.create(name, image_shape=(side, side, 3), num_classes=4)
    if not model.generates_from_noise:
        batch = next(iter(random_source(model, 8).batches(1)))
        outputs = tf.nest.flatten(model.generate(batch))
        assert (side, side, 3) in [tuple(part.shape[1:]) for part in outputs]
        return
    conditions = {"label": tf.constant([3], tf.int64)} if model.conditions else {}
    assert model.sample([5], **conditions).shape == (1, side, side, 3)
    if "discriminate" in model.signatures():
        labels = {i.name: tf.zeros([2], tf.int64) for i in model.discriminator.inputs if i.dtype == "int64"}
        assert model.discriminate(tf.zeros([2, side, side, 3]), **labels)["realness"].shape == (2,)


def test_gan_trains_with_either_objective():
    for name in ("minimax", "non_saturating"):
        model = tiny_model("gan", objective=name)
        assert model.objective == getattr(losses, name)
    batch = next(iter(random_source(model).batches(4)))
    loss = float(model.generator_loss(batch, model.generate(batch))["g_adversarial"])
    assert 0 < loss < 2, "non-saturating: softplus of minus the logit"


def test_minimax_saturates_where_non_saturating_does_not():
    """At a fake logit of -10 the minimax gradient is sigmoid(-10), the other nearly 1 (Goodfellow et al. 2014, §3)."""
    gradients = {}
    for name in ("minimax", "non_saturating"):
        fake = tf.Variable([-10.0])
        with tf.GradientTape() as tape:
            loss = getattr(losses, name).generator(fake)
        gradients[name] = float(tape.gradient(loss, fake)[0])
    assert gradients["minimax"] == pytest.approx(-4.5398e-5, rel=1e-3) and gradients["non_saturating"] == pytest.approx(-0.99995, rel=1e-4)
