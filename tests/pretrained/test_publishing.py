"""Publishing of a run's model, and loading of what was published."""

import dataclasses
import hashlib
import json
import zipfile

import keras
import numpy as np
import pytest
from conftest import same_arrays, tiny_model, weights
from safetensors.numpy import load_file

import zoo
from zoo import registry
from zoo.core.variables import variable_names
from zoo.errors import UserError
from zoo.pretrained import load_model, open_model, publishing
from zoo.pretrained.manifest import FILE
from zoo.pretrained.publishing import publish
from zoo.runs import DataRecord, Run, RunRecord

PER_CLASS = sorted({registry.get_entry(name).model: name for name in reversed(zoo.list_models())}.values())


def write_run(folder, model, name, data="digits", **options):
    """The folder of a run of a model at its third step; all weights are random, those of the EMA others than those of the generator."""
    rng = np.random.default_rng(0)
    for network in filter(None, (model.generator, model.discriminator, model.ema_generator)):
        network.set_weights([(rng.uniform(0.5, 1.5) * (weight + 0.01)).astype(weight.dtype) for weight in network.get_weights()])
    model.step_counter.assign(3)
    config = dataclasses.asdict(model.config)
    run = Run.create(RunRecord(name, config, DataRecord(data, "1.0.0", ["a", "b", "c"]), "float32", 1, False, options), folder)
    run.manager(model).save(checkpoint_number=3)
    return run


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    run = write_run(folder / "run", tiny_model("acgan"), "acgan", data_dir="/home/someone/data", eval_samples=64)
    run.append({"step": 3, "scores": {"frechet": 7.5}, "errors": {"frechet": 0.5}, "protocol": {"extractor": "one", "fake_images": 9}})
    run.append({"step": 2, "scores": {"frechet": 9.5}, "protocol": {"extractor": "one", "fake_images": 9}})
    publish(run, folder / "acgan-digits", limits=("It is not trained.",))
    return run, folder / "acgan-digits"


def outputs(model):
    """The outputs of the EMA, and of the discriminator beside a generator, for random inputs."""
    networks, rng = [model.ema_generator, *([model.discriminator] if len(model.players) == 2 else [])], np.random.default_rng(0)
    arrays = []
    for network in networks:
        shapes = {tensor.name: ([2, *(side or 16 for side in tensor.shape[1:])], tensor.dtype) for tensor in network.inputs}
        inputs = {name: rng.uniform(-1, 1, shape).astype(dtype) for name, (shape, dtype) in shapes.items()}
        arrays += [keras.ops.convert_to_numpy(one) for one in keras.tree.flatten(network(inputs, training=False))]
    return arrays


@pytest.mark.parametrize("name", PER_CLASS)
def test_every_model_is_loaded_as_it_was_published(tmp_path, name):
    model = tiny_model(name)
    publish(write_run(tmp_path / "run", model, name), tmp_path / "published")
    keras.layers.Conv2D(3, 3)  # the layers of this process have other numbers
    loaded = load_model(tmp_path / "published")
    assert type(loaded) is type(model) and loaded.config == model.config and loaded.completed_steps == 3
    for one, two in zip(outputs(loaded), outputs(model), strict=True):
        np.testing.assert_allclose(one, two, atol=0.01 * max(np.ptp(two), np.abs(two).max()))
    assert same_arrays(weights(loaded.ema_generator), weights(loaded.generator or loaded.discriminator)), "fine-tuning starts from the EMA"


def test_a_manifest_tells_what_is_known_and_no_paths(published):
    run, folder = published
    manifest = json.loads((folder / FILE).read_text())
    assert manifest["name"] == "acgan-digits" and manifest["license"] == "cc-by-4.0" and "Alpaydin" in manifest["attribution"]
    assert manifest["scores"] == [
        {
            "protocol": {**dataclasses.asdict(zoo.types.Protocol()), "extractor": "one", "fake_images": 9},
            "values": {"frechet": 7.5},
            "errors": {"frechet": 0.5},
        }
    ]
    assert manifest["record"]["options"] == {"eval_samples": 64} and "/home/someone" not in json.dumps(manifest)
    assert manifest["limits"] == ["It is not trained."] and manifest["step"] == 3
    assert open_model(folder).record.config_values() == dataclasses.asdict(tiny_model("acgan").config)
    assert "28" not in manifest["summary"] and "16x16" in manifest["summary"]


def stored_dtypes(folder, player):
    return {array.dtype.name for array in load_file(folder / f"{player}.safetensors").values()}


def test_weights_are_float16_where_samples_stay_equal(published, tmp_path):
    assert stored_dtypes(published[1], "generator") == {"float16"}
    for player, index in (("ema_generator", 0), ("discriminator", -1)):  # the last weights are those of the second head
        model, other = tiny_model("acgan"), {"ema_generator": "discriminator", "discriminator": "generator"}[player]
        run, network = write_run(tmp_path / player / "run", model, "acgan"), getattr(model, player)
        values = network.get_weights()
        values[index][:] = 1e6  # beyond float16
        network.set_weights(values)
        run.manager(model).save(checkpoint_number=3)
        folder = tmp_path / player / "published"
        publish(run, folder)
        assert stored_dtypes(folder, player.removeprefix("ema_")) == {"float32"} and stored_dtypes(folder, other) == {"float16"}
        assert same_arrays(weights(network), weights(getattr(load_model(folder), player)))


def test_the_discriminator_is_loaded_on_demand(published, tmp_path):
    for name in ("generator.safetensors", FILE):
        (tmp_path / name).write_bytes((published[1] / name).read_bytes())
    opened = open_model(tmp_path)
    sampled = load_model(opened, discriminator=False).sample([1, 2], label=[0, 1])
    np.testing.assert_array_equal(sampled, load_model(published[1]).sample([1, 2], label=[0, 1]))
    for model in (tmp_path, opened):  # what was opened is not changed
        with pytest.raises(UserError, match="discriminator.safetensors is missing"):
            load_model(model)
    with pytest.raises(UserError, match="needs its discriminator"):
        load_model(tmp_path, discriminator=False, compile=True)


def test_every_load_compares_the_hash(published, tmp_path):
    for path in published[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    opened = open_model(tmp_path)
    load_model(opened)
    path = tmp_path / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="damaged"):
        load_model(opened)


def test_a_model_that_is_trained_on_starts_from_values_that_are_not_published(tmp_path):
    model = tiny_model("ebm")
    publish(write_run(tmp_path / "run", model, "ebm"), tmp_path / "published")
    loaded = load_model(tmp_path / "published", compile=True)
    assert all(np.ptp(variable.numpy()) > 0 for variable in loaded.variables if "buffer" in variable.path)
    assert any("buffer" in variable.path for variable in loaded.variables)


def test_names_of_variables_do_not_depend_on_the_process():
    first = tiny_model("acgan")
    names = {player: variable_names(network) for player, network in first.players.items()}
    second = registry.get_entry("acgan").build(first.config)  # its layers are numbered on
    assert {player: variable_names(network) for player, network in second.players.items()} == names
    for network in (*second.players.values(), second.ema_generator):
        assert len(set(variable_names(network))) == len(network.weights)
    assert any(name.endswith("_1/kernel") for name in names["d"]) and variable_names(second.ema_generator) == names["g"]


@pytest.mark.parametrize("data", ["folder:/home/someone/faces", "cifar10", "celeb_a", "somewhere/else"])
def test_data_without_a_license_are_refused_unless_one_is_given(published, tmp_path, data):
    run = Run(published[0].folder)
    run.record.data.name = data
    with pytest.raises(UserError, match="--license"):
        publish(run, tmp_path / "one")
    assert not (tmp_path / "one").exists()
    manifest = publish(run, tmp_path / "one", license="cc0-1.0", attribution="By me.").manifest
    assert (manifest.license, manifest.attribution) == ("cc0-1.0", "By me.")


def test_names_are_checked(published, tmp_path):
    for name in ("", "../one", "One", "a b", "x" * 101):
        with pytest.raises(UserError, match="--name"):
            publish(published[0], tmp_path / "one", name=name)


def test_a_model_is_opened_by_folder_archive_and_name(published, tmp_path, monkeypatch):
    run, folder = published
    expected = load_model(folder).sample([5], label=[1])
    for prefix in ("", "deep/acgan/"):
        archive = tmp_path / "one.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in folder.iterdir():
                file.write(path, prefix + path.name)
        np.testing.assert_array_equal(load_model(archive).sample([5], label=[1]), expected)
    monkeypatch.setattr("zoo.pretrained.published.SHIPPED", folder.parent)
    np.testing.assert_array_equal(zoo.load("acgan-digits").sample([5], label=[1]), expected)
    assert open_model(str(run.folder)).folder == run.folder and open_model(opened := open_model(folder)) is opened
    for wrong, message in (("acgan-digit", "did you mean 'acgan-digits'"), ("nothing", "is not a run, and no pretrained model has")):
        with pytest.raises(UserError, match=message):
            open_model(wrong)
    assert zoo.load("acgan-digits").class_names == ("a", "b", "c")
    with pytest.raises(UserError, match="no checkpoint best, only that of step 3"):
        load_model("acgan-digits", "best")


DAMAGE = {
    "a byte": (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "SHA-256"),
    "truncated": (lambda data: data[:-10], "bytes and not"),
    "empty": (lambda data: b"", "bytes and not"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_damaged_files_are_one_line(published, tmp_path, damage, player):
    change, message = DAMAGE[damage]
    for path in published[1].iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(change(content) if path.stem == player else content)
    with pytest.raises(UserError, match=f"{player}.safetensors is damaged: .*{message}"):
        load_model(tmp_path)


def change_manifest(source, folder, **changes):
    """A copy of a published model with another manifest, whose hashes are right."""
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    values = json.loads((folder / FILE).read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        inner = values
        for one in parents:
            inner = inner[one]
        inner[last] = value
    (folder / FILE).write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"schema": 99}, "newer version"),
        ({"schema": "x"}, "schema"),
        ({"weights__generator__file": "weights.pkl"}, "may execute code"),
        ({"weights__generator__file": "../generator.safetensors"}, "may execute code"),
        ({"weights__generator__bytes": -1}, "negative"),
        ({"weights__generator__bytes": 10**15}, "bytes and not 1,000,000,000,000,000"),
        ({"weights__generator__file": 3}, "weights.generator.file"),
        ({"weights__generator__file": "other.safetensors"}, "other.safetensors is missing"),
        ({"weights__generator": 3}, "weights.generator is not an object"),
        ({"weights": {}}, "weights"),
        ({"weights__more": {}}, "weights"),
        ({"scores": 3}, "scores is not a list"),
        ({"scores": [3]}, "scores is not an object"),
        ({"limits": [3]}, "limits"),
        ({"record": None}, "record is not an object"),
        ({"record__schema": 99}, "newer version"),
        ({"record__model": "nothing"}, "not registered"),
        ({"record__config__latent_dim": 16}, "differs from that of the network"),
        ({"record__config__latent_dim": 10**8}, "more weights"),
        ({"record__config__latent_dim": "wide"}, "latent_dim"),
        ({"name": "../x"}, "is not a name"),
        ({"step": "x"}, "step"),
    ],
)
def test_manifests_that_are_wrong_are_one_line(published, tmp_path, changes, message):
    folder = change_manifest(published[1], tmp_path, **changes)
    with pytest.raises(UserError, match=message):
        load_model(folder)


def test_files_that_are_no_archive_of_a_model_are_one_line(published, tmp_path):
    folder = published[1]
    pickled, empty, damaged, text, packed = (tmp_path / f"{name}.zip" for name in ("pickled", "empty", "damaged", "text", "packed"))
    with zipfile.ZipFile(pickled, "w") as file:
        file.writestr("data.pkl", b"cos\nsystem\n")
        file.write(folder / FILE, FILE)
    with zipfile.ZipFile(empty, "w"):
        pass
    with zipfile.ZipFile(damaged, "w") as file:
        file.write(folder / FILE, FILE)
    content = bytearray(damaged.read_bytes())
    content[100:120] = b"x" * 20
    damaged.write_bytes(content)
    text.write_text("no archive")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as file:
        file.write(folder / FILE, FILE)
    for path, message in (
        (pickled, "refused: it contains data.pkl"),
        (empty, "it has no manifest.json"),
        (damaged, "cannot be read as a .zip file"),
        (text, "cannot be read as a .zip file"),
        (packed, "compressed by another method than deflate"),
    ):
        with pytest.raises(UserError, match=message):
            load_model(path)


def test_a_manifest_that_is_inflated_to_gigabytes_is_not_read(tmp_path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file, file.open(FILE, "w") as member:
        for _ in range(70):
            member.write(b" " * 2**20)
    with pytest.raises(UserError, match="more than 67,108,864 bytes"):
        load_model(archive)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "I64"])
def test_weights_of_other_types_are_one_line(published, tmp_path, dtype):
    size = {"BF16": 2, "F8_E4M3": 1, "I64": 8}[dtype]
    header = json.dumps({"x": {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(size)
    digest = {"weights__generator__sha256": hashlib.sha256(content).hexdigest(), "weights__generator__bytes": len(content)}
    folder = change_manifest(published[1], tmp_path, **digest)
    (folder / "generator.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="arrays are not float16 or float32"):
        load_model(folder)


@pytest.mark.parametrize(
    "command, expected",
    [
        (
            "python train.py --init-from 'https://example.org/a.zip#sha256=ab'",
            "python train.py --init-from 'https://example.org/a.zip#sha256=ab'",
        ),
        ("zoo train --init-from hf://user/name --data mnist/3.0.1", "zoo train --init-from hf://user/name --data mnist/3.0.1"),
        ("zoo train --data 'folder:/home/Jane Doe/my faces/' --seed 0", "zoo train --data 'folder:my faces' --seed 0"),
        ("zoo train --data folder:~/faces --init-from ../../jane/run", "zoo train --data folder:faces --init-from run"),
        ("zoo train --feature-extractor=file:/x/y/one.keras", "zoo train --feature-extractor=file:one.keras"),
        ("zoo train --init-from runs/acgan-0001", "zoo train --init-from runs/acgan-0001"),
        ("zoo train --data 'folder:C:\\Users\\jane\\faces'", "zoo train --data folder:faces"),
        ("one /a/b\ntwo /c/d", "one b\ntwo d"),
        ("zoo train --data mnist --data-dir '/my data' --run-dir /tmp/x --seed 0", "zoo train --data mnist --seed 0"),
        ("not 'closed", ""),
    ],
)
def test_commands_name_no_folders_of_the_machine(command, expected):
    assert publishing._publishable_commands(command) == expected


def test_scores_that_are_not_numbers_are_left_out(published, tmp_path):
    run = Run(published[0].folder)
    run.append({"step": 3, "scores": {"kid": float("nan")}, "protocol": {"extractor": "two"}})
    assert publish(run, tmp_path / "one").manifest.scores == open_model(published[1]).manifest.scores


def test_licenses_are_identifiers(published, tmp_path):
    for license in ("CC BY-SA 4.0", "", "mine: all"):
        with pytest.raises(UserError, match="SPDX identifier"):
            publish(published[0], tmp_path / "one", license=license)


def test_create_takes_pretrained_models_too(published, monkeypatch):
    monkeypatch.setattr("zoo.pretrained.published.SHIPPED", published[1].parent)
    assert zoo.create("acgan-digits", pretrained=True).completed_steps == 3
    with pytest.raises(UserError, match="omit latent_dim"):
        zoo.create("acgan-digits", pretrained=True, latent_dim=3)
    with pytest.raises(UserError, match=r"did you mean acgan-digits\?"):
        zoo.create("acgan", pretrained=True)
