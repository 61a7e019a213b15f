"""Directions: their definitions, their files, and what is refused."""

import dataclasses

import keras
import numpy as np
import pytest
from conftest import tiny_model, to_numpy

from zoo.errors import UserError
from zoo.latent import Directions, LatentDistribution, draw_directions, find_directions, move
from zoo.latent.directions import response_matrix
from zoo.latent.networks import GeneratorCall, find_first_layers, find_hidden_features


@pytest.fixture(scope="module")
def model():
    return tiny_model("dcgan")


@pytest.fixture(scope="module")
def directions(model):
    return find_directions(model, count=3, samples=50)


@pytest.mark.parametrize("name", ["dcgan", "acgan", "pggan", "vae"])  # plain; with a label and an activation; normalized; nested
def test_sefa_maximizes_the_response_of_the_first_layer(name):
    model = tiny_model(name)
    length = model.config.latent_dim
    network = model.ema_generator.get_layer("decoder") if name == "vae" else model.ema_generator
    kernel = to_numpy(next(weight for weight in network.weights if weight.name == "kernel"))[:length]
    result = find_directions(model, ["sefa"], count=length)
    assert result.vectors.dtype == np.float32 and result.names == tuple(f"sefa{i + 1}" for i in range(length))
    np.testing.assert_allclose(result.vectors @ result.vectors.T, np.eye(length), atol=1e-5)
    responses = np.linalg.norm(result.vectors @ kernel, axis=1)
    np.testing.assert_allclose(responses, np.linalg.svd(kernel)[1][:length], rtol=1e-3)
    others = np.random.RandomState(0).normal(size=(500, length))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert np.linalg.norm(others @ kernel, axis=1).max() < responses[0] * (1 + 1e-5)
    ratio = result.values / responses  # constant: a normalization of the latent vector scales all alike
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    assert name == "pggan" or ratio[0] == pytest.approx(1, rel=1e-3)


def test_sefa_covers_all_chunks_of_a_split_latent_vector():
    model = tiny_model("biggan")
    call = GeneratorCall.trace(model)
    firsts = find_first_layers(call)
    assert len(firsts) > 2  # the dense layer, and the gains and offsets of the normalizations
    assert (np.abs(response_matrix(call, firsts)).sum(1) > 0).all()


def test_categories_are_left_out():
    model = tiny_model("infogan")
    distribution = LatentDistribution.measure(model)
    result = find_directions(model, count=2, samples=50)
    assert not result.vectors[:, distribution.is_discrete].any()
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(result.deviations, 3**-0.5, rtol=0.03)  # of uniform values in [-1, 1]
    latent = model.latents(np.arange(20)).numpy()
    moved = move(model, latent, 100 * result.vectors[0])
    assert np.abs(moved).max() <= 1 and np.abs(moved - latent).max() > 0.5


def test_pca_recovers_a_planted_direction():
    model = tiny_model("gan")
    draw, layer = np.random.RandomState(0), next(one for one in model.ema_generator.layers if isinstance(one, keras.layers.Dense))
    planted = draw.normal(size=(8, 1))
    planted /= np.linalg.norm(planted)
    layer.kernel.assign(0.03 * draw.normal(size=layer.kernel.shape) + planted * np.abs(draw.normal(size=layer.kernel.shape[1])))
    result = find_directions(model, ["pca"], count=2, samples=1000, layer="re_lu")
    assert abs(result.vectors[0] @ planted[:, 0]) > 0.99 and abs(result.vectors[1] @ planted[:, 0]) < 0.5
    assert result.values[0] > 0.9 and result.layers == "pca: re_lu"
    again = find_directions(model, ["pca"], count=2, samples=1000, layer="re_lu")
    np.testing.assert_array_equal(result.vectors, again.vectors)


def test_what_differs_between_classes_is_no_direction():
    """The one-hot label has the largest variance, but says nothing about the latent vector."""
    model = tiny_model("cgan")
    result = find_directions(model, ["pca"], count=3, samples=300, layer="concatenate")
    np.testing.assert_allclose(result.values, 1 / 8, rtol=0.4)  # of 8 latent values; a label would have a third


def test_the_layer_of_the_lowest_resolution_is_analyzed(model):
    tensor, name = find_hidden_features(GeneratorCall.trace(model))
    assert tensor.shape[1:3] == (4, 4) or tensor.shape[1:3] == (2, 2)
    assert name.startswith("re_lu")


def test_files_round_trip(directions, model, tmp_path, capsys):
    directions.save(tmp_path / "directions.npz")
    loaded = Directions.load(tmp_path / "directions.npz")
    for name, value in dataclasses.asdict(directions).items():
        np.testing.assert_array_equal(getattr(loaded, name), value)
    loaded.check(model)
    assert capsys.readouterr().err == ""
    dataclasses.replace(loaded, fingerprint="0").check(model)
    assert capsys.readouterr().err.startswith("warning: the directions were found for other weights")


def test_edits_are_steps_in_standard_deviations(directions):
    offsets = directions.offsets(["sefa1=2", "sefa1=1,pca2=-0.5"])
    first, second = (directions.names.index(name) for name in ("sefa1", "pca2"))
    steps = directions.deviations[:, None] * directions.vectors
    np.testing.assert_allclose(offsets, [2 * steps[first], steps[first] - 0.5 * steps[second]], rtol=1e-5)
    np.testing.assert_allclose(directions.deviations, 1, rtol=0.03)


@pytest.mark.parametrize(
    "edit, message",
    [
        ("sefa1", "expected NAME=STEP"),
        ("sefa1=x", "expected NAME=STEP"),
        ("sefa1=inf", "expected NAME=STEP"),
        ("sefa9=1", "no such direction; did"),
    ],
)
def test_bad_edits(directions, edit, message):
    with pytest.raises(UserError, match=message):
        directions.offsets([edit])


def test_directions_of_another_model_are_refused(directions, model):
    with pytest.raises(UserError, match="these directions are of SAGAN, not of DCGAN"):
        dataclasses.replace(directions, model="SAGAN").check(model)
    with pytest.raises(UserError, match="latent vectors of length 8; this model's have 6"):
        directions.check(tiny_model("dcgan", latent_dim=6))


@pytest.mark.parametrize(
    "changes",
    [
        {"vectors": np.array([{}], object)},
        {"vectors": np.zeros((6, 8), np.float32)},
        {"vectors": np.full((6, 8), np.nan, np.float32)},
        {"vectors": np.ones(6)},
        {"values": np.ones(5)},
        {"values": np.array(["a"] * 6)},
        {"names": np.arange(6)},
        {"model": np.array(["a", "b"])},
        {"names": np.zeros(0, "U1")},
    ],
)
def test_damaged_arrays_are_refused(directions, tmp_path, changes):
    np.savez(tmp_path / "damaged.npz", **{**dataclasses.asdict(directions), **changes})
    with pytest.raises(UserError, match="damaged.npz cannot be read as directions"):
        Directions.load(tmp_path / "damaged.npz")


def test_damaged_files_are_refused(directions, tmp_path):
    path = tmp_path / "directions.npz"
    directions.save(path)
    content = path.read_bytes()
    for damaged in (b"", b"text", content[: len(content) // 2], content.replace(b"NUMPY", b"OTHER")):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be read as directions"):
            Directions.load(path)
    np.save(tmp_path / "array.npy", np.ones(3))
    for other in (tmp_path, tmp_path / "missing.npz", tmp_path / "array.npy"):
        with pytest.raises(UserError, match="cannot be read as directions"):
            Directions.load(other)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"methods": ["ica"]}, "method ica: choose from sefa, pca"),
        ({"count": 0}, "count=0: must be at least 1"),
        ({"samples": 3, "count": 3}, "3 samples: must be from 4"),
        ({"layer": "nowhere"}, "layer nowhere: not a layer of the generator that depends on the latent vector. Available: dense, "),
    ],
)
def test_bad_settings(model, settings, message):
    with pytest.raises(UserError, match=message):
        find_directions(model, **settings)


def test_models_without_a_generator_are_refused():
    with pytest.raises(UserError, match="this model has no generator"):
        find_directions(tiny_model("ebm"))


def test_the_sheet_has_a_row_per_direction_and_a_column_per_step(model, directions):
    sheet = draw_directions(model, directions, "pca", seed=3, steps=(-2.0, 0.0, 2.0))
    cell = 64 + 3
    assert sheet.shape == (20 + 3 * cell, 96 + 3 * cell, 3)
    offset = directions.offsets(["pca2=2"])
    image = model.modality.to_external(model.generate_from(model.ema_generator, model.latents([3]) + offset))[0].numpy()
    corner = sheet[20 + cell : 20 + cell + 64 : 4, 96 + 2 * cell : 96 + 2 * cell + 64 : 4]
    np.testing.assert_allclose(corner / 255, np.broadcast_to(image, corner.shape), atol=1.01 / 255)
