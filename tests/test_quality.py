"""The table of models on real data: scores of two protocols never share a table."""

import dataclasses
import importlib.util
import re
from pathlib import Path

import pytest

from zoo import registry

ROOT = Path(__file__).parents[1]


SPEC = importlib.util.spec_from_file_location("quality", ROOT / "benchmarks" / "quality.py")
QUALITY = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(QUALITY)


@pytest.fixture
def quality():
    return QUALITY


def row(model, seed, value, extractor="a", **more):
    def found(which):
        protocol = {"extractor": f"{extractor}{which}", "extractor_sha256": "f" * 64, "data": "mnist 3.0.1"}
        return {"scores": {f"frechet[{extractor}{which}]": value, f"kid[{extractor}{which}]": 0.002}, "protocol": protocol}

    scores = {f"{extractor}{which}": found(which) for which in (1, 2)}
    preset = {} if model == "real" else {"preset": QUALITY.preset(model)}
    return {"data": "mnist", "model": model, "seed": seed, "images": 1000, "last": scores, "best": scores, **preset, **more}


RUN = {
    "parameters": {"generator": 1234, "discriminator": 56},
    "seconds": 60.0,
    "command": "python train.py",
    "precision": "float32",
    "versions": {"python": "3.11"},
    "machine": "one",
}


def test_a_row_a_model_with_mean_and_spread(quality, tmp_path):
    options = quality.Options(results=tmp_path / "results.jsonl")
    for found in (row("real", 0, 1.0), row("gan", 0, 10.0, **RUN), row("gan", 1, 14.0, **RUN), row("dcgan", 0, 3.0, **RUN)):
        quality.record(options, found)
    quality.write(options)
    text = (tmp_path / "results.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].strip("| `") for line in lines] == ["model", "real images", "gan", "dcgan"]
    assert "| 2 | 1,234 / 56 | 12.00 ± 2.83 | 12.00 ± 2.83 | 12.00 ± 2.83 | 2.0 ± 0.0 |" in lines[2] and lines[2].endswith("| 60 |")
    assert "| 1 | 1,234 / 56 | 3.00 |" in lines[3]
    assert quality.finished(options, model="gan", seed=1, data="mnist", images=1000) and not quality.finished(options, model="gan", seed=2)


def test_another_protocol_is_another_table(quality, tmp_path):
    options = quality.Options(results=tmp_path / "results.jsonl")
    for extractor in "ab":
        quality.record(options, row("real", 0, 1.0, extractor))
        quality.record(options, row("gan", 0, 10.0, extractor, **RUN))
    quality.write(options)
    assert (tmp_path / "results.md").read_text().count("| model |") == 2


def test_another_size_is_another_table(quality, tmp_path):
    options = quality.Options(results=tmp_path / "results.jsonl")
    for shape in ({}, {"image_shape": [32, 32, 1]}):
        for found in (row("real", 0, 1.0), row("gan", 0, 10.0, **RUN)):
            for one in found["last"].values():
                one["protocol"].update(shape)
            quality.record(options, {**found, **shape})
    quality.write(options)
    text = (tmp_path / "results.md").read_text()
    assert text.count("| model |") == 2 and "## mnist, 32x32x1, 1,000 images seen" in text


def test_a_run_that_diverged_is_counted_and_has_no_scores(quality, tmp_path):
    options = quality.Options(results=tmp_path / "results.jsonl")
    lost = {**row("gan", 1, 0.0), "last": {}, "diverged": True, "command": "python train.py"}
    del lost["best"]
    for found in (row("real", 0, 1.0), row("gan", 0, 10.0, **RUN), lost):
        quality.record(options, found)
    quality.write(options)
    assert "| `gan` | 2, 1 diverged | 1,234 / 56 | 10.00 | 10.00 |" in (tmp_path / "results.md").read_text()


def test_a_row_counts_only_for_the_preset_that_it_was_made_with(quality, tmp_path, monkeypatch):
    options = quality.Options(results=tmp_path / "results.jsonl")
    made = {**quality.key(options, "mnist", "gan", 0), "preset": quality.preset("gan")}
    for found in (row("real", 0, 1.0), {**row("gan", 0, 1.0, **RUN), **made}):
        quality.record(options, found)
    assert quality.finished(options, **made)
    quality.write(options)
    assert "| `gan` | 1 |" in (tmp_path / "results.md").read_text()
    entry = registry.entry("gan")
    changed = dataclasses.replace(entry, config=dataclasses.replace(entry.config, dropout=0.1))
    monkeypatch.setattr(registry, "entry", lambda name: changed)
    assert not quality.finished(options, **quality.key(options, "mnist", "gan", 0), preset=quality.preset("gan"))
    quality.write(options)
    assert "| `gan` |" not in (tmp_path / "results.md").read_text()  # means are of one preset


def test_the_committed_page_is_made_of_the_committed_rows(quality, tmp_path):
    rows = ROOT / "benchmarks" / "results.jsonl"
    options = quality.Options(results=tmp_path / "results.jsonl", grids=tmp_path / "grids")
    options.results.write_text(rows.read_text())
    quality.write(options)
    page = (tmp_path / "results.md").read_text()
    committed = [line for line in rows.with_suffix(".md").read_text().splitlines() if not line.startswith("![")]
    assert [line for line in page.splitlines() if not line.startswith("![")] == committed
    for model in quality.Options().models:
        assert page.count(f"| `{model}` |") >= 2  # MNIST, Fashion-MNIST
    pictures = re.findall(r"!\[\w+\]\((.*)\)", rows.with_suffix(".md").read_text())
    assert len(pictures) == len(set(pictures)) == len(re.findall(r"^\| `", page, re.MULTILINE))  # each row has its own
    assert all((ROOT / "benchmarks" / picture).is_file() for picture in pictures)
