"""Values of a configuration that are refused, however it was made."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo import registry
from zoo.core import Config, ImageConfig
from zoo.errors import UserError

FLOATS = [field.name for field in dataclasses.fields(Config) if "float" in str(field.type)]


@pytest.mark.parametrize(
    "values",
    [
        {"steps": "5"},
        {"steps": 5.0},
        {"seed": True},
        {"generator_learning_rate": 1j},
        {"augment": "color"},
        {"batch_size": np.array([4])},
        {"optimizer": np.zeros(2)},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [Config, Config().override, lambda **values: dataclasses.replace(Config(), **values), Config.from_config])
def test_types_are_checked_however_a_configuration_is_made(make, values):
    with pytest.raises(UserError, match=f"^{next(iter(values))}=.*: expected "):
        make(values) if make == Config.from_config else make(**values)


def test_values_are_converted_however_a_configuration_is_made():
    config = ImageConfig(steps=np.uint64(5), image_shape=np.array([8, 8, 1]), augment=["color"], ema_decay=tf.constant(0.5), beta_1=0)
    assert config == ImageConfig(steps=5, image_shape=(8, 8, 1), augment=("color",), ema_decay=0.5, beta_1=0.0)
    assert {type(side) for side in (config.steps, *config.image_shape)} == {int} and type(config.beta_1) is float


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [1e39, 1e-46, 1e-40, float("nan"), float("inf"), -1e-3])
def test_floats_are_numbers_of_float32(name, value):
    config = dataclasses.replace(Config(), **{name: value})
    option = f"--{name.replace('_', '-')} "
    with pytest.raises(UserError, match=f"^{option}{re.escape(str(value))}: must be "):
        config.validate()


@pytest.mark.parametrize(
    "values, message",
    [
        ({"latent_dim": 2**31}, "--latent-dim 2147483648: must be at most 2147483647"),
        ({"augment": ("color", "cutout", "color")}, "--augment color cutout color: give each value once"),
        ({"steps": 0}, "--steps 0: must be more than 0"),
        ({"schedule": "x" * 5000}, "--schedule x{60}: choose from"),
    ],
)
def test_ranges(values, message):
    with pytest.raises(UserError, match=message):
        Config(**values).validate()


def test_integers_of_any_length_are_refused_in_one_line():
    with pytest.raises(UserError, match="^steps=an integer of 16610 bits: expected int$"):
        Config(steps=10**5000)


def test_the_end_of_a_decay_needs_a_decay():
    with pytest.raises(UserError, match="--decay-end 5 needs a learning rate that decays"):
        zoo.create("gan", decay_end=5)
    registry.get_entry("gan").configure(decay_end=5).resolve()  # as the records of runs have it
    registry.get_entry("gan").configure(decay_end=5, schedule="linear").check_given(["decay_end"])
    registry.get_entry("r3gan").configure(decay_end=5).check_given(["decay_end"])  # its penalty decays


@pytest.mark.parametrize("error", [MemoryError("no room"), tf.errors.ResourceExhaustedError(None, None, "{{node a}} no room")])
def test_networks_that_do_not_fit_into_memory(error):
    def build(config):
        raise error

    entry = dataclasses.replace(registry.get_entry("gan"), model=build)
    with pytest.raises(UserError, match=r"^gan: out of memory \(no room\); use smaller values$"):
        entry.create()


def test_other_errors_of_a_model_are_tracebacks():
    with pytest.raises(ZeroDivisionError):
        dataclasses.replace(registry.get_entry("gan"), model=lambda config: 1 / 0).create()


@pytest.mark.parametrize("name", [None, 5, b"gan", ["gan"], "a\0b.py:x", "x" * 5000, "x" * 5000 + ".py:x"], ids=lambda name: repr(name)[:9])
def test_names_of_models_are_checked(name):
    with pytest.raises(UserError) as error:
        zoo.create(name)
    assert "model" in str(error.value) and len(str(error.value)) < 220


def test_an_unknown_model_names_the_closest():
    with pytest.raises(UserError) as error:
        zoo.create("acgn")
    text = str(error.value)
    assert text.startswith("unknown model 'acgn'; did you mean 'acgan'") and text.endswith(f"shows all {len(zoo.list_models())}.")
    assert len(text) < 200


@pytest.mark.parametrize("run", [None, 5, "", "a\0b", "x" * 5000, "missing", b"run"], ids=lambda run: repr(run)[:9])
def test_what_is_no_run_is_not_loaded(run):
    with pytest.raises(UserError):
        zoo.load(run)


@pytest.mark.parametrize("checkpoint", [None, 1.5, True, ["last"], b"last"], ids=lambda value: type(value).__name__)
def test_the_name_of_a_checkpoint_is_checked(checkpoint):
    with pytest.raises(UserError, match="^checkpoint=.*: expected 'last', 'best' or a step"):
        zoo.load("missing", checkpoint)


@pytest.mark.parametrize(
    "model, field", [("infogan", "conv_layers"), ("cyclegan", "blocks"), ("pix2pix", "patch_layers"), ("srresnet", "blocks")]
)
def test_numbers_of_layers_have_bounds(model, field):
    """Each of them is built, so that a large number would never end."""
    with pytest.raises(UserError, match=f"--{field.replace('_', '-')} 2147483647: must be at most 1000"):
        zoo.create(model, **{field: 2**31 - 1})
