"""The files of `zoo page`; see tests/cli/test_browser.py for what they do in a browser."""

import json
import re

import numpy as np
import pytest
from conftest import tiny_model

from zoo.errors import UserError
from zoo.serving import static_page
from zoo.serving.static_page import PageDescription, find_runtime, integrity, write_page

DESCRIPTION = PageDescription("A title", "A summary.", ("0", "1", "2"), {"kind": "normal", "category": []}, ())


@pytest.fixture
def runtime(tmp_path):
    """A folder that looks like one of npm."""
    folder = tmp_path / "npm" / "node_modules" / "onnxruntime-web" / "dist"
    folder.mkdir(parents=True)
    for name in (static_page.SCRIPT, static_page.WASM):
        (folder / name).write_bytes(name.encode())
    return tmp_path / "npm"


@pytest.mark.slow
def test_a_page_has_its_model_and_the_runtime(runtime, tmp_path):
    import onnxruntime

    model = tiny_model("acgan")
    files = write_page(model, "acgan", tmp_path / "page", DESCRIPTION, runtime)
    names = sorted(str(path.relative_to(tmp_path / "page")) for path in files)
    assert names == sorted([*static_page.FILES, "model.json", "model.onnx", *(f"runtime/{name}" for name in static_page.CDN_INTEGRITY)])
    session = onnxruntime.InferenceSession(tmp_path / "page" / "model.onnx", providers=["CPUExecutionProvider"])
    latent = model.latents([5]).numpy()
    (image,) = session.run(["image"], {"latent": latent, "label": np.array([1])})
    np.testing.assert_allclose(image, model.sample([5], label=[1]).numpy(), atol=1e-5)
    values = json.loads((tmp_path / "page" / "model.json").read_text(encoding="utf-8"))
    assert values["title"] == "A title" and values["image_shape"] == [16, 16, 1] and values["truncation"] is False
    assert values["runtime"] == {"script": f"runtime/{static_page.SCRIPT}", "wasm": f"runtime/{static_page.WASM}"}
    assert not list(tmp_path.glob(".writing-*"))
    with pytest.raises(UserError, match="exists already; give the name of a new folder"):
        write_page(model, "acgan", tmp_path / "page", DESCRIPTION, runtime)


def test_a_page_without_the_runtime_refers_to_a_version_with_hashes():
    values = static_page._cdn_runtime()
    assert re.fullmatch(r"https://cdn\.jsdelivr\.net/npm/onnxruntime-web@\d+\.\d+\.\d+/dist/[\w.-]+\.mjs", values["script"])
    assert all(re.fullmatch(r"sha384-[\w+/]{64}", values[f"{key}_integrity"]) for key in ("script", "wasm"))


def test_the_runtime_is_looked_for_where_npm_puts_it(runtime, tmp_path):
    place = runtime / "node_modules" / "onnxruntime-web" / "dist"
    assert find_runtime(runtime).samefile(place) and find_runtime(place).samefile(place) and find_runtime(place.parent).samefile(place)
    with pytest.raises(UserError, match="lacks ort.wasm.bundle.min.mjs .*npm install --prefix .* onnxruntime-web; or omit --runtime"):
        find_runtime(tmp_path)


def test_hashes_are_those_that_browsers_check():
    assert integrity(b"alert('Hello, world.');") == "sha384-H8BRh8j48O9oYatfu5AZzq6A9RINhZO5H16dQZngK7T62em8MUt1FLm52t+eX6xO"


def test_a_page_asks_no_other_server_itself():
    """All addresses of the runtime are in model.json, and those of a page with its own runtime are relative."""
    for name in static_page.FILES:
        assert "://" not in (static_page.SOURCES / name).read_text(encoding="utf-8"), name
