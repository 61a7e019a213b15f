"""Precision: what is selected, what is wrapped, what stays float32. Side effects: none at import, all of them in `configure`."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy, train_steps

from zoo.errors import UserError
from zoo.training import runtime


@pytest.mark.parametrize(
    "flags, policy",
    [({"avx2"}, "float32"), ({"amx_bf16"}, "mixed_bfloat16"), ({"avx512_bf16", "avx2"}, "mixed_bfloat16")],
)
def test_auto_precision_of_a_cpu(monkeypatch, flags, policy):
    monkeypatch.setattr(runtime, "_cpu_flags", lambda: flags)
    assert runtime.select_precision("auto") == policy == keras.config.dtype_policy().name


@pytest.mark.parametrize("capability, policy", [((9, 0), "mixed_bfloat16"), ((7, 5), "mixed_float16")])
def test_auto_precision_of_a_gpu(monkeypatch, capability, policy):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: {"compute_capability": capability})
    assert runtime.select_precision("auto") == policy


@pytest.mark.parametrize("choice", ["float32", "bfloat16", "float16"])
def test_a_policy_stands_for_a_choice(choice):
    assert runtime.precision_choice(runtime.select_precision(choice)) == choice


def test_a_dtype_policy_ends_with_its_context():
    with runtime.dtype_policy("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    with runtime.dtype_policy():
        assert keras.config.dtype_policy().name == "float32"
        keras.config.set_dtype_policy("mixed_float16")
    assert keras.config.dtype_policy().name == "float32"


def test_xla_is_for_one_gpu(monkeypatch):
    assert not runtime.use_xla("auto") and runtime.use_xla("on") and not runtime.use_xla("off")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    assert runtime.use_xla("auto", replicas=1) and not runtime.use_xla("auto", replicas=2)


def test_a_batch_is_divided_over_replicas_and_gradient_accumulation_steps():
    runtime.check_replicas(2, "float32", False, 12, 3)
    with pytest.raises(UserError, match="--batch-size 8 .* 2 replicas in 3 gradient accumulation steps; use a multiple of 6"):
        runtime.check_replicas(2, "float32", False, 8, 3)
    with pytest.raises(UserError, match="float16 on several replicas"):
        runtime.check_replicas(2, "mixed_float16", False, 8)


def test_bfloat16_keeps_images_logits_losses_and_weights_in_float32():
    runtime.select_precision("bfloat16")
    model = tiny_model("acgan")
    batch = next(iter(random_source(model).batches(4)))
    fake = model.generate(batch)
    outputs = model.call_discriminator(fake, batch)
    assert fake.dtype == outputs["realness"].dtype == outputs["classes"].dtype == tf.float32
    assert model.generator.layers[5].compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.generator.weights} == {"float32"}
    assert not isinstance(model.d_optimizer, keras.optimizers.LossScaleOptimizer)
    history = train_steps(model, 0, 2)
    assert np.isfinite([value for values in history.values() for value in values]).all()


def test_float16_scales_the_loss_of_both_players_alone():
    runtime.select_precision("float16")
    model = tiny_model("dcgan", generator_learning_rate=1e-3, discriminator_learning_rate=1e-3)
    for optimizer in (model.g_optimizer, model.d_optimizer):
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert not isinstance(optimizer.inner_optimizer, keras.optimizers.LossScaleOptimizer)
    before = [to_numpy(weight) for weight in model.discriminator.trainable_weights]
    history = train_steps(model, 0, 2)
    # The first scale may be too large: then the update is skipped and the scale halved. Either way each player has tried a step.
    for optimizer, network in ((model.g_optimizer, model.generator), (model.d_optimizer, model.discriminator)):
        scaled_down, stepped = to_numpy(optimizer.dynamic_scale) < 2.0**15, to_numpy(optimizer.iterations) > 0
        assert scaled_down or stepped, network.name
    after = [to_numpy(weight) for weight in model.discriminator.trainable_weights]
    moved = any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert moved == bool(to_numpy(model.d_optimizer.iterations))
    assert np.isfinite([value for values in history.values() for value in values]).all()


def test_the_gradient_norm_is_that_of_the_unscaled_loss():
    norms = {}
    for precision in ("float32", "float16"):
        runtime.select_precision(precision)
        model = tiny_model("gan", dropout=0.0, discriminator_units=240)
        norms[precision] = train_steps(model, 0, 1)["d_gradient_norm"][0]
    assert norms["float16"] == pytest.approx(norms["float32"], rel=0.05)


def test_xla_compiles_the_step():
    model = tiny_model("gan", generator_units=8, discriminator_units=4)
    model.compile(jit_compile=True)
    assert np.isfinite(train_steps(model, 0, 1)["g_adversarial"]).all()


def run_script(code):
    """Runs code in a process whose environment the tests have not changed."""
    env = {name: value for name, value in os.environ.items() if name not in runtime.ENVIRONMENT}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=env)


def test_configure_imports_tensorflow_silently():
    code = "from zoo.training import runtime; runtime.configure(); runtime.configure(); import zoo; zoo.list_models()"
    result = run_script(code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_importing_has_no_side_effects():
    code = """
import os, sys
descriptor = os.fstat(2)
import zoo, zoo.training.runtime, zoo.cli.train, zoo.__main__
assert "tensorflow" not in sys.modules
import zoo.core, zoo.models, zoo.runs, zoo.data, zoo.metrics, zoo.cli.session
import tensorflow as tf
assert not {"TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS"} & set(os.environ)
assert "dependency_optimization" not in tf.config.optimizer.get_experimental_options()
assert os.fstat(2) == descriptor
print("checked")
"""
    result = run_script(code)
    assert result.returncode == 0 and result.stdout == "checked\n", result.stderr


def test_configure_after_tensorflow_was_imported():
    code = """
import os
import tensorflow as tf
tf.constant(1) + 1
from zoo.training import runtime
runtime.configure()
assert tf.config.optimizer.get_experimental_options()["dependency_optimization"] is False
assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
print("checked")
"""
    result = run_script(code)
    assert result.returncode == 0 and result.stdout == "checked\n", result.stderr
