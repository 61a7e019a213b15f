"""The pages of `zoo demo` and `zoo page` in a real browser: Chromium of the machine, driven by Playwright, offline."""

import contextlib
import functools
import http.server
import importlib.util
import io
import os
import re
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_model
from PIL import Image

from zoo.runs import DataRecord, RunRecord

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RUNTIME = os.environ.get("ONNXRUNTIME_WEB")  # a folder in which `npm install onnxruntime-web` was run
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
SECONDS = 60_000  # milliseconds until a test gives up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install the package chromium"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="Playwright is missing: pip install -e '.[browser]'"),
]
needs_gradio = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="Gradio is missing: pip install -e '.[demo]'")
needs_runtime = pytest.mark.skipif(not RUNTIME, reason="set ONNXRUNTIME_WEB to a folder in which `npm install onnxruntime-web` was run")


class Visit:
    """A page in the browser; remembers what it requested, and its errors."""

    def __init__(self, page):
        self.page, self.addresses, self.errors = page, [], []
        page.set_default_timeout(SECONDS)
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def check(self, origin):
        """No errors, and no request to another server."""
        assert not self.errors
        assert not [url for url in self.addresses if not url.startswith((origin, f"blob:{origin}", "data:"))]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    yield Visit(page)
    page.close()


@pytest.fixture
def upload(tmp_path):
    path = tmp_path / "upload.png"
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (20, 24, 3)).astype(np.uint8)).save(path)
    return str(path)


# -- zoo demo -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The address of a page with tiny models; the hosts that Python has looked up."""
    hosts, look_up = set(), socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda host, *rest, **options: (hosts.add(host), look_up(host, *rest, **options))[1])
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        folder = tmp_path_factory.mktemp("demo")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        from zoo.cli.demo_page import OpenedModel, launch_page

        models = [
            OpenedModel(f"runs/{name}", build_contrasting_model(name), RunRecord(name, {}, DataRecord("digits", "1"), "float32", 1, False))
            for name in ("acgan", "drgan", "srresnet", "sgan")
        ]
        page = launch_page(models, None, folder, free_port())
        yield page.local_url, hosts
        page.close()


def build_contrasting_model(name):
    """An untrained model whose images show what they are made from: with the initial weights of some, all of them are gray."""
    model = tiny_model(name)
    for weight in model.ema_generator.trainable_variables or model.ema_generator.weights:
        if len(weight.shape) > 1:
            weight.assign(np.random.RandomState(0).normal(size=weight.shape, scale=np.prod(weight.shape[:-1]) ** -0.5))
    return model


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for_change(page, selector, attribute, before):
    """The new value of an attribute, once it differs."""
    arguments = [selector, attribute, before]
    page.wait_for_function("([s, a, old]) => { const e = document.querySelector(s); return e && e[a] && e[a] !== old }", arg=arguments)
    return page.locator(selector).evaluate(f"element => element.{attribute}")


def open_tab(page, name):
    page.locator("button[role=tab]", has_text=name).first.click()


@needs_gradio
def test_samples_change_with_the_controls(demo, visit):
    address, hosts = demo
    page, image = visit.page, "#runs-acgan-sample img"
    page.goto(address)
    first = wait_for_change(page, image, "src", "")
    page.locator("#runs-acgan-sefa1 input[type=range]").fill("3")
    second = wait_for_change(page, image, "src", first)
    page.locator("#runs-acgan-seed input").fill("5")
    wait_for_change(page, image, "src", second)
    with page.expect_download() as download:
        page.locator("#runs-acgan-png").click()
    assert download.value.suggested_filename == "runs-acgan-seed5-label0.png"
    with Image.open(download.value.path()) as picture:
        assert picture.size == (16, 16)
    page.get_by_text("Walk to another sample").first.click()
    page.locator("#runs-acgan-walk-button").click()
    assert ".gif" in wait_for_change(page, "#runs-acgan-film img", "src", "")
    visit.check(address)
    assert hosts <= {"127.0.0.1", "localhost", None, b"127.0.0.1"}


@needs_gradio
def test_uploads_are_answered(demo, visit, upload):
    address, _ = demo
    page = visit.page
    page.goto(address)
    open_tab(page, "runs/drgan")
    page.set_input_files("#runs-drgan-rotate-upload input[type=file]", upload)
    before = wait_for_change(page, "#runs-drgan-rotate img", "src", "")
    page.locator("#runs-drgan-rotate-pose input[type=range]").fill("1")
    wait_for_change(page, "#runs-drgan-rotate img", "src", before)
    page.set_input_files("#runs-drgan-fuse-upload input[type=file]", [upload, upload])
    wait_for_change(page, "#runs-drgan-fuse img", "src", "")
    open_tab(page, "runs/srresnet")
    page.set_input_files("#runs-srresnet-upscale-upload input[type=file]", upload)
    page.wait_for_function("document.querySelectorAll('#runs-srresnet-upscale img').length >= 2")
    open_tab(page, "runs/sgan")
    page.set_input_files("#runs-sgan-classify-upload input[type=file]", upload)
    page.wait_for_selector("#runs-sgan-classify h2")
    visit.check(address)


@needs_gradio
def test_an_upload_that_is_no_image_is_explained(demo, visit, tmp_path):
    address, _ = demo
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    visit.page.goto(address)
    open_tab(visit.page, "runs/srresnet")
    visit.page.set_input_files("#runs-srresnet-upscale-upload input[type=file]", str(tmp_path / "text.png"))
    message = visit.page.get_by_text("cannot be read as an image")
    message.first.wait_for()
    assert "/" not in message.first.inner_text(), "paths of the machine"


# -- zoo page -----------------------------------------------------------------------------------------------------------


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serve(folder):
    """The address of a folder."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def read_canvas(page):
    """The pixels of the canvas, uint8 [h, w, 4]."""
    import base64

    data = page.evaluate("document.getElementById('canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGBA"))


def wait_for_paint(page, count):
    page.wait_for_function("n => Number(document.getElementById('canvas').dataset.painted) >= n", arg=count)


@needs_runtime
def test_a_generator_runs_in_the_browser(visit, working_directory):
    from zoo import __main__ as tool

    assert tool.main(["page", "acgan-mnist", "--out", "page", "--runtime", RUNTIME]) == 0
    with serve("page") as address:
        page = visit.page
        page.goto(address)
        wait_for_paint(page, 1)
        first = read_canvas(page)
        assert first.shape == (28, 28, 4) and first[..., :3].std() > 10
        page.locator("#sefa1").fill("3")
        wait_for_paint(page, 2)
        second = read_canvas(page)
        page.select_option("#class", "7")
        wait_for_paint(page, 3)
        third = read_canvas(page)
        page.locator("#walk").click()
        wait_for_paint(page, 20)
        fourth = read_canvas(page)
        page.locator("#walk").click()
        images = [first, second, third, fourth]
        assert all((a != b).any() for i, a in enumerate(images) for b in images[:i])
        page.locator("#seed").fill("-1")
        assert page.locator("#status").inner_text() == "Seed: give an integer from 0 to 4294967295."
        visit.check(address)


def test_latent_vectors_in_javascript(visit):
    """Their distribution, and the interpolation, against Python's."""
    from zoo.latent import slerp
    from zoo.serving.static_page import SOURCES

    def prior(kind, length, category=()):
        return {
            "kind": kind,
            "mean": [0.0] * length,
            "deviation": [1.0] * length,
            "low": [-1.0] * length,
            "high": [1.0] * length,
            "category": list(category),
        }

    with serve(SOURCES) as address:
        page = visit.page
        page.goto(f"{address}/page.css")  # of the same origin
        call = "async ([name, ...values]) => { const m = await import('/latent.js'); return Array.from(m[name](...values)) }"
        normal, cut, uniform = (
            np.array(page.evaluate(call, ["drawLatent", one, 7, truncation]))
            for one, truncation in ((prior("normal", 20000), 0), (prior("normal", 20000), 0.5), (prior("uniform", 20000), 0))
        )
        assert abs(normal.mean()) < 0.03 and abs(normal.std() - 1) < 0.03 and 3 < np.abs(normal).max() < 6
        assert np.abs(cut).max() <= 0.5 and (np.sign(cut) == np.sign(normal)).all() and cut.std() > 0.25
        assert abs(uniform.std() - 3**-0.5) < 0.01 and np.abs(uniform).max() <= 1
        assert (normal == np.array(page.evaluate(call, ["drawLatent", prior("normal", 20000), 7, 0]))).all()
        coded = page.evaluate(call, ["drawLatent", prior("uniform", 8, range(2, 5)), 3, 0])
        assert sorted(coded[2:5]) == [0, 0, 1]
        start, end = normal[:8], normal[8:16]
        for progress in (0.0, 0.3, 1.0):
            between = page.evaluate(call, ["interpolateLatents", prior("normal", 8), start.tolist(), end.tolist(), progress])
            np.testing.assert_allclose(between, slerp(start[None], end[None], np.array([progress]))[0], rtol=1e-4, atol=1e-5)
        moved = page.evaluate(call, ["moveLatent", prior("uniform", 2), [0.5, 0.5], [{"vector": [1.0, 0.0], "deviation": 0.5}], [4]])
        np.testing.assert_allclose(moved, [1, 0.5])


@pytest.fixture(scope="module")
def network():
    """The address of each file of the CDN -> its content, from the package; the test is skipped if that is another version."""
    from zoo.serving.static_page import CDN, CDN_INTEGRITY, VERSION, find_runtime

    folder = find_runtime(Path(RUNTIME))
    if f'"version": "{VERSION}"' not in (folder.parent / "package.json").read_text(encoding="utf-8"):
        pytest.skip(f"another version than {VERSION} is installed")
    return {f"{CDN}/{name}": (folder / name).read_bytes() for name in CDN_INTEGRITY}


@needs_runtime
@pytest.mark.parametrize("is_altered", [False, True])
def test_a_page_runs_what_the_network_sends_only_if_the_hash_is_right(visit, working_directory, network, is_altered):
    from zoo import __main__ as tool

    def answer(route):
        content = network[route.request.url] + (b" " if is_altered else b"")
        route.fulfill(body=content, headers={"access-control-allow-origin": "*"})

    assert tool.main(["page", "dcgan-fashion", "--out", "page"]) == 0
    visit.page.route(re.compile("^https://"), answer)
    with serve("page") as address:
        visit.page.goto(address)
        if is_altered:
            visit.page.wait_for_function("document.getElementById('status').className === 'error'")
        else:
            wait_for_paint(visit.page, 1)
            assert read_canvas(visit.page)[..., :3].std() > 10
            assert {url for url in visit.addresses if url.startswith("https://")} == set(network)
        assert visit.page.locator("#content").is_hidden() == is_altered
