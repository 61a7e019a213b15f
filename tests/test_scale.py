"""Precision: what is chosen, what is wrapped, what stays float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import number, play, source, tiny

from zoo import scale


@pytest.mark.parametrize(
    "flags, policy",
    [({"avx2"}, "float32"), ({"amx_bf16"}, "mixed_bfloat16"), ({"avx512_bf16", "avx2"}, "mixed_bfloat16")],
)
def test_auto_precision_of_a_cpu(monkeypatch, flags, policy):
    monkeypatch.setattr(scale, "_cpu_flags", lambda: flags)
    assert scale.precision("auto") == policy == keras.config.dtype_policy().name


@pytest.mark.parametrize("capability, policy", [((9, 0), "mixed_bfloat16"), ((7, 5), "mixed_float16")])
def test_auto_precision_of_a_gpu(monkeypatch, capability, policy):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: {"compute_capability": capability})
    assert scale.precision("auto") == policy


def test_xla_is_for_one_gpu(monkeypatch):
    assert not scale.xla("auto") and scale.xla("on") and not scale.xla("off")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    assert scale.xla("auto", replicas=1) and not scale.xla("auto", replicas=2)


def test_bfloat16_keeps_images_logits_losses_and_weights_in_float32():
    scale.precision("bfloat16")
    game = tiny("acgan")
    batch = next(iter(source(game).batches(4)))
    fake = game.generate(batch)
    said = game.judge(fake, batch)
    assert fake.dtype == said["realness"].dtype == said["classes"].dtype == tf.float32
    assert game.generator.layers[5].compute_dtype == "bfloat16"
    assert {w.dtype for w in game.generator.weights} == {"float32"}
    assert not isinstance(game.d_optimizer, keras.optimizers.LossScaleOptimizer)
    history = play(game, 0, 2)
    assert np.isfinite([v for values in history.values() for v in values]).all()


def test_float16_scales_the_loss_of_both_players_alone():
    scale.precision("float16")
    game = tiny("dcgan", generator_learning_rate=1e-3, discriminator_learning_rate=1e-3)
    for optimizer in (game.g_optimizer, game.d_optimizer):
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert not isinstance(optimizer.inner_optimizer, keras.optimizers.LossScaleOptimizer)
    before = [number(w) for w in game.discriminator.trainable_weights]
    history = play(game, 0, 2)
    # The first scale may be too large: then the update is skipped and the scale halved. Either way a step was tried by each.
    for optimizer, network in ((game.g_optimizer, game.generator), (game.d_optimizer, game.discriminator)):
        scaled_down, stepped = number(optimizer.dynamic_scale) < 2.0**15, number(optimizer.iterations) > 0
        assert scaled_down or stepped, network.name
    moved = any(not np.array_equal(a, number(w)) for a, w in zip(before, game.discriminator.trainable_weights))
    assert moved == bool(number(game.d_optimizer.iterations))
    assert np.isfinite([v for values in history.values() for v in values]).all()


def test_the_gradient_norm_is_that_of_the_unscaled_loss():
    norms = {}
    for precision in ("float32", "float16"):
        scale.precision(precision)
        game = tiny("gan", dropout=0.0, discriminator_units=240)
        norms[precision] = play(game, 0, 1)["d_gradient_norm"][0]
    assert norms["float16"] == pytest.approx(norms["float32"], rel=0.05)


def test_xla_compiles_the_step():
    game = tiny("gan", generator_units=8, discriminator_units=4)
    game.compile(jit_compile=True)
    assert np.isfinite(play(game, 0, 1)["g_adversarial"]).all()


def test_import_is_silent():
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", "import zoo; zoo.names()"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
