"""The table of models on real data: scores of two protocols never share a table."""

import dataclasses
import re
from pathlib import Path

import pytest
from conftest import import_benchmark

from zoo import registry

ROOT = Path(__file__).parents[1]
RUN = {
    "parameters": {"generator": 1234, "discriminator": 56},
    "seconds": 60.0,
    "command": "python train.py",
    "precision": "float32",
    "versions": {"python": "3.11"},
    "machine": "one",
}


@pytest.fixture(scope="module")
def quality():
    """The benchmark, whose module has the functions of the page as well."""
    return import_benchmark("quality")


@pytest.fixture
def options(quality, tmp_path):
    return quality.Options(results=tmp_path / "results.jsonl", grids=tmp_path / "grids")


@pytest.fixture
def build_row(quality):
    def build(model, seed, value, extractor="a", **fields):
        results = {}
        for name in (f"{extractor}1", f"{extractor}2"):
            protocol = {"extractor": name, "extractor_sha256": "f" * 64, "data": "mnist 3.0.1"}
            results[name] = {"scores": {"frechet": value, "kid": 0.002}, "protocol": protocol}
        preset = {} if model == "real" else {"preset": quality.preset_digest(model)}
        return {"data": "mnist", "model": model, "seed": seed, "images": 1000, "last": results, "best": results, **preset, **fields}

    return build


def write(quality, options, *rows):
    """Adds rows, and returns the page."""
    for row in rows:
        quality.append_row(options.results, row)
    quality.write_page(options.results, options.grids)
    return options.results.with_suffix(".md").read_text(encoding="utf-8")


def test_each_model_has_a_line_with_mean_and_standard_deviation(quality, options, build_row):
    rows = build_row("real", 0, 1.0), build_row("gan", 0, 10.0, **RUN), build_row("gan", 1, 14.0, **RUN), build_row("dcgan", 0, 3.0, **RUN)
    lines = [line for line in write(quality, options, *rows).splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].strip("| `") for line in lines] == ["model", "real images", "gan", "dcgan"]
    assert "| 2 | 1,234 / 56 | 12.00 ± 2.83 | 12.00 ± 2.83 | 12.00 ± 2.83 | 2.0 ± 0.0 |" in lines[2] and lines[2].endswith("| 60 |")
    assert "| 1 | 1,234 / 56 | 3.00 |" in lines[3]
    assert quality.read_rows(options.results, model="gan", seed=1, data="mnist", images=1000)
    assert not quality.read_rows(options.results, model="gan", seed=2)


def test_another_protocol_is_another_table(quality, options, build_row):
    rows = [row for name in "ab" for row in (build_row("real", 0, 1.0, name), build_row("gan", 0, 10.0, name, **RUN))]
    assert write(quality, options, *rows).count("| model |") == 2


def test_another_size_is_another_table(quality, options, build_row):
    rows = []
    for shape in ({}, {"image_shape": [32, 32, 1]}):
        for row in (build_row("real", 0, 1.0), build_row("gan", 0, 10.0, **RUN)):
            for result in row["last"].values():
                result["protocol"].update(shape)
            rows.append({**row, **shape})
    page = write(quality, options, *rows)
    assert page.count("| model |") == 2 and "## mnist, 32x32x1, 1,000 images seen" in page


def test_a_row_of_resized_images_is_not_one_of_the_original_size(quality, options, build_row):
    key = quality.row_key(options, "mnist", "gan", 0)
    resized = dataclasses.replace(options, image_shape=(32, 32, 1))
    write(quality, options, build_row("real", 0, 1.0), {**build_row("gan", 0, 1.0, **RUN), **quality.row_key(resized, "mnist", "gan", 0)})
    assert not quality.read_rows(options.results, **key)
    assert quality.read_rows(options.results, **quality.row_key(resized, "mnist", "gan", 0))


def test_a_diverged_run_is_counted_and_has_no_scores(quality, options, build_row):
    diverged = {**build_row("gan", 1, 0.0), "last": {}, "diverged": True, "command": "python train.py"}
    del diverged["best"]
    page = write(quality, options, build_row("real", 0, 1.0), build_row("gan", 0, 10.0, **RUN), diverged)
    assert "| `gan` | 2, 1 diverged | 1,234 / 56 | 10.00 | 10.00 |" in page


def test_a_row_counts_only_for_the_preset_that_it_was_made_with(quality, options, build_row, monkeypatch):
    key = quality.row_key(options, "mnist", "gan", 0)
    row = {**build_row("gan", 0, 1.0, **RUN), **key}
    assert "| `gan` | 1 |" in write(quality, options, build_row("real", 0, 1.0), row)
    assert quality.read_rows(options.results, **key, preset=quality.preset_digest("gan"))
    entry = registry.get_entry("gan")
    changed = dataclasses.replace(entry, config=dataclasses.replace(entry.config, dropout=0.1))
    monkeypatch.setattr(registry, "get_entry", lambda name: changed)
    assert not quality.read_rows(options.results, **key, preset=quality.preset_digest("gan"))
    assert "| `gan` |" not in write(quality, options)  # means are of one preset


def test_the_length_of_a_training_is_not_part_of_the_preset(quality, monkeypatch):
    digest, entry = quality.preset_digest("gan"), registry.get_entry("gan")
    longer = dataclasses.replace(entry, config=dataclasses.replace(entry.config, steps=7, eval_every=7))
    monkeypatch.setattr(registry, "get_entry", lambda name: longer)
    assert quality.preset_digest("gan") == digest


def test_the_training_command_is_accepted_by_the_command_line(quality, options):
    from zoo.cli.request import parse_request

    options = dataclasses.replace(options, image_shape=(32, 32, 1))
    command, steps = quality.training_command(options, "mnist", "wgan", 2, "file:benchmarks/extractors/mnist-0.keras")
    request = parse_request(command[1:], "train.py")
    assert request.config.steps == steps and request.config.image_shape == (32, 32, 1) and request.config.seed == 2
    assert steps * request.config.batch_size * request.config.discriminator_steps <= options.images
    assert -(-steps // request.config.eval_every) == quality.EVALUATIONS
    assert request.options.feature_extractor == "file:benchmarks/extractors/mnist-0.keras"


def test_the_committed_page_is_generated_from_the_committed_rows(quality, options):
    rows = ROOT / "benchmarks" / "results.jsonl"
    options.results.write_text(rows.read_text(encoding="utf-8"), encoding="utf-8")
    page = write(quality, options)
    committed_page = rows.with_suffix(".md").read_text(encoding="utf-8")
    committed = [line for line in committed_page.splitlines() if not line.startswith("![")]
    assert [line for line in page.splitlines() if not line.startswith("![")] == committed
    for model in quality.Options().models:
        assert page.count(f"| `{model}` |") >= 2  # MNIST, Fashion-MNIST
    pictures = re.findall(r"!\[\w+\]\((.*)\)", committed_page)
    assert len(pictures) == len(set(pictures)) == len(re.findall(r"^\| `", page, re.MULTILINE))  # each line has its own
    assert all((ROOT / "benchmarks" / picture).is_file() for picture in pictures)
