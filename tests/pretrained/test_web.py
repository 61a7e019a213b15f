"""Published models from the web: a local server stands for both a web site and the Hugging Face Hub."""

import functools
import hashlib
import http.server
import json
import shutil
import socket
import threading
import zipfile

import huggingface_hub
import huggingface_hub.constants
import numpy as np
import pytest
from conftest import tiny_model
from test_publishing import write_run

from zoo import files
from zoo.errors import UserError
from zoo.pretrained import load_model, web
from zoo.pretrained.publishing import publish

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(http.server.BaseHTTPRequestHandler):
    """Files of a folder under their names, and under the paths of the hub: FOLDER/USER/NAME is a model."""

    def __init__(self, folder, requests, *args):
        self.folder, self.requests = folder, requests
        super().__init__(*args)

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET(is_head=True)

    def do_GET(self, is_head=False):
        path = self.path.partition("?")[0].strip("/").split("/")
        self.requests.append(self.path)
        headers = {}
        if (self.folder / "down").exists():
            self.send_error(503)
            return
        if path[:2] == ["api", "models"]:
            folder = self.folder / path[2] / path[3]
            exists = folder.is_dir() and (len(path) == 4 or path[5] == COMMIT)
            files = [{"rfilename": one.name} for one in folder.iterdir()] if exists else None
            content = json.dumps({"id": "one/acgan", "sha": COMMIT, "siblings": files}).encode() if exists else None
            headers["Content-Type"] = "application/json"
            if files is None:
                headers["X-Error-Code"] = "RevisionNotFound" if folder.is_dir() else "RepoNotFound"
        elif len(path) == 5 and path[2] == "resolve":
            file = self.folder / path[0] / path[1] / path[4]
            content = file.read_bytes() if file.is_file() and path[3] in ("main", COMMIT) else None
            headers |= {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content or b"").hexdigest()}"'}
            if content is None:
                code = "EntryNotFound" if path[3] in ("main", COMMIT) else "RevisionNotFound"
                headers["X-Error-Code"] = code if file.parent.is_dir() else "RepoNotFound"
        else:
            file = self.folder.joinpath(*path)
            content = file.read_bytes() if file.is_file() else None
        self.send_response(404 if content is None else 200)
        for name, value in {**headers, "Content-Length": len(content or b"")}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if content and not is_head:
            self.wfile.write(content)


class Site:
    """The server, its folder, and the paths that were requested."""

    def __init__(self, folder):
        self.folder, self.requests = folder, []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, folder, self.requests))
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    publish(write_run(folder / "run", tiny_model("acgan"), "acgan"), folder / "acgan-digits")
    return folder / "acgan-digits"


@pytest.fixture
def site(tmp_path, monkeypatch, published):
    """A site with the published model as one/acgan on its hub and as acgan.zip; the cache is empty."""
    site = Site(tmp_path / "site")
    shutil.copytree(published, site.folder / "one" / "acgan")
    with zipfile.ZipFile(site.folder / "acgan.zip", "w") as file:
        for path in published.iterdir():
            file.write(path, path.name)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # `zoo demo` may have run in this process
    monkeypatch.setattr(huggingface_hub.HfApi, "__init__", functools.partialmethod(huggingface_hub.HfApi.__init__, site.address))
    yield site
    site.stop()


def sample(address, **options):
    return load_model(address, **options).sample([5], label=[1]).numpy()


def test_an_archive_is_downloaded_once_and_works_offline_afterwards(site, published):
    address, digest = f"{site.address}/acgan.zip", hashlib.sha256((site.folder / "acgan.zip").read_bytes()).hexdigest()
    expected = sample(published)
    np.testing.assert_array_equal(sample(address, sha256=digest), expected)
    np.testing.assert_array_equal(sample(f"{address}#sha256={digest}"), expected)
    assert site.requests == ["/acgan.zip"]
    site.stop()
    np.testing.assert_array_equal(sample(address, sha256=digest.upper()), expected)


def test_a_wrong_or_missing_hash_is_one_line(site, tmp_path):
    address = f"{site.address}/acgan.zip"
    for given, message in (
        (None, "needs the SHA-256 .*none is given"),
        ("abc", "abc is not one"),
        ("0" * 64, "not the file with this SHA-256"),
    ):
        with pytest.raises(UserError, match=message):
            load_model(address, sha256=given)
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_addresses_that_do_not_answer_are_one_line(site):
    digest = "1" * 64
    with pytest.raises(UserError, match="not in the cache .*cannot be downloaded: .*404"):
        load_model(f"{site.address}/missing.zip", sha256=digest)
    site.stop()
    with pytest.raises(UserError, match="not in the cache .*cannot be downloaded"):
        load_model(f"{site.address}/acgan.zip", sha256=digest)
    for address, message in (("ftp://host/x.zip", "ftp:// addresses are not supported"), ("hf://acgan", "expected hf://USER/NAME")):
        with pytest.raises(UserError, match=message):
            load_model(address)
    with pytest.raises(UserError, match="omit sha256"):
        load_model("hf://one/acgan", sha256=digest)


@pytest.mark.parametrize("answer", [None, b"", b"no HTTP", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 200 OK\r\n"])
def test_servers_that_answer_wrongly_are_one_line(tmp_path, monkeypatch, answer):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(files, "DOWNLOAD_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                if answer is None:
                    connection.recv(1)  # until the client has waited long enough
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(UserError, match="cannot be downloaded|not the file with this SHA-256"):
            load_model(f"http://127.0.0.1:{server.getsockname()[1]}/x.zip", sha256="1" * 64)
        thread.join()
    assert not list((tmp_path / "home" / "downloads").iterdir()), "nothing is left of a download that failed"


@pytest.mark.parametrize("address", ["http://127.0.0.1:abc/x.zip", "http://127.0.0.1/a b.zip", "http:///x.zip"])
def test_addresses_that_are_none_are_one_line(tmp_path, monkeypatch, address):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    with pytest.raises(UserError, match="cannot be downloaded"):
        load_model(address, sha256="1" * 64)


def test_an_address_may_be_longer_than_the_name_of_a_file(site, published):
    digest = hashlib.sha256((site.folder / "acgan.zip").read_bytes()).hexdigest()
    address = f"{site.address}/acgan.zip?signature={'x' * 300}#sha256={digest}"
    np.testing.assert_array_equal(sample(address), sample(published))
    with pytest.raises(UserError, match="sha256=5: expected"):
        load_model(address, sha256=5)


def test_a_damaged_download_in_the_cache_is_replaced(site, tmp_path, published):
    digest = hashlib.sha256((site.folder / "acgan.zip").read_bytes()).hexdigest()
    cached = tmp_path / "home" / "downloads" / f"{digest}.zip"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"damaged")
    np.testing.assert_array_equal(sample(f"{site.address}/acgan.zip", sha256=digest), sample(published))
    assert hashlib.sha256(cached.read_bytes()).hexdigest() == digest


def test_a_model_in_the_cache_works_while_the_hub_is_down(site, published, caplog):
    sample("hf://one/acgan")
    (site.folder / "down").touch()
    np.testing.assert_array_equal(sample("hf://one/acgan"), sample(published))
    with pytest.raises(UserError, match="hf://one/other"):
        sample("hf://one/other")
    assert not caplog.records  # of the attempts


def test_a_cache_that_cannot_be_written_is_one_line(site, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set ZOO_HOME"):
        load_model(f"{site.address}/acgan.zip", sha256="1" * 64)


def test_a_model_of_the_hub_is_cached_and_works_offline_afterwards(site, published):
    expected = sample(published)
    assert not any("discriminator" in path for path in site.requests)
    np.testing.assert_array_equal(sample("hf://one/acgan", discriminator=False), expected)
    assert any("generator" in path for path in site.requests) and not any("discriminator" in path for path in site.requests)
    np.testing.assert_array_equal(sample(f"hf://one/acgan@{COMMIT}"), expected)
    assert any("discriminator" in path for path in site.requests)
    site.stop()
    np.testing.assert_array_equal(sample("hf://one/acgan"), expected)
    with pytest.raises(UserError, match="hf://one/other is not in the cache .*cannot be reached"):
        load_model("hf://one/other")


def test_what_is_wrong_on_the_hub_is_one_line(site):
    model = site.folder / "one" / "acgan"
    for address, message in (
        ("hf://one/nothing", "no model of this name"),
        ("hf://one/acgan@v9", "not this revision"),
    ):
        with pytest.raises(UserError, match=message):
            load_model(address)
    (model / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(UserError, match="refused: it contains pytorch_model.bin"):
        load_model("hf://one/acgan")
    (model / "pytorch_model.bin").unlink()
    (model / "manifest.json").unlink()
    with pytest.raises(UserError, match="hf://one/acgan is not a published model: it has no manifest.json"):
        load_model("hf://one/acgan")


def test_damage_on_the_hub_is_one_line(site):
    path = site.folder / "one" / "acgan" / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="generator.safetensors is damaged: its SHA-256 .*again, remove .*models--one--acgan"):
        load_model("hf://one/acgan")


def test_uploading_creates_the_model_and_sends_its_files(site, published, monkeypatch):
    calls = []
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", lambda self, name, exist_ok: calls.append((name, exist_ok)))

    def upload(self, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, site.folder / repo_id)

    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    web.upload(published, "hf://one/new")
    assert calls == [("one/new", True)]
    np.testing.assert_array_equal(sample("hf://one/new"), sample(published))
    with pytest.raises(UserError, match="cannot be uploaded to a revision"):
        web.upload(published, "hf://one/new@v1")
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", lambda *args, **kwargs: (_ for _ in ()).throw(OSError("no\ntoken")))
    with pytest.raises(UserError, match="the upload failed: no token"):
        web.upload(published, "hf://one/new")
