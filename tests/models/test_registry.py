"""Registering is testing: every network of the registry passes every check (presets that differ in size alone: one of them)."""

import pytest
from conftest import NAMES

import zoo
from zoo import testing
from zoo.errors import UserError


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_registry(trained, name, check):
    check(trained(name))


MODEL_FILE = '''"""My GAN (nobody 2026)."""

import dataclasses

import keras

import zoo
from zoo.core import Game, ImageConfig, layers


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    units: int = 8  # of the hidden layer


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Dense(config.units, "relu")(latent)
    return keras.Model({"latent": latent}, layers.image_output(keras.layers.Reshape(config.image_shape)(keras.layers.Dense(256)(x))))


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = keras.layers.Dense(config.units, "leaky_relu")(keras.layers.Dropout(0.1)(keras.layers.Flatten()(image)))
    return keras.Model({"image": image}, layers.logits(x))


@zoo.register(NAME=Config(eval_every=2, steps=4))
class MyGAN(Game):
    """Two small perceptrons."""

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
'''


def test_a_model_outside_the_package_passes_all_checks(tmp_path):
    path = tmp_path / "mygan.py"
    path.write_text(MODEL_FILE.replace("NAME", "mygan"))
    testing.check_model(f"{path}:mygan")
    assert "mygan" in zoo.list_models("my*") and zoo.registry.get_entry("mygan").paper == "My GAN (nobody 2026)"


def test_a_model_that_breaks_the_rules_fails_a_check(tmp_path):
    path = tmp_path / "broken.py"
    ignores_the_seed = "    def sample_latent(self, shape, seed):\n        return keras.ops.ones(shape)\n"
    path.write_text(MODEL_FILE.replace("NAME", "broken") + "\n" + ignores_the_seed)
    with pytest.raises(AssertionError):
        testing.check_model(f"{path}:broken")


@pytest.mark.parametrize(
    "spec, message",
    [
        ("acgann", "unknown model 'acgann'; did you mean 'acgan'"),
        ("missing.py:mygan", "no such file"),
        ("empty.py:mygan", "registers no model 'mygan'"),
        ("empty.py", "which model of that file"),
        ("wrong.py:mygan", "cannot be loaded as a model file"),
    ],
)
def test_a_model_that_cannot_be_found_is_named(working_directory, spec, message):
    (working_directory / "empty.py").write_text("")
    (working_directory / "wrong.py").write_text("import nothing_of_this_name")
    with pytest.raises(UserError, match=message):
        zoo.create(spec)


def test_patterns_select_names():
    assert zoo.list_models("sngan*") == sorted(name for name in zoo.list_models() if name.startswith("sngan"))
    assert "acgan" in zoo.list_models("*gan") and "acgan_32" not in zoo.list_models("*gan")
