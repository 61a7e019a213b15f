"""The gallery: a sample grid of each model that runs anywhere, and a page that is generated from its rows."""

import json
from pathlib import Path

import pytest
from conftest import import_benchmark
from PIL import Image

import zoo
from zoo import registry

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def gallery():
    return import_benchmark("gallery")


def test_every_model_that_runs_anywhere_has_a_picture_made_with_its_current_preset(gallery):
    assert set(gallery.ORDER) >= {name for name in zoo.list_models() if registry.get_entry(name).config.image_shape is None}
    rows = [json.loads(line) for line in (ROOT / "docs" / "gallery.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["model"] for row in rows] == list(gallery.ORDER)
    for row in rows:
        assert row["preset"] == gallery.preset_digest(row["model"]), f"python benchmarks/gallery.py --models {row['model']}"
        with Image.open(ROOT / "docs" / "gallery" / f"{row['model']}.png") as picture:
            assert min(picture.size) > 200


def test_the_committed_page_is_generated_from_the_committed_rows(gallery, tmp_path):
    options = gallery.Options(rows=tmp_path / "gallery.jsonl")
    options.rows.write_text((ROOT / "docs" / "gallery.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    gallery.update(options)
    page = options.rows.with_suffix(".md").read_text(encoding="utf-8")
    assert page == (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
