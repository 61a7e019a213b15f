"""A page for a generator that needs no server code: HTML, JavaScript, an ONNX file, and ONNX Runtime in WebAssembly."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.core import Game
from zoo.errors import UserError
from zoo.serving.portable import convert_signatures

SOURCES = Path(__file__).parent / "page"
FILES = ("index.html", "page.css", "page.js", "latent.js")
SIGNATURE = "serving_default"  # of models that generate from noise: a latent vector, and conditions -> an image
RUNTIME = "onnxruntime-web"
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"  # of the runtime: on the CPU, with all JavaScript in one file
VERSION = "1.30.0"  # of the runtime on the network
CDN = f"https://cdn.jsdelivr.net/npm/{RUNTIME}@{VERSION}/dist"
CDN_INTEGRITY = {  # of the files in the package of this version
    SCRIPT: "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    WASM: "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
}
FOLDERS = (f"node_modules/{RUNTIME}/dist", f"{RUNTIME}/dist", "dist", ".")  # where the runtime is below a folder


@dataclasses.dataclass(frozen=True)
class PageDescription:
    """What the page shows besides the images.

    Attributes:
        title: Its title.
        summary: What the model is, in one line.
        classes: Names of the classes, of a class-conditional model.
        prior: The distribution of the latent vectors; see `LatentPrior.to_json`.
        directions: Name, vector and deviation of each direction with a slider.
    """

    title: str
    summary: str
    classes: tuple[str, ...]
    prior: Mapping[str, Any]
    directions: tuple[Mapping[str, Any], ...]


def write_page(model: Game, model_name: str, folder: Path, description: PageDescription, runtime: Path | None) -> list[Path]:
    """Writes the page of a generator; the folder appears when it is complete.

    Args:
        model: A model that generates images from noise.
        model_name: Its name, for the metadata of the ONNX file.
        folder: The folder to write; it must not exist, or be empty.
        description: What the page shows besides the images.
        runtime: A folder in which `npm install onnxruntime-web` was run, whose files are copied; None: the page loads them from a CDN.

    Returns:
        The files.

    Raises:
        UserError: There are files in the folder, it cannot be written, the runtime is not in its folder, or ONNX lacks operations of the
            model.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--out {folder}: exists already; give the name of a new folder, or remove it")
    source = find_runtime(runtime) if runtime else None
    if set(model.conditions) - {"label"}:
        raise UserError(f"the generator takes {' and '.join(model.conditions)}; a page can choose a class only")
    (converted,), _ = convert_signatures(model, "onnx", model_name, SIGNATURE)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder.parent) as work:
        written = Path(work, "page")
        written.mkdir()
        for name in FILES:
            shutil.copyfile(SOURCES / name, written / name)
        (written / "model.onnx").write_bytes(converted.content)
        values = {
            **dataclasses.asdict(description),
            "image_shape": list(model.config.image_shape),
            "truncation": model.supports_truncation,
            "runtime": _copy_runtime(source, written / "runtime") if source else _cdn_runtime(),
        }
        (written / "model.json").write_text(json.dumps(values), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        written.rename(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def find_runtime(folder: Path) -> Path:
    """The folder of ONNX Runtime's files, in one that `npm install` has made; raises UserError if they are not there."""
    for place in FOLDERS:
        if all((folder / place / name).is_file() for name in (SCRIPT, WASM)):
            return folder / place
    raise UserError(
        f"--runtime {folder}: lacks {SCRIPT} and {WASM}; make it by: npm install --prefix {folder} {RUNTIME}; or omit --runtime"
    )


def integrity(content: bytes) -> str:
    """The hash of a file, as browsers check it."""
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


def _copy_runtime(source: Path, target: Path) -> dict[str, str]:
    """Copies the runtime; returns what the page loads, relative to itself."""
    target.mkdir()
    for name in (SCRIPT, WASM):
        shutil.copyfile(source / name, target / name)
    return {"script": f"{target.name}/{SCRIPT}", "wasm": f"{target.name}/{WASM}"}


def _cdn_runtime() -> dict[str, str]:
    """What the page loads from the CDN, with the hashes that browsers check."""
    files = {"script": SCRIPT, "wasm": WASM}
    addresses = {key: f"{CDN}/{name}" for key, name in files.items()}
    return addresses | {f"{key}_integrity": CDN_INTEGRITY[name] for key, name in files.items()}
