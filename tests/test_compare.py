"""The comparison of runs, on folders that are written here: nothing is trained."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from zoo import compare, results
from zoo.errors import UserError
from zoo.runs import Run

EXTRACTOR = "classifier-mnist-1a2b"
FRECHET = f"frechet[{EXTRACTOR}]"
PROTOCOL = {
    "extractor": EXTRACTOR,
    "extractor_sha256": "1a2b" * 16,
    "data": "mnist 3.0.1",
    "split": "test",
    "real_images": 1000,
    "fake_images": 1000,
    "image_shape": [28, 28, 1],
    "resizing": "to 28x28",
    "seed": 0,
    "generator": "averaged",
    "truncation": None,
}
MORE = {**PROTOCOL, "fake_images": 10_000, "real_images": 10_000}
OTHER = {  # a value for each field that is not the protocol's
    "extractor": "inception-2015",
    "extractor_sha256": "ffff" * 16,
    "data": "digits 1.0.0",
    "split": "train",
    "real_images": 360,
    "fake_images": 500,
    "image_shape": [32, 32, 1],
    "resizing": "to 299x299",
    "seed": 7,
    "generator": "live",
    "truncation": 0.5,
}
CONFIG = {
    "image_shape": [28, 28, 1],
    "num_classes": 10,
    "batch_size": 64,
    "steps": 800,
    "every": 200,
    "seed": 0,
    "discriminator_steps": 1,
    "generator_learning_rate": 0.0005,
    "widths": [64, 32],
}


def look(number, scores=None, protocol=PROTOCOL, **more):
    """A line of metrics.jsonl as training writes it."""
    row = {"round": number, "images": 64 * number, "seconds": number / 10, "images_per_second": 640.1, "d_adversarial": 0.5, **more}
    return row | ({"scores": scores, "protocol": protocol} if scores else {})


def evaluated(number, scores, protocol=MORE, checkpoint="last"):
    """The same as an evaluation afterwards writes it."""
    return {"round": number, "evaluated": True, "checkpoint": checkpoint, "scores": scores, "protocol": protocol}


def made(folder, rows=(), config=(), **record):
    """A run's folder, with a grid of samples; returns the `Run`."""
    (folder / "samples").mkdir(parents=True)
    whole = {
        "model": "acgan",
        "config": CONFIG | dict(config),
        "data": {"name": "mnist", "version": "3.0.1", "class_names": list("0123456789")},
        "precision": "float32",
        "replicas": 1,
        "xla": False,
        "parameters": {"generator": 1_234_567, "discriminator": 898_304},
        "versions": {"python": "3.12.3", "tensorflow": "2.21.0"},
        "command": "train.py --model acgan --data mnist",
        "created": "2026-11-22T10:00:00+00:00",
    }
    (folder / "config.json").write_text(json.dumps(whole | record))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    noise = np.random.default_rng(len(folder.name)).integers(0, 256, (60, 60), np.uint8)
    Image.fromarray(noise).save(folder / "samples" / "round-000800.png")
    return Run(folder)


def falling(*values, name=FRECHET, protocol=PROTOCOL):
    """Looks whose score takes these values."""
    return [look(200 * (i + 1), {name: value}, protocol) for i, value in enumerate(values)]


def compared(*runs, **chosen):
    return compare.Comparison(runs, **chosen)


def column(comparison, title):
    return next(column for column in compare.table(comparison) if column.title == title)


def refused(*runs, **chosen):
    """What is said of a comparison that cannot be; it is one line."""
    with pytest.raises(UserError) as error:
        compared(*runs, **chosen)
    assert "\n" not in str(error.value)
    return str(error.value)


# -- protocols ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", PROTOCOL)
def test_a_protocol_that_differs_in_one_field_is_refused_by_name(tmp_path, field):
    one = made(tmp_path / "one", falling(9, 5))
    two = made(tmp_path / "two", falling(8, 4, protocol={**PROTOCOL, field: OTHER[field]}))
    said = refused(one, two)
    *fields, cure = said.partition("in common: ")[2].split("; ")
    assert len(fields) == 1 and re.fullmatch(rf"{field} \S.* \(one\) and \S.* \(two\)", fields[0]), said
    if field in ("data", "image_shape"):
        assert "leave those runs out" in cure
    else:
        assert "python -m zoo evaluate RUN --count" in cure


def test_the_same_protocol_is_the_same_whatever_the_order_of_its_fields(tmp_path):
    one = made(tmp_path / "one", falling(9, 5))
    two = made(tmp_path / "two", falling(8, 4, protocol=dict(reversed(PROTOCOL.items()))))
    assert [point.value for point in column(compared(one, two), f"{FRECHET} best").cells] == [5, 4]


def test_the_refusal_names_what_decides_and_what_to_type(tmp_path):
    one = made(tmp_path / "acgan-mnist-0001", falling(9, 5))
    two = made(tmp_path / "dcgan-mnist-0002", [evaluated(800, {FRECHET: 4.0})])
    said = refused(one, two)
    assert "fake_images 1000 (acgan-mnist-0001) and 10000 (dcgan-mnist-0002)" in said
    assert "python -m zoo evaluate RUN --count 10000" in said
    assert "real_images" not in said, "it follows from fake_images"
    assert "seed" not in said and "extractor" not in said


def test_the_one_that_stands_apart_is_named(tmp_path):
    runs = [made(tmp_path / name, [*falling(9, 5), evaluated(800, {FRECHET: 4.0})]) for name in ("a", "b")]
    alone = made(tmp_path / "c", [evaluated(800, {FRECHET: 3.0}, {**MORE, "seed": 3})])
    said = refused(*runs, alone)
    assert "seed 0 (a, b) and 3 (c)" in said and "--count 10000 --seed 0" in said and "fake_images" not in said


def test_of_shared_protocols_the_one_with_the_most_images_is_taken(tmp_path):
    one = made(tmp_path / "one", [*falling(9, 5, 6), evaluated(400, {FRECHET: 50.0}), evaluated(600, {FRECHET: 60.0})])
    two = made(tmp_path / "two", [*falling(8, 7, 3), evaluated(600, {FRECHET: 30.0})])
    most, fewer = compared(one, two), compared(one, two, count=1000)
    assert [point[:2] for point in column(most, f"{FRECHET} best").cells] == [(50, 400), (30, 600)]
    assert [point[:2] for point in column(most, f"{FRECHET} last").cells] == [(60, 600), (30, 600)]
    assert [point[:2] for point in column(fewer, f"{FRECHET} best").cells] == [(5, 400), (3, 600)]
    assert "fake images 10000" in most.notes[0] and "fake images 1000;" in fewer.notes[0]
    assert "--count 1000" in most.notes[1]
    assert "--count 500" in (said := refused(one, two, count=500)) and "1000, 10000" in said


def test_what_changes_images_is_counted_by_them_and_compared_as_exactly_as_it_was_measured(tmp_path):
    looks = {**PROTOCOL, "fake_images": 0, "real_images": 50, "precision": "bfloat16"}
    exact, fewer = {**looks, "precision": "float32"}, {**looks, "real_images": 20}
    rows = [*falling(9, 5, protocol=looks), evaluated(400, {FRECHET: 4.5}, exact), evaluated(400, {FRECHET: 3.0}, fewer)]
    runs = [made(tmp_path / name, rows) for name in ("one", "two")]
    assert column(compared(*runs), f"{FRECHET} last").cells[0].value == 4.5
    assert column(compared(*runs, count=20), f"{FRECHET} last").cells[0].value == 3.0
    assert "--count 20" in " ".join(compared(*runs).notes)


def test_the_protocol_must_be_that_of_all(tmp_path):
    one = made(tmp_path / "one", [*falling(9, 5, 6), evaluated(600, {FRECHET: 60.0})])
    two = made(tmp_path / "two", falling(8, 7, 3))
    assert [point.value for point in column(compared(one, two), f"{FRECHET} best").cells] == [5, 3]
    assert [point.value for point in column(compared(one), f"{FRECHET} best").cells] == [60]


def test_the_curve_is_drawn_by_the_protocol_with_the_most_points_and_says_so(tmp_path):
    one = made(tmp_path / "one", [*falling(9, 5, 6), evaluated(600, {FRECHET: 60.0})])
    comparison = compared(one)
    assert [point.value for point in comparison.curves(comparison.drawn)[0]] == [9, 5, 6]
    assert "picture" in comparison.notes[-1] and comparison.notes[-1].endswith("fake images 1000.")
    assert not any("picture" in note for note in compared(one, count=1000).notes)


# -- scores ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [FRECHET, "fid", "kid[x]", "ms_ssim", "swd", "swd_16"])
def test_lower_is_better(tmp_path, name):
    runs = [made(tmp_path / "one", falling(0.9, 0.3, 0.5, name=name)), made(tmp_path / "two", falling(0.8, 0.4, name=name))]
    best = column(compared(*runs), f"{name} best")
    assert [point[:2] for point in best.cells] == [(0.3, 400), (0.4, 400)] and best.best == (0,)


@pytest.mark.parametrize("name", ["precision[x]", "recall[x]", "coverage[x]", "class_accuracy[x]", "inception_score[x]"])
def test_higher_is_better(tmp_path, name):
    runs = [made(tmp_path / "one", falling(0.2, 0.7, 0.5, name=name)), made(tmp_path / "two", falling(0.3, 0.9, name=name))]
    best = column(compared(*runs), f"{name} best")
    assert [point[:2] for point in best.cells] == [(0.7, 400), (0.9, 400)] and best.best == (1,)


def test_what_is_not_finite_is_never_the_best(tmp_path):
    run = made(tmp_path / "one", falling(9.0, 5.0, -math.inf, math.nan))
    comparison = compared(run)
    assert column(comparison, f"{FRECHET} best").cells[0][:2] == (5, 400)
    assert math.isnan(column(comparison, f"{FRECHET} last").cells[0].value)
    assert "nan @800" in compare.terminal(comparison, 100)


def test_last_is_the_last_round_whatever_the_order_of_the_lines(tmp_path):
    rows = [evaluated(800, {FRECHET: 7.0}), evaluated(400, {FRECHET: 5.0}, checkpoint="best"), evaluated(800, {FRECHET: 6.0})]
    last = column(compared(made(tmp_path / "one", rows)), f"{FRECHET} last").cells[0]
    assert last == compare.Point(6.0, 800, 64 * 800)  # measured twice: the later one


def test_an_error_belongs_to_its_score(tmp_path):
    scores = {"kid[x]": 0.0021, "kid_error[x]": 0.0003, "inception_score[x]": 8.1, "inception_score_spread[x]": 0.2}
    comparison = compared(made(tmp_path / "one", [look(200, scores)]))
    assert [c.title for c in compare.table(comparison) if "[" in c.title and c.title.endswith("best")] == [
        "kid[x] best",
        "inception_score[x] best",
    ]
    assert "0.00210±0.00030 @200" in compare.markdown(comparison)


def test_a_score_may_be_named_short_or_long(tmp_path):
    runs = [made(tmp_path / n, [look(200, {FRECHET: 9.0, "recall[x]": 0.5}), look(400, {FRECHET: 8.0, "recall[x]": 0.4})]) for n in "ab"]
    assert compared(*runs).score == FRECHET
    assert compared(*runs, score="recall").score == compared(*runs, score="recall[x]").score == "recall[x]"
    titles = [c.title for c in compare.table(compared(*runs, score="recall"))]
    assert titles.index("recall[x] best") < titles.index(f"{FRECHET} best")


# -- the table ------------------------------------------------------------------------------------------------------------------------


def test_settings_that_differ_are_shown_and_equal_ones_are_not(tmp_path):
    one = made(tmp_path / "one", falling(9, 5), {"seed": 1, "widths": [64, 32]})
    two = made(tmp_path / "two", falling(9, 5), {"seed": 2, "widths": [128, 64], "steps": 9, "every": 3, "only_here": 5}, created="later")
    shown = {c.title: c.cells for c in compare.table(compared(one, two)) if c.group == "settings that differ"}
    assert shown == {"seed": [1, 2], "widths": [[64, 32], [128, 64]]}
    assert "settings that differ" in compare.terminal(compared(one, two), 100)
    same = made(tmp_path / "same", falling(9, 5), {"seed": 1})
    assert not [c for c in compare.table(compared(one, same)) if c.group == "settings that differ"]
    assert "settings that differ" not in compare.terminal(compared(one, same), 100)


def test_what_each_run_is(tmp_path):
    old = made(tmp_path / "old", [*falling(9, 5), evaluated(400, {FRECHET: 5.0}, PROTOCOL)], model="dcgan", precision="mixed_bfloat16")
    record = json.loads((old.folder / "config.json").read_text())
    del record["parameters"]  # as runs were made before
    (old.folder / "config.json").write_text(json.dumps(record))
    comparison = compared(Run(old.folder), made(tmp_path / "new", falling(8, 4, 2)))
    cells = {c.title: c.cells for c in compare.table(comparison)}
    assert cells["run"] == ["old", "new"] and cells["model"] == ["dcgan", "acgan"] and cells["data"] == ["mnist 3.0.1"] * 2
    assert cells["generator parameters"] == [None, 1_234_567] and cells["discriminator parameters"] == [None, 898_304]
    assert cells["images"] == [64 * 400, 64 * 600] and cells["seconds"] == [40, 60] and cells["images/s"] == [640.1] * 2
    assert cells["precision"] == ["mixed_bfloat16", "float32"]


def test_csv_parses_back(tmp_path):
    one = made(tmp_path / 'a, "b"', [look(200, {FRECHET: 1 / 3, "kid[x]": 0.1, "kid_error[x]": 0.01})], {"seed": 1})
    two = made(tmp_path / "two", [look(200, {FRECHET: 2 / 3})])
    first, second = csv.DictReader(io.StringIO(compare.table_csv(compared(one, two))))
    assert first["run"] == 'a, "b"' and float(first[f"{FRECHET} best"]) == 1 / 3 and float(second[f"{FRECHET} best"]) == 2 / 3
    assert first[f"{FRECHET} best round"] == "200" and first["kid[x] best error"] == "0.01"
    assert second["kid[x] best"] == second["kid[x] best round"] == ""
    assert [first["seed"], second["seed"]] == ["1", "0"] and first["generator parameters"] == "1234567"
    assert json.loads(first["protocol"]) == PROTOCOL


def test_markdown_is_one_table(tmp_path):
    runs = [made(tmp_path / "a|b", falling(9, 5), {"seed": 1}), made(tmp_path / "two", falling(8, 4))]
    text = compare.markdown(compared(*runs))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert len(lines) == 4 and len({len(row) for row in cells}) == 1
    assert "a\\|b" in lines[2] and "**4.00 @400**" in lines[3] and "5.00 @400" in lines[2] and "**5" not in lines[2]
    assert "extractor classifier-mnist-1a2b" in text.splitlines()[5]


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminals_table_keeps_to_its_width_and_cuts_nothing(tmp_path, width):
    scores = {FRECHET: 1234.4, "precision[x]": 0.98, "recall[x]": 0.87, "class_accuracy[x]": 0.99, "kid[x]": 0.002, "kid_error[x]": 0.001}
    runs = [made(tmp_path / f"acgan-mnist-{i:04d}", [look(2000 * i, scores)], {"seed": i}) for i in range(1, 8)]
    runs.append(made(tmp_path / f"acgan-mnist-{'long-' * 8}0009", [look(90_000, scores)], {"widths": [512] * 4}))
    text = compare.terminal(compared(*runs), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text and "\x1b" not in text
    for word in (
        "acgan-mnist-0003",
        "1,234,567",
        "1,234 @90,000",
        "0.980 @2,000 *",
        "0.00200±0.0010 @2,000",
        "class_accuracy",
        "512 512 512 512",
    ):
        assert word in text, word


def test_folders_of_one_name_are_told_apart(tmp_path):
    runs = [made(tmp_path / under / "run", falling(9, 5)) for under in ("x", "y")]
    assert compared(*runs).names == ["x/run", "y/run"]


def test_a_line_that_was_cut_short_is_survived(tmp_path):
    run = made(tmp_path / "one", falling(9, 5))
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write('{"round": 600, "images": 384')
    assert column(compared(run), "images").cells == [64 * 400]


# -- the picture ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_picture_has_a_curve_and_a_grid_for_each_run(tmp_path, count):
    runs = [made(tmp_path / f"run-{i}", falling(9 + i, 5 + i, 7 + i)) for i in range(count)]
    figure = compare.figure(compared(*runs))
    curves, *panels = figure.get_axes()
    assert len(curves.lines) == count
    for i, line in enumerate(curves.lines):
        assert line.get_label() == f"run-{i}"
        assert list(zip(*line.get_data())) == [(64 * 200, 9 + i), (64 * 400, 5 + i), (64 * 600, 7 + i)]
    assert [tuple(star.get_offsets()[0]) for star in curves.collections] == [(64 * 400, 5 + i) for i in range(count)]
    titles = [panel.get_title().splitlines() for panel in panels if panel.images]
    assert titles == [[f"run-{i}", f"best {f'{5 + i:.2f}'[:4]} at 25,600 images"] for i in range(count)]
    assert "frechet" in curves.get_ylabel() and "lower is better" in curves.get_ylabel()


def test_the_png_is_written_and_not_blank(tmp_path):
    runs = [made(tmp_path / f"run-{i}", falling(9 + i, 5 + i)) for i in range(2)]
    path = tmp_path / "new folder" / "compare.png"
    compare.draw(compared(*runs), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.std() > 10
    for colour in compare.COLOURS[:2]:
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - wanted).max(-1) < 8).sum() > 300, colour
    assert [p.name for p in path.parent.iterdir()] == ["compare.png"]


def test_the_axis_is_logarithmic_where_more_than_a_decade_is_spanned(tmp_path):
    def scale(*values):
        return compare.figure(compared(made(tmp_path / str(values), falling(*values)))).get_axes()[0].get_yscale()

    assert scale(90.0, 8.9) == "log" and scale(90.0, 9.1) == "linear" and scale(90.0, 0.0) == "linear"


def test_a_run_without_the_score_or_without_samples_has_no_curve_but_a_place(tmp_path):
    one = made(tmp_path / "one", [look(200, {FRECHET: 9.0, "class_accuracy[x]": 0.9})])
    two = made(tmp_path / "two", [look(200, {FRECHET: 9.0})])
    (two.folder / "samples" / "round-000800.png").unlink()
    comparison = compared(one, two, score="class_accuracy")
    assert column(comparison, "class_accuracy[x] best").cells[1] is None and "–" in compare.terminal(comparison, 100)
    figure = compare.figure(comparison)
    titles = [axes.get_title() for axes in figure.get_axes()[1:]]
    assert titles == ["one\nbest 0.900 at 12,800 images", "two\nnot measured"]
    assert [len(axes.images) for axes in figure.get_axes()[1:]] == [1, 0]


def test_a_grid_that_was_cut_short_is_passed_over(tmp_path):
    run = made(tmp_path / "one")
    whole = compare._grid(run)
    data = (run.folder / "samples" / "round-000800.png").read_bytes()
    (run.folder / "samples" / "round-1000000.png").write_bytes(data[: len(data) // 2])
    assert np.array_equal(compare._grid(run), whole) and whole.shape == (60, 60)
    assert results.last_grid(run).name == "round-000800.png"


# -- mistakes -------------------------------------------------------------------------------------------------------------------------


def test_mistakes_are_one_line(tmp_path):
    one, two = made(tmp_path / "one", falling(9, 5)), made(tmp_path / "two", falling(8, 4))
    assert "python -m zoo compare" in refused()
    assert "given twice" in refused(one, two, Run(tmp_path / "two" / ".." / "one"))
    said = refused(one, two, score="freshet")
    assert "did you mean 'frechet'?" in said and "There is: frechet" in said
    with pytest.raises(UserError, match="is no run"):
        Run(tmp_path)


def test_runs_without_scores_are_named(tmp_path):
    one, bare = made(tmp_path / "one", falling(9, 5)), made(tmp_path / "bare", [look(200)])
    said = refused(one, bare)
    assert said.startswith("bare has no scores") and "python -m zoo evaluate RUN" in said
    unsaid = made(tmp_path / "unsaid", [{**look(200), "scores": {FRECHET: 3.0}}])  # no protocol: compares with nothing
    assert refused(unsaid, bare).startswith("unsaid, bare have no scores")


def test_a_score_that_no_shared_protocol_has_is_refused(tmp_path):
    one = made(tmp_path / "one", [*falling(9, 5), evaluated(400, {"kid[x]": 0.1})])
    two = made(tmp_path / "two", falling(8, 4))
    assert "python -m zoo evaluate RUN --metrics kid" in refused(one, two, score="kid")
    assert compared(one, score="kid").score == "kid[x]"


@pytest.mark.parametrize("name", ["compare.jpg", "compare"])
def test_another_kind_of_picture_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="compare.png"):
        compare.draw(compared(made(tmp_path / "one", falling(9, 5))), tmp_path / name)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    comparison = compared(made(tmp_path / "one", falling(9, 5)))
    with pytest.raises(UserError, match="cannot be written"):
        compare.draw(comparison, tmp_path / "one" / "config.json" / "compare.png")
