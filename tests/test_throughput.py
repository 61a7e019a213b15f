"""The throughput benchmark: every style of code trains exactly the same networks. Nothing is timed here."""

import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import import_benchmark

import zoo

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PARAMETERS = {
    "DCGAN, 28x28, batch 128": {"generator": 1_066_880, "discriminator": 661_248},
    "CycleGAN, 64x64, batch 1": {"generator": 2 * 1_965_059, "discriminator": 2 * 2_764_737},
    "CycleGAN, 64x64, batch 4": {},  # the same
    "SRResNet, crops of 96x96, batch 16": {"generator": 1_550_659},
    "SNGAN with projection, 32x32, batch 64": {"generator": 347_011, "discriminator": 265_408},
}
SMALL = {
    "dcgan": {"width": 4, "batch_size": 2},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_width": 4, "batch_size": 1},
    "srresnet_96": {"width": 4, "blocks": 1, "batch_size": 2},
    "sngan_projection": {"generator_width": 4, "discriminator_width": 4, "batch_size": 2},
}
TORCH_STYLES = ("PyTorch", "PyTorch, compiled", "PyTorch, bfloat16 channels_last")
# Trains or calls the networks in a process without TensorFlow: architecture, its description and inputs -> what it prints or saves.
TORCH_SCRIPT = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
import numpy as np, torch, torch_styles
from architectures import ARCHITECTURES

name, overrides, described, inputs = pickle.load(open(sys.argv[2], "rb"))
architecture = ARCHITECTURES[name]._replace(overrides=overrides, steps=1)
outputs = {}
for player, description in described[0].items():
    network = torch_styles.Network(description, exact=True).eval()
    for module in network.modules():
        if hasattr(module, "parametrizations"):  # spectral normalization gets the singular vectors that power iteration converges to
            weight = module.parametrizations.weight
            u, _, v = torch.linalg.svd(weight.original.detach().flatten(1), full_matrices=False)
            weight[0]._u.copy_(u[:, 0]), weight[0]._v.copy_(v[0])
    values = {key: torch.tensor(x if x.ndim < 4 else x.transpose(0, 3, 1, 2).copy()) for key, x in inputs.items()}
    with torch.no_grad():
        output = network(values)
    for key, value in (output if isinstance(output, dict) else {"": output}).items():
        outputs[f"{player} {key}"] = (value.permute(0, 2, 3, 1) if value.ndim == 4 else value).numpy()
for bfloat16 in (False, True):
    trainer = torch_styles.build(architecture, described, bfloat16)
    before = [p.detach().clone() for network in trainer.networks.values() for p in network.parameters()]
    trainer.time_steps()
    after = [p.detach() for network in trainer.networks.values() for p in network.parameters()]
    assert all(torch.isfinite(p).all() for p in after) and sum(not torch.equal(a, b) for a, b in zip(before, after)) > len(after) / 2
pickle.dump((trainer.parameters, outputs), open(sys.argv[3], "wb"))
"""


@pytest.fixture(scope="module")
def architectures():
    return import_benchmark("architectures")


@pytest.fixture(scope="module")
def styles():
    import_benchmark("keras_styles")  # which it imports in functions
    return import_benchmark("styles")


@pytest.fixture(params=["DCGAN, 28x28, batch 128", *list(PARAMETERS)[2:]])
def small(request, architectures):
    """An architecture with few channels, and its networks with random weights."""
    architecture = architectures.ARCHITECTURES[request.param]
    architecture = architecture._replace(overrides={**architecture.overrides, **SMALL[architecture.model]}, steps=1)
    model, rng = zoo.create(architecture.model, **architecture.overrides), np.random.RandomState(0)
    networks = {name: network for name, network in (("generator", model.generator), ("discriminator", model.discriminator)) if network}
    for network in networks.values():
        network.set_weights([rng.normal(0, 0.3, w.shape) + ("gamma" in w.path or "variance" in w.path) for w in network.weights])
        for layer in network.layers:
            if hasattr(layer, "vector"):
                layer.vector.assign(np.linalg.svd(np.reshape(layer.kernel, (-1, layer.kernel.shape[-1])), full_matrices=False)[2][:1])
    return request.param, architecture, networks


def inputs_of(architecture):
    return {
        **architecture.batch(),
        "latent": np.random.RandomState(1).normal(size=(architecture.overrides["batch_size"], 100)).astype("float32"),
    }


def outputs_of(networks, values):
    """The outputs of Keras networks, by player and key."""
    outputs = {}
    for player, network in networks.items():
        output = network({tensor.name: values[tensor.name] for tensor in network.inputs}, training=False)
        outputs |= {f"{player} {key}": np.asarray(value) for key, value in (output if isinstance(output, dict) else {"": output}).items()}
    return outputs


def same_outputs(outputs, expected):
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(outputs[key], value, rtol=2e-3, atol=2e-4 * max(1, np.abs(value).max()))
    return True


def test_every_architecture_and_style_is_tested(architectures, styles):
    assert list(architectures.ARCHITECTURES) == list(PARAMETERS)
    assert tuple(styles.STYLES) == ("zoo", "zoo, float32", "plain Keras", "plain Keras, oneDNN enabled", *TORCH_STYLES)


def test_styles_that_fail_are_named_with_the_reason(architectures, styles):
    for name, architecture in architectures.ARCHITECTURES.items():
        assert set(architecture.failing) <= set(styles.STYLES)
        measured = {style: {"precision": "float32", "seconds": [1.0]} for style in styles.STYLES if style not in architecture.failing}
        row = {"architecture": name, "parameters": 1, "provenance": "", "styles": measured, "batch_size": 1}
        text = import_benchmark("throughput").format_row(row)
        assert all(f"{style}: fails, because {reason}." in text for style, reason in architecture.failing.items())
        assert text.count("fails") == len(architecture.failing)


@pytest.mark.parametrize("name", [name for name in PARAMETERS if "batch 4" not in name])
def test_every_style_has_the_same_number_of_parameters(architectures, styles, name):
    """That of PyTorch is tested below; it is built from the same description."""
    architecture = architectures.ARCHITECTURES[name]
    for style in ("zoo, float32", "plain Keras"):
        assert styles.STYLES[style](architecture).parameters == PARAMETERS[name]
    described, _ = architectures.describe(architecture)
    assert {player: count_weights(description) for player, description in described.items()} == PARAMETERS[name]


def count_weights(description):
    """Number of trainable weights of a description, without the statistics and singular vectors of its layers."""
    layers = {node.layer: node for node in description.nodes}.values()
    dropped = {"BatchNorm": 2, "SpectralConv2D": 1, "SpectralDense": 1, "SpectralEmbedding": 1}
    own = sum(weight.size for node in layers for weight in node.weights[: len(node.weights) - dropped.get(node.kind, 0)])
    return own + sum(count_weights(node.network) for node in layers if node.network)


def test_plain_keras_computes_what_the_zoo_computes(small):
    """With Keras' own layers; those of spectral normalization, whose weights are in another order, get the normalized kernel."""
    _, architecture, networks = small
    plain = {name: import_benchmark("keras_styles").plain_network(network) for name, network in networks.items()}
    for name, network in networks.items():
        copy_weights(network, plain[name])
    values = inputs_of(architecture)
    assert same_outputs(outputs_of(plain, values), outputs_of(networks, values))


def copy_weights(network, plain):
    for layer, other in zip(network.layers, plain.layers, strict=True):
        if isinstance(layer, keras.Model):
            copy_weights(layer, other)
        elif hasattr(layer, "vector"):
            bias = [layer.bias] if layer.bias is not None else []
            wrapper = other.layers[-1] if isinstance(other, keras.Sequential) else other
            wrapper.layer.set_weights([layer.normalized_kernel(training=False), *bias])
        else:
            other.set_weights(layer.get_weights())


@pytest.mark.parametrize("small", ["DCGAN, 28x28, batch 128", *list(PARAMETERS)[2:4]], indirect=True)
def test_plain_keras_trains_the_networks(small, styles):
    _, architecture, _ = small
    trainer = styles.STYLES["plain Keras"](architecture)
    before = {name: np.array(network.trainable_weights[0]) for name, network in trainer.networks.items()}
    trainer.time_steps()
    for name, network in trainer.networks.items():
        after = np.array(network.trainable_weights[0])
        assert np.isfinite(after).all() and not np.array_equal(before[name], after)


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
def test_pytorch_computes_what_the_zoo_computes_and_trains_it(small, architectures, tmp_path):
    name, architecture, networks = small
    values = inputs_of(architecture)
    described = {player: architectures.describe_network(network) for player, network in networks.items()}
    rates = dict.fromkeys(described, 1e-3)
    (tmp_path / "in.pkl").write_bytes(
        pickle.dumps((name, architecture.overrides, (described, {"betas": (0.5, 0.9), "rates": rates}), values))
    )
    command = [sys.executable, "-c", TORCH_SCRIPT, str(BENCHMARKS), str(tmp_path / "in.pkl"), str(tmp_path / "out.pkl")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    parameters, outputs = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert parameters == {player: count_weights(description) for player, description in described.items()}
    assert same_outputs(outputs, outputs_of(networks, values))


@pytest.mark.parametrize("words", [["--only", "StyleGAN"], ["--repetitions", "0"], ["--only", "DCGAN", "--style", "JAX"]])
def test_bad_options_are_refused(words, tmp_path):
    command = [sys.executable, str(BENCHMARKS / "throughput.py"), *words, "--rows", str(tmp_path / "rows.jsonl")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1 and words[-1] in result.stderr
    assert not list(tmp_path.iterdir())
