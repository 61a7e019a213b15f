"""The program in C++: it is compiled and run where there is a compiler, and writes the image that the model makes."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_model
from PIL import Image

from zoo.serving.saved_model import export_model
from zoo.testing.serving_checks import has_cpp_library

FOLDER = Path(__file__).parents[1] / "examples" / "cpp"
COMPILER = shutil.which("c++")

pytestmark = pytest.mark.skipif(
    not COMPILER or not has_cpp_library(), reason="needs a C++ compiler, and TensorFlow's C++ library, which is in its package for Linux"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("cpp") / "sample"
    result = subprocess.run(
        ["bash", str(FOLDER / "build.sh"), str(path)], env={**os.environ, "PYTHON": sys.executable}, stderr=subprocess.PIPE, text=True
    )
    assert not result.returncode and "sample.cc" not in result.stderr, result.stderr  # no warnings either
    return path


@pytest.fixture(scope="module")
def model():
    model = tiny_model("acgan")
    for weight in model.ema_generator.weights:
        weight.assign(weight * 5)  # untrained, its images are gray
    return model


@pytest.fixture(scope="module")
def version(model, tmp_path_factory):
    return export_model(model, tmp_path_factory.mktemp("export"))


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], stderr=subprocess.PIPE, text=True)


def test_the_program_is_short():
    assert len((FOLDER / "sample.cc").read_text().splitlines()) <= 60


def test_it_writes_the_image_of_a_seed_and_label(program, model, version, tmp_path):
    assert not run(program, version, tmp_path / "sample.png", "seed=7", "label=2").returncode
    (file,) = model.serve("png", seed=[7], label=[2])["image_bytes"].numpy()
    expected = np.asarray(Image.open(io.BytesIO(file)), np.int16)
    assert expected.std() > 10
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "sample.png")), expected, atol=1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["seed=7", "label=3"], "label is out of range; available classes: 0 to 2"),
        (["seed=7"], "You must feed a value for placeholder tensor 'png_label'"),
        (["seed=7", "truncation=1"], "truncation=1: the export has no signature png with this input"),
        (["seed=7", "label=x"], "label=x: not a number"),
        ([], "usage: sample EXPORT OUT.png seed=NUMBER"),
    ],
)
def test_its_mistakes_are_explained(program, version, tmp_path, arguments, message):
    result = run(program, version, tmp_path / "sample.png", *arguments)
    assert result.returncode == 1 and message in result.stderr
    assert not list(tmp_path.iterdir())
