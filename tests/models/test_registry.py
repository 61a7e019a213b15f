"""Registering is testing: every network of the registry passes every check (presets that differ in size alone: one of them)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import NAMES

import zoo
from zoo import testing
from zoo.errors import UserError

ROOT = Path(__file__).parents[2]


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


def test_a_class_that_is_defined_again_replaces_the_former_one(tmp_path):
    """As by running a notebook's cell twice, or by editing the file."""
    path = tmp_path / "again.py"
    path.write_text(MODEL_FILE.replace("NAME", "again"))
    first = zoo.registry.resolve(f"{path}:again")
    assert zoo.registry.resolve(f"{path}:again").model is first.model, "an unchanged file is not run again"
    path.write_text(MODEL_FILE.replace("NAME", "again").replace("steps=4", "steps=8"))
    os.utime(path, (1, 1))
    assert zoo.registry.resolve(f"{path}:again").config.steps == 8
    with pytest.raises(ValueError, match="the model name 'acgan' is taken by zoo.models.acgan"):
        zoo.register(acgan=first.config)(first.model)


def test_a_file_may_register_a_preset_of_a_known_class(tmp_path):
    path = tmp_path / "preset.py"
    path.write_text("import zoo\nfrom zoo.models.gan import GAN, Config\nzoo.register(gan_long=Config(steps=9))(GAN)\n")
    assert zoo.registry.resolve(f"{path}:gan_long").config.steps == 9


def test_a_file_that_fails_leaves_nothing_behind(tmp_path):
    path = tmp_path / "half.py"
    path.write_text(MODEL_FILE.replace("NAME", "half") + "\nundefined_name\n")
    with pytest.raises(NameError):
        zoo.registry.resolve(f"{path}:half")
    assert "half" not in zoo.list_models()
    path.write_text(MODEL_FILE.replace("NAME", "half"))
    os.utime(path, (1, 1))
    assert zoo.registry.resolve(f"{path}:half").name == "half"


@pytest.mark.slow
def test_a_saved_model_of_ones_own_loads_in_another_process(tmp_path):
    path, saved = tmp_path / "own.py", tmp_path / "own.keras"
    path.write_text(MODEL_FILE.replace("NAME", "own"))
    zoo.registry.resolve(f"{path}:own").create(image_shape=(16, 16, 1)).save(saved)
    load = f"keras.saving.load_model({str(saved)!r})(keras.ops.zeros((1, 100))).shape"
    for statement in (f"import zoo; zoo.registry.resolve({str(path)!r} + ':own')", "import own"):
        code = f"import keras; {statement}; assert tuple({load}) == (1, 16, 16, 1)"
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"})
