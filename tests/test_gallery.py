"""The gallery: a picture of each model that runs anywhere, and a page that is made of its rows."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

import zoo
from zoo import registry

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def gallery():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location("gallery", ROOT / "benchmarks" / "gallery.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return module


def test_every_model_that_runs_anywhere_has_its_picture_made_with_its_preset(gallery):
    assert set(gallery.ORDER) >= {name for name in zoo.names() if registry.entry(name).config.image_shape is None}
    rows = [json.loads(line) for line in (ROOT / "docs" / "gallery.jsonl").read_text().splitlines()]
    assert [row["model"] for row in rows] == list(gallery.ORDER)
    for row in rows:
        assert row["preset"] == gallery.preset(row["model"]), f"python benchmarks/gallery.py --models {row['model']}"
        with Image.open(ROOT / "docs" / "gallery" / f"{row['model']}.png") as picture:
            assert min(picture.size) > 200


def test_the_committed_page_is_made_of_the_committed_rows(gallery, tmp_path):
    options = gallery.Options(rows=tmp_path / "gallery.jsonl")
    options.rows.write_text((ROOT / "docs" / "gallery.jsonl").read_text())
    gallery.keep(options)
    assert options.rows.with_suffix(".md").read_text() == (ROOT / "docs" / "gallery.md").read_text()
