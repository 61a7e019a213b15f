"""Perceptual losses: VGG19's features by hand, in float32, outside the model; weights that are missing or wrong."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import same_arrays, tiny_model, to_numpy, train_steps, weights

import zoo
from zoo import registry
from zoo.core.perceptual import VGG19Features
from zoo.errors import UserError


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A VGG19 of random weights, and a file of them."""
    keras.utils.set_random_seed(5)
    network = keras.applications.VGG19(include_top=False, weights=None)
    for layer in network.layers:
        if layer.weights:
            layer.bias.assign(np.random.RandomState(0).uniform(-0.1, 0.1, layer.bias.shape))
    path = tmp_path_factory.mktemp("vgg") / "vgg.weights.h5"
    network.save_weights(path)
    return network, path


@pytest.mark.parametrize("content_loss, channels", [("vgg54", 3), ("vgg22", 3), ("vgg22", 1)])
def test_the_content_loss_is_on_the_named_layer(vgg, content_loss, channels):
    network, path = vgg
    layer = {"vgg54": "block5_conv4", "vgg22": "block2_conv2"}[content_loss]
    shape = (16, 16, channels)
    model = tiny_model("srgan", content_loss=content_loss, vgg_weights=str(path), image_shape=shape, total_variation_weight=1e-3)
    draw = np.random.RandomState(0)
    real, fake = (draw.uniform(-1, 1, (2, *shape)).astype(np.float32) for _ in range(2))
    truncated = keras.Model(network.input, network.get_layer(layer).output)

    def features(images):
        pixels = (np.repeat(images, 3, -1) if channels == 1 else images)[..., ::-1] * 127.5 + 127.5  # blue, green, red
        return to_numpy(truncated(pixels - np.float32([103.939, 116.779, 123.68]))) / 12.75

    terms = model.content_loss(tf.constant(real), tf.constant(fake))
    expected = np.mean((features(real) - features(fake)) ** 2)
    assert expected > 0 and features(real).min() == 0
    assert float(terms["g_content"]) == pytest.approx(expected, rel=1e-4)
    assert ("g_total_variation" in terms) == (content_loss == "vgg22")
    if content_loss == "vgg22":
        variation = np.abs(np.diff(fake, axis=1)).sum((1, 2, 3)) + np.abs(np.diff(fake, axis=2)).sum((1, 2, 3))
        assert float(terms["g_total_variation"]) == pytest.approx(1e-3 * variation.mean(), rel=1e-4)


def test_features_are_float32_whatever_the_precision_of_the_model(vgg, monkeypatch):
    monkeypatch.chdir(vgg[1].parent)
    config = registry.get_entry("srgan").configure(content_loss="vgg22", vgg_weights="vgg.weights.h5").resolve()
    assert config.vgg_weights == str(vgg[1])
    images = tf.random.stateless_uniform([1, 16, 16, 3], [1, 2], -1, 1)
    exact = VGG19Features("block2_conv2", config.vgg_weights)(images)
    keras.config.set_dtype_policy("mixed_bfloat16")
    np.testing.assert_array_equal(VGG19Features("block2_conv2", config.vgg_weights)(images), exact)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_vgg_is_not_part_of_the_model(vgg, tmp_path):
    model = tiny_model("srgan", content_loss="vgg54", vgg_weights=str(vgg[1]))
    assert sum(w.shape.num_elements() for w in model.weights) < 500_000
    train_steps(model, 0, 1)
    assert model.completed_steps == 1
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "one"))
    saved = sum(np.prod(shape, dtype=int) for _, shape in tf.train.list_variables(path))
    assert saved < 1_000_000  # VGG alone has 20 million
    restored = zoo.create("srgan", **{field.name: getattr(model.config, field.name) for field in dataclasses.fields(model.config)})
    tf.train.Checkpoint(model=restored).restore(path).expect_partial()  # not compiled: VGG is not loaded
    assert same_arrays(weights(restored.generator), weights(model.generator))


def refuse_download(monkeypatch, error):
    def raise_error(*args, **kwargs):
        raise error

    monkeypatch.setattr("keras.src.applications.vgg19.file_utils.get_file", raise_error)


# The second one is what Keras raises.
@pytest.mark.parametrize("error", [OSError("URL fetch failure"), Exception("URL fetch failure on https://host: None")])
def test_missing_weights_are_one_line(monkeypatch, zero_weights, error):
    refuse_download(monkeypatch, error)
    with pytest.raises(UserError, match=r"VGG19 could not be downloaded \(URL fetch.*--vgg-weights FILE.*--content-loss mse"):
        tiny_model("srgan", content_loss="vgg54")


def test_a_bug_is_not_a_missing_download(monkeypatch, zero_weights):
    refuse_download(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        tiny_model("srgan", content_loss="vgg54")


@pytest.mark.parametrize("name", ["missing.weights.h5", "text.h5", "other.weights.h5", "vgg16.weights.h5", "odd.txt"])
def test_files_without_the_weights_are_refused(tmp_path, zero_weights, name):
    path = tmp_path / name
    if name in ("text.h5", "odd.txt"):
        path.write_text("no weights")
    if name == "other.weights.h5":
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save_weights(path)
    if name == "vgg16.weights.h5":
        keras.applications.VGG16(include_top=False, weights=None).save_weights(path)
    with pytest.raises(UserError, match=f"--vgg-weights .*{name} does not hold the weights"):
        tiny_model("srgan", content_loss="vgg22", vgg_weights=str(path))
