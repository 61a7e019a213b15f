"""The run of a stranger: no command imports or executes what its record names, or writes outside of the run and the cache."""

import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds
from command_line import ROOT, read_error, small_gan

from zoo import __main__ as program
from zoo import data
from zoo.cli import train
from zoo.cli.import_path import remove_working_directory
from zoo.cli.request import build_request
from zoo.data.builders import find_builder
from zoo.errors import UserError
from zoo.runs import Run
from zoo.runs.writing import explain_write_errors

PAYLOAD = "payload_of_a_stranger"
FEATURE = f"{PAYLOAD}.Feature"
IMAGE = {
    "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
    "image": {"shape": {"dimensions": ["8", "8", "1"]}, "dtype": "uint8", "encodingFormat": "png"},
}
DICT = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
SEQUENCE = "tensorflow_datasets.core.features.sequence_feature.Sequence"
FORMATS = {
    "proto": {"pythonClassName": FEATURE, "jsonFeature": {"json": "{}"}},
    "legacy": {"type": FEATURE, "content": {}},
    "nested": {"pythonClassName": DICT, "featuresDict": {"features": {"image": IMAGE, "x": {"pythonClassName": FEATURE, "text": {}}}}},
    "nested legacy": {"type": SEQUENCE, "content": {"feature": {"type": FEATURE, "content": {}}, "length": 1}},
    "json in proto": {"pythonClassName": SEQUENCE, "jsonFeature": {"json": json.dumps({"feature": {"type": FEATURE, "content": {}}})}},
}


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """The file that the payload writes if it is imported or executed; the payload can be imported."""
    path = tmp_path / "marker"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / f"{PAYLOAD}.py").write_text(f"open({str(path)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path / "code")
    yield path
    sys.modules.pop(PAYLOAD, None)


def write_tfds_folder(folder, features):
    """A dataset `stolen` whose files have these features."""
    version = folder / "stolen" / "1.0.0"
    version.mkdir(parents=True, exist_ok=True)
    (version / "features.json").write_text(json.dumps(features))
    (version / "dataset_info.json").write_text(json.dumps({"name": "stolen", "version": "1.0.0", "fileFormat": "tfrecord"}))


def write_record(run, **changes):
    record = json.loads((run / "config.json").read_text())
    record["data"] |= changes.pop("data", {})
    record["options"] |= changes.pop("options", {})
    (run / "config.json").write_text(json.dumps(record | changes))


@pytest.fixture
def hostile_run(tmp_path, marker):
    run = tmp_path / "run"
    shutil.copytree(small_gan(), run)
    write_tfds_folder(tmp_path / "tfds", FORMATS["nested"])
    code = str(tmp_path / "code" / f"{PAYLOAD}.py")
    options = {
        "data_dir": str(tmp_path / "tfds"),
        "model": f"{code}:gan",
        "feature_extractor": f"file:{code}",
        "run_dir": str(tmp_path / "x"),
    }
    write_record(run, data={"name": "stolen"}, options=options)
    return run


COMMANDS = {
    "resume": lambda run: train.main(["--resume", run]),
    "dry run": lambda run: train.main(["--resume", run, "--dry-run"]),
    "generate": lambda run: program.main(["generate", run, "--count", "1"]),
    "evaluate": lambda run: program.main(["evaluate", run, "--count", "10"]),
    "analyze": lambda run: program.main(["analyze", run, "--count", "10"]),
    "utility": lambda run: program.main(["utility", run, "--count", "10"]),
    "compare": lambda run: program.main(["compare", run]),
    "export": lambda run: program.main(["export", run]),
    "translate": lambda run: program.main(["translate", run, f"{run}/samples/step-000004.png", "out.png"]),
    "upscale": lambda run: program.main(["upscale", run, f"{run}/samples/step-000004.png", "out.png"]),
    "list": lambda run: program.main(["list"]),
}
READING = ("resume", "dry run", "evaluate", "analyze", "utility")  # commands that open the data


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_code_of_a_run(command, hostile_run, marker, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    try:
        COMMANDS[command](str(hostile_run))
    except UserError as error:
        assert command in READING or command in ("translate", "upscale", "compare")  # what a run of gan without scores refuses
        assert command not in READING or f"name the class {FEATURE}, which is not part of TFDS" in str(error)
    else:
        assert command not in READING
    assert not marker.exists() and not (tmp_path / "x").exists()


@pytest.mark.parametrize("features", FORMATS.values(), ids=list(FORMATS))
def test_features_from_outside_tfds_are_refused_before_any_import(features, marker, tmp_path):
    write_tfds_folder(tmp_path, features)
    with pytest.raises(UserError, match=f"name the class {FEATURE}"):
        data.open_source("stolen", tmp_path)
    assert not marker.exists()
    with pytest.raises(ValueError, match="Unrecognized FeatureConnector"):
        tfds.builder("stolen", data_dir=tmp_path)
    assert marker.exists(), "TFDS itself imports it"


def test_feature_classes_that_the_program_has_imported_are_used(tmp_path):
    class Own(tfds.features.Image):
        pass

    name = f"{Own.__module__}.{Own.__name__}"
    write_tfds_folder(tmp_path, {"pythonClassName": DICT, "featuresDict": {"features": {"own": {**IMAGE, "pythonClassName": name}}}})
    assert find_builder("stolen", tmp_path).info.features.keys() == {"own"}


@pytest.mark.parametrize("content", ["[]", "{}", '{"type": 5}', "{", '{"pythonClassName": ["a"]}', "[" * 100_000, '{"type": "no_dot"}'])
def test_damaged_metadata_are_one_line(content, tmp_path):
    write_tfds_folder(tmp_path, {})
    (tmp_path / "stolen" / "1.0.0" / "features.json").write_text(content)
    with pytest.raises(UserError):
        data.open_source("stolen", tmp_path)


@pytest.mark.parametrize(
    "name", [f"{PAYLOAD}:ds/1.0.0", "huggingface:ds", "kaggle:ds", "mnist/data_dir=x", "mnist/a=1", "", "a b", "../x", PAYLOAD]
)
def test_names_cannot_install_or_import_packages(name, marker, tmp_path):
    with pytest.raises(UserError):
        data.open_source(name, tmp_path / "data")
    assert not marker.exists() and not (tmp_path / "data").exists()


def test_a_recorded_model_file_is_not_executed(hostile_run, marker, capsys):
    spec = json.loads((hostile_run / "config.json").read_text())["options"]["model"]
    write_record(hostile_run, model=spec)
    for main, argv in ((train.main, ["--resume", str(hostile_run)]), (program.main, ["generate", str(hostile_run)])):
        read_error(capsys, argv, main)
    with pytest.raises(UserError):
        build_request(None, str(hostile_run), {})
    assert not marker.exists()


def test_an_extractor_file_is_read_without_its_layers(tmp_path, marker):
    """Keras imports the modules of the layers in a file; only the weights are read here."""
    digits = data.open_source("digits")
    network = keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Lambda(lambda x: importlib.import_module(PAYLOAD) or x)])
    network.save(tmp_path / "a.keras")
    marker.unlink()  # building the network has written it
    sys.modules.pop(PAYLOAD)
    record = {"data": "digits", "shape": [32, 32, 1], "classes": 10, "seed": 0, "rotations": None, "accuracy": 1.0, "sha256": ""}
    (tmp_path / "a.json").write_text(json.dumps(record))
    from zoo.metrics import load_extractor

    with pytest.raises(UserError, match="cannot be read as a feature extractor"):
        load_extractor(f"file:{tmp_path / 'a.keras'}", digits)
    for wrong in ({"shape": "32"}, {"shape": [10**9, 8, 1]}, {"shape": [4000, 4000, 1]}, {"accuracy": None}, {"classes": True}):
        (tmp_path / "a.json").write_text(json.dumps(record | wrong))
        with pytest.raises(UserError, match="cannot be read as a feature extractor"):
            load_extractor(f"file:{tmp_path / 'a.keras'}", digits)
    assert not marker.exists()


def test_a_recorded_data_folder_is_not_written_to(tmp_path):
    """Data that are not there are prepared in the cache; a folder that the user types is used as before."""
    recorded, typed = tmp_path / "recorded", tmp_path / "typed"
    recorded.mkdir()
    source = data.open_source("photographs", recorded, keys=("picture",), read_only=True)
    assert source.sizes == {"train": 4, "test": 2} and not list(recorded.iterdir())
    assert not source.cache_dir.startswith(str(tmp_path))
    source = data.open_source("photographs", typed, keys=("picture",))
    assert source.cache_dir == str(typed / "zoo_extractors") and (typed / "photographs").is_dir()
    before = sorted(typed.rglob("*"))
    again = data.open_source("photographs", typed, keys=("picture",), read_only=True)
    assert again.read_only_cache_dir == source.cache_dir and not again.cache_dir.startswith(str(tmp_path))
    assert sorted(typed.rglob("*")) == before and again.version == source.version


def test_the_data_folder_of_a_record_is_read_only_unless_it_is_typed(hostile_run):
    assert "data_dir" not in build_request(None, str(hostile_run), {}).typed
    assert "data_dir" in build_request(None, str(hostile_run), {"data_dir": "x"}).typed


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples/step-000009.png", "export"])
def test_links_out_of_a_run_are_not_written_through(name, tmp_path, hostile_run):
    path = hostile_run / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match=f"{name} is a symbolic link out of the run's folder"), explain_write_errors(Run(hostile_run)):
        (tmp_path / "victim").touch()
    assert not (tmp_path / "victim").exists()
    path.unlink()
    path.symlink_to(hostile_run / "config.json")
    with explain_write_errors(Run(hostile_run)):
        pass


@pytest.mark.parametrize("command", [["-m", "zoo", "--help"], [str(ROOT / "train.py"), "--help"]])
@pytest.mark.parametrize("path", ["", f"{os.pathsep}"], ids=["", "empty entry of PYTHONPATH"])
def test_packages_are_not_imported_from_the_working_directory(command, path, tmp_path):
    (tmp_path / "tyro.py").write_text("open('marker', 'w')\nraise SystemExit(7)\n")
    env = {**os.environ, "PYTHONPATH": f"{path}{ROOT}"}
    assert subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, capture_output=True).returncode == 0
    assert not (tmp_path / "marker").exists()


def test_what_pythonpath_names_stays_on_the_import_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for named, stays in ((str(tmp_path), True), ("", False)):
        monkeypatch.setenv("PYTHONPATH", named)
        monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/other"])
        remove_working_directory()
        assert sys.path == (["", str(tmp_path), "/other"] if stays else ["/other"])
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", ["", "/other"])
    remove_working_directory()
    assert sys.path == ["", "/other"]


def test_a_run_of_ones_own_pictures_resumes(tmp_path, capsys):
    """With the command that messages print."""
    for i in range(20):
        (tmp_path / "pictures" / f"{i % 10}").mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(tmp_path / "pictures" / f"{i % 10}" / f"{i}.png", np.full((32, 32, 1), i), scale=False)
    source = data.open_source(f"folder:{tmp_path / 'pictures'}", keys=("image", "label"))
    shutil.copytree(small_gan(), tmp_path / "run")
    write_record(tmp_path / "run", data={"name": source.name, "version": source.version, "class_names": list(source.class_names)})
    words = shlex.split(Run(tmp_path / "run").resume_command())
    assert train.main([*words[words.index("--resume") :], "--dry-run"]) == 0
    assert f"data       {source.name} {source.version}: 20 training examples" in capsys.readouterr().out
