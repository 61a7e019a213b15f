"""The throughput benchmark: every style of code trains exactly the same networks. Nothing is timed here."""

import numpy as np
import pytest
from conftest import import_benchmark

PARAMETERS = {"generator": 1_066_880, "discriminator": 661_248}
KERAS_STYLES = ("zoo", "zoo, float32", "plain Keras", "plain Keras, oneDNN enabled")
TORCH_STYLES = ("PyTorch", "PyTorch, bfloat16 channels_last")


@pytest.fixture(scope="module")
def styles():
    return import_benchmark("dcgan_styles")


def require(style):
    if style in TORCH_STYLES:
        pytest.importorskip("torch")


def test_every_style_is_tested(styles):
    assert tuple(styles.STYLES) == KERAS_STYLES + TORCH_STYLES


@pytest.mark.parametrize("style", KERAS_STYLES + TORCH_STYLES)
def test_every_style_has_the_same_number_of_parameters(styles, style):
    require(style)
    assert styles.STYLES[style]().parameters == PARAMETERS


@pytest.mark.parametrize("style", ["plain Keras", *TORCH_STYLES[:1]])
def test_the_networks_compute_what_those_of_the_zoo_compute(styles, style):
    require(style)
    zoo, other = styles.STYLES["zoo, float32"]().networks, styles.STYLES[style]().networks
    rng = np.random.RandomState(0)
    height, width, channels = styles.OVERRIDES["image_shape"]
    inputs = {"generator": rng.normal(size=(2, 100)), "discriminator": rng.uniform(-1, 1, (2, height, width, channels))}
    for name, key in (("generator", "latent"), ("discriminator", "image")):
        values = inputs[name].astype(np.float32)
        weights = [rng.normal(0, 0.05, w.shape) + ("gamma" in w.path or "variance" in w.path) for w in zoo[name].weights]
        zoo[name].set_weights(weights)
        expected = np.asarray(zoo[name]({key: values}, training=False))
        result = run_keras(other[name], weights, values) if style == "plain Keras" else run_torch(other[name], weights, values)
        np.testing.assert_allclose(result.reshape(expected.shape), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("style", ["plain Keras", *TORCH_STYLES[:1]])
def test_the_comparison_styles_train_both_networks(styles, style, monkeypatch):
    require(style)
    monkeypatch.setattr(styles, "STEPS", 1)
    trainer = styles.STYLES[style]()
    before = {name: first_weight(network) for name, network in trainer.networks.items()}
    trainer.time_steps()
    for name, network in trainer.networks.items():
        after = first_weight(network)
        assert np.isfinite(after).all() and not np.array_equal(before[name], after)


def first_weight(network):
    """A copy of the first weight of a Keras or PyTorch network."""
    if hasattr(network, "trainable_weights"):
        return np.array(network.trainable_weights[0])
    return next(network.parameters()).detach().numpy().copy()


def run_keras(network, weights, values):
    network.set_weights(weights)
    return np.asarray(network(values, training=False))


def run_torch(network, weights, values):
    """The output [n, height, width, channels] or [n, 1] of a PyTorch network with the weights of a Keras network."""
    import torch

    layout = {"Conv2d": (3, 2, 0, 1), "ConvTranspose2d": (3, 2, 0, 1)}  # Keras' kernels are [height, width, in, out] and [..., out, in]
    parameters, state = iter(weights), {}
    modules = dict(network.named_children())
    for place, module in modules.items():
        kind = type(module).__name__
        if kind in layout:
            state[f"{place}.weight"] = next(parameters).transpose(layout[kind])
        elif kind == "Linear":
            state[f"{place}.weight"] = channels_first(next(parameters)).T
        elif kind == "BatchNorm2d":
            for name in ("weight", "bias", "running_mean", "running_var"):
                state[f"{place}.{name}"] = next(parameters)
    network.load_state_dict({name: torch.tensor(np.ascontiguousarray(value), dtype=torch.float32) for name, value in state.items()}, False)
    network.eval()
    images = values.ndim == 4
    with torch.no_grad():
        output = network(torch.tensor(values.transpose(0, 3, 1, 2) if images else values)).numpy()
    return output.transpose(0, 2, 3, 1) if output.ndim == 4 else output


def channels_first(kernel):
    """The kernel of a dense layer from or to 4x4 feature maps, with these in PyTorch's order."""
    order = np.arange(4 * 4 * 256).reshape(4, 4, 256).transpose(2, 0, 1).ravel()
    return kernel[order] if len(kernel) == len(order) else kernel[:, order]
