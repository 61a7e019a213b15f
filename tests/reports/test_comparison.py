"""The comparison of runs, on folders that are written here: nothing is trained."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest
from PIL import Image
from run_folders import LARGE, PROTOCOL, changed, evaluated_row, score_rows, training_row, write_run

from zoo.errors import UserError
from zoo.reports import figure, tables
from zoo.reports.comparison import Comparison
from zoo.runs.folder import Run
from zoo.runs.scores import latest_grid
from zoo.types import Protocol, ScorePoint

OTHER = {  # a value for each field that is not the protocol's
    "extractor": "inception-2015",
    "extractor_sha256": "ffff" * 16,
    "data": "digits 1.0.0",
    "split": "train",
    "real_images": 360,
    "fake_images": 500,
    "image_shape": (32, 32, 1),
    "resizing": "to 299x299",
    "seed": 7,
    "generator": "live",
    "precision": "bfloat16",
    "truncation": 0.5,
}


@pytest.fixture(autouse=True)
def started_as_module(monkeypatch):
    """Messages name the program as it was started."""
    monkeypatch.setattr("zoo.runs.commands._program", "python -m zoo train")


def compare(*runs, **options):
    return Comparison(runs, **options)


def find_column(comparison, title):
    return next(column for column in tables.build_columns(comparison) if column.title == title)


def refusal(*runs, **options):
    """The message about runs that cannot be compared; it is one line."""
    with pytest.raises(UserError) as error:
        compare(*runs, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# -- protocols ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", PROTOCOL.to_dict())
def test_protocols_that_differ_in_one_field_are_refused_by_its_name(tmp_path, field):
    one = write_run(tmp_path / "one", score_rows(9, 5))
    two = write_run(tmp_path / "two", score_rows(8, 4, protocol=changed(PROTOCOL, **{field: OTHER[field]})))
    message = refusal(one, two)
    *fields, remedy = message.partition("in common: ")[2].split("; ")
    assert len(fields) == 1 and re.fullmatch(rf"{field} \S.* \(one\) and \S.* \(two\)", fields[0]), message
    if field in ("data", "image_shape"):
        assert "leave those runs out" in remedy
    else:
        assert "python -m zoo evaluate RUN --count" in remedy


def test_the_order_of_a_protocols_fields_does_not_matter(tmp_path):
    one = write_run(tmp_path / "one", score_rows(9, 5))
    rows = [{**row, "protocol": dict(reversed(row["protocol"].items()))} for row in score_rows(8, 4)]
    two = write_run(tmp_path / "two", rows)
    assert [point.value for point in find_column(compare(one, two), "frechet best").cells] == [5, 4]


def test_the_refusal_names_the_deciding_field_and_what_to_type(tmp_path):
    one = write_run(tmp_path / "acgan-mnist-0001", score_rows(9, 5))
    two = write_run(tmp_path / "dcgan-mnist-0002", [evaluated_row(800, {"frechet": 4.0})])
    message = refusal(one, two)
    assert "fake_images 1000 (acgan-mnist-0001) and 10000 (dcgan-mnist-0002)" in message
    assert "python -m zoo evaluate RUN --count 10000" in message
    assert "real_images" not in message, "it follows from fake_images"
    assert "seed" not in message and "extractor" not in message


def test_the_run_that_differs_is_named(tmp_path):
    runs = [write_run(tmp_path / name, [*score_rows(9, 5), evaluated_row(800, {"frechet": 4.0})]) for name in ("a", "b")]
    alone = write_run(tmp_path / "c", [evaluated_row(800, {"frechet": 3.0}, changed(LARGE, seed=3))])
    message = refusal(*runs, alone)
    assert "seed 0 (a, b) and 3 (c)" in message and "--count 10000 --seed 0" in message and "fake_images" not in message


def test_a_split_is_suggested_as_the_option_takes_it(tmp_path):
    part = changed(PROTOCOL, split="train, of 500 images")
    message = refusal(write_run(tmp_path / "a", score_rows(9, 8, protocol=part)), write_run(tmp_path / "b", score_rows(9)))
    assert message.endswith("--count 1000 --split train")


def test_of_shared_protocols_the_one_with_the_most_images_is_used(tmp_path):
    later = [evaluated_row(400, {"frechet": 50.0}), evaluated_row(600, {"frechet": 60.0})]
    one = write_run(tmp_path / "one", [*score_rows(9, 5, 6), *later])
    two = write_run(tmp_path / "two", [*score_rows(8, 7, 3), evaluated_row(600, {"frechet": 30.0})])
    most, fewer = compare(one, two), compare(one, two, count=1000)
    assert [point[:2] for point in find_column(most, "frechet best").cells] == [(50, 400), (30, 600)]
    assert [point[:2] for point in find_column(most, "frechet last").cells] == [(60, 600), (30, 600)]
    assert [point[:2] for point in find_column(fewer, "frechet best").cells] == [(5, 400), (3, 600)]
    assert "fake images 10000" in most.notes()[0] and "fake images 1000;" in fewer.notes()[0]
    assert "--count 1000" in most.notes()[1]
    message = refusal(one, two, count=500)
    assert "--count 500" in message and "1000, 10000" in message


def test_image_to_image_protocols_count_real_images_and_prefer_float32(tmp_path):
    training = changed(PROTOCOL, fake_images=0, real_images=50, precision="bfloat16")
    exact, fewer = changed(training, precision="float32"), changed(training, precision="float32", real_images=20)
    later = [evaluated_row(400, {"frechet": 4.5}, exact), evaluated_row(400, {"frechet": 3.0}, fewer)]
    runs = [write_run(tmp_path / name, [*score_rows(9, 5, protocol=training), *later]) for name in ("one", "two")]
    assert find_column(compare(*runs), "frechet last").cells[0].value == 4.5
    assert find_column(compare(*runs, count=20), "frechet last").cells[0].value == 3.0
    assert "--count 20" in " ".join(compare(*runs).notes())


def test_only_protocols_of_all_runs_are_used(tmp_path):
    one = write_run(tmp_path / "one", [*score_rows(9, 5, 6), evaluated_row(600, {"frechet": 60.0})])
    two = write_run(tmp_path / "two", score_rows(8, 7, 3))
    assert [point.value for point in find_column(compare(one, two), "frechet best").cells] == [5, 3]
    assert [point.value for point in find_column(compare(one), "frechet best").cells] == [60]


def test_the_figure_uses_the_protocol_with_the_most_points_and_a_note_says_so(tmp_path):
    one = write_run(tmp_path / "one", [*score_rows(9, 5, 6), evaluated_row(600, {"frechet": 60.0})])
    comparison = compare(one)
    assert [point.value for point in comparison.points(comparison.score, comparison.drawn)[0]] == [9, 5, 6]
    assert "figure" in comparison.notes()[-1] and comparison.notes()[-1].endswith("fake images 1000.")
    assert not any("figure" in note for note in compare(one, count=1000).notes())


# -- scores ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["frechet", "fid", "kid", "ms_ssim", "swd", "swd_16"])
def test_lower_is_better(tmp_path, name):
    runs = [write_run(tmp_path / "one", score_rows(0.9, 0.3, 0.5, name=name)), write_run(tmp_path / "two", score_rows(0.8, 0.4, name=name))]
    best = find_column(compare(*runs), f"{name} best")
    assert [point[:2] for point in best.cells] == [(0.3, 400), (0.4, 400)] and best.best == (0,)


@pytest.mark.parametrize("name", ["precision", "recall", "coverage", "class_accuracy", "inception_score"])
def test_higher_is_better(tmp_path, name):
    runs = [write_run(tmp_path / "one", score_rows(0.2, 0.7, 0.5, name=name)), write_run(tmp_path / "two", score_rows(0.3, 0.9, name=name))]
    best = find_column(compare(*runs), f"{name} best")
    assert [point[:2] for point in best.cells] == [(0.7, 400), (0.9, 400)] and best.best == (1,)


def test_closer_to_one_is_better(tmp_path):
    run = write_run(tmp_path / "one", score_rows(0.5, 1.2, 2.0, name="memorization"))
    assert find_column(compare(run), "memorization best").cells[0][:2] == (1.2, 400)


@pytest.mark.parametrize(
    "model, name, best", [("cyclegan", "translation_accuracy", 0.9), ("cyclegan", "cycle_error", 0.2), ("sgan", "error_rate", 0.2)]
)
def test_a_models_own_scores_have_their_directions(tmp_path, model, name, best):
    run = write_run(tmp_path / "one", score_rows(0.2, 0.9, name=name), model=model)
    assert find_column(compare(run), f"{name} best").cells[0].value == best


def test_a_score_of_unknown_direction_has_no_best(tmp_path):
    runs = [write_run(tmp_path / n, score_rows(0.5, 0.1, name="lpips"), model="from_a_plugin") for n in ("one", "two")]
    comparison = compare(*runs)
    titles = [column.title for column in tables.build_columns(comparison)]
    assert "lpips last" in titles and "lpips best" not in titles
    curves, *panels = figure.build_figure(comparison).get_axes()
    assert not curves.collections and "better" not in curves.get_ylabel()
    assert panels[0].get_title() == "one\nlast 0.100 at 25,600 images"


def test_values_that_are_not_finite_are_never_the_best(tmp_path):
    run = write_run(tmp_path / "one", score_rows(9.0, 5.0, -math.inf, math.nan))
    comparison = compare(run)
    assert find_column(comparison, "frechet best").cells[0][:2] == (5, 400)
    assert math.isnan(find_column(comparison, "frechet last").cells[0].value)
    assert "nan @800" in tables.format_terminal(comparison, 100)


def test_last_is_the_last_step_whatever_the_order_of_the_lines(tmp_path):
    rows = [
        evaluated_row(800, {"frechet": 7.0}),
        evaluated_row(400, {"frechet": 5.0}, checkpoint="best"),
        evaluated_row(800, {"frechet": 6.0}),
    ]
    last = find_column(compare(write_run(tmp_path / "one", rows)), "frechet last").cells[0]
    assert last == ScorePoint(6.0, 800, 64 * 800)  # scored twice: the later value


def test_an_uncertainty_belongs_to_its_score(tmp_path):
    row = training_row(200, {"kid": 0.0021, "inception_score": 8.1}, errors={"kid": 0.0003, "inception_score": 0.2})
    comparison = compare(write_run(tmp_path / "one", [row]))
    best = [column.title for column in tables.build_columns(comparison) if column.title.endswith("best")]
    assert best == ["kid best", "inception_score best"]
    assert "0.00210±0.00030 @200" in tables.format_markdown(comparison)


def test_the_chosen_score_comes_first(tmp_path):
    rows = [training_row(200, {"frechet": 9.0, "recall": 0.5}), training_row(400, {"frechet": 8.0, "recall": 0.4})]
    runs = [write_run(tmp_path / name, rows) for name in "ab"]
    assert compare(*runs).score == "frechet"
    assert compare(*runs, score="recall").score == "recall"
    titles = [column.title for column in tables.build_columns(compare(*runs, score="recall"))]
    assert titles.index("recall best") < titles.index("frechet best")


# -- the table ------------------------------------------------------------------------------------------------------------------------


def test_only_settings_that_differ_are_shown(tmp_path):
    one = write_run(tmp_path / "one", score_rows(9, 5), {"seed": 1, "widths": [64, 32]})
    other = {"seed": 2, "widths": [128, 64], "steps": 9, "eval_every": 3, "only_here": 5}
    two = write_run(tmp_path / "two", score_rows(9, 5), other, created="later")
    group = tables.DIFFERENT_SETTINGS
    shown = {column.title: column.cells for column in tables.build_columns(compare(one, two)) if column.group == group}
    assert shown == {"seed": [1, 2], "widths": [[64, 32], [128, 64]]}
    assert "settings that differ" in tables.format_terminal(compare(one, two), 100)
    same = write_run(tmp_path / "same", score_rows(9, 5), {"seed": 1})
    assert not [column for column in tables.build_columns(compare(one, same)) if column.group == group]
    assert "settings that differ" not in tables.format_terminal(compare(one, same), 100)


def test_the_runs_are_described(tmp_path):
    rows = [*score_rows(9, 5), evaluated_row(400, {"frechet": 5.0}, PROTOCOL)]
    old = write_run(tmp_path / "old", rows, model="dcgan", precision="mixed_bfloat16")
    record = json.loads((old.folder / "config.json").read_text(encoding="utf-8"))
    del record["parameters"]  # which early runs do not have
    (old.folder / "config.json").write_text(json.dumps(record), encoding="utf-8")
    comparison = compare(Run(old.folder), write_run(tmp_path / "new", score_rows(8, 4, 2)))
    cells = {column.title: column.cells for column in tables.build_columns(comparison)}
    assert cells["run"] == ["old", "new"] and cells["model"] == ["dcgan", "acgan"] and cells["data"] == ["mnist 3.0.1"] * 2
    assert cells["generator parameters"] == [None, 1_234_567] and cells["discriminator parameters"] == [None, 898_304]
    assert cells["images seen"] == [64 * 400, 64 * 600] and cells["seconds"] == [40, 60] and cells["images/s"] == [640] * 2
    assert cells["precision"] == ["mixed_bfloat16", "float32"]


def test_csv_parses_back(tmp_path):
    one = write_run(tmp_path / 'a, "b"', [training_row(200, {"frechet": 1 / 3, "kid": 0.1}, errors={"kid": 0.01})], {"seed": 1})
    two = write_run(tmp_path / "two", [training_row(200, {"frechet": 2 / 3})])
    first, second = csv.DictReader(io.StringIO(tables.format_csv(compare(one, two))))
    assert first["run"] == 'a, "b"' and float(first["frechet best"]) == 1 / 3 and float(second["frechet best"]) == 2 / 3
    assert first["frechet best step"] == "200" and first["kid best error"] == "0.01"
    assert second["kid best"] == second["kid best step"] == ""
    assert [first["seed"], second["seed"]] == ["1", "0"] and first["generator parameters"] == "1234567"
    assert Protocol.from_dict(json.loads(first["protocol"])) == PROTOCOL


def test_markdown_is_one_table(tmp_path):
    runs = [write_run(tmp_path / "a|b", score_rows(9, 5), {"seed": 1}), write_run(tmp_path / "two", score_rows(8, 4))]
    text = tables.format_markdown(compare(*runs))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert len(lines) == 4 and len({len(row) for row in cells}) == 1
    assert "a\\|b" in lines[2] and "**4.00 @400**" in lines[3] and "5.00 @400" in lines[2] and "**5" not in lines[2]
    assert "extractor classifier-mnist-1a2b" in text.splitlines()[5]


def test_names_of_folders_are_escaped(tmp_path):
    """As a terminal and a page in the browser would interpret them."""
    runs = [write_run(tmp_path / name, score_rows(9, 5)) for name in ("\x1b]0;title\x07", "<img src=x onerror=y>")]
    comparison = compare(*runs)
    assert not {"\x1b", "\x07"} & set(tables.format_terminal(comparison, 100, color=False)) and "\x1b" not in tables.format_csv(comparison)
    assert "<img" not in re.sub(r"\\<", "", tables.format_markdown(comparison))


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminals_table_fits_its_width_and_truncates_nothing(tmp_path, width):
    scores = {"frechet": 1234.4, "precision": 0.98, "recall": 0.87, "class_accuracy": 0.99, "kid": 0.002}
    errors = {"kid": 0.001}
    runs = [write_run(tmp_path / f"acgan-mnist-{i:04d}", [training_row(2000 * i, scores, errors=errors)], {"seed": i}) for i in range(1, 8)]
    row = training_row(90_000, scores, errors=errors)
    runs.append(write_run(tmp_path / f"acgan-mnist-{'long-' * 8}0009", [row], {"widths": [512] * 4}))
    text = tables.format_terminal(compare(*runs), width)
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


def test_folders_of_the_same_name_are_distinguished(tmp_path):
    runs = [write_run(tmp_path / parent / "run", score_rows(9, 5)) for parent in ("x", "y")]
    assert compare(*runs).names == ["x/run", "y/run"]


def test_a_truncated_line_is_skipped(tmp_path):
    run = write_run(tmp_path / "one", score_rows(9, 5))
    with open(run.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 600, "images": 384')
    assert find_column(compare(run), "images seen").cells == [64 * 400]


# -- the figure -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_figure_has_a_curve_and_a_grid_for_each_run(tmp_path, count):
    runs = [write_run(tmp_path / f"run-{i}", score_rows(9 + i, 5 + i, 7 + i)) for i in range(count)]
    curves, *panels = figure.build_figure(compare(*runs)).get_axes()
    assert len(curves.lines) == count
    for i, line in enumerate(curves.lines):
        assert line.get_label() == f"run-{i}"
        assert list(zip(*line.get_data(), strict=True)) == [(64 * 200, 9 + i), (64 * 400, 5 + i), (64 * 600, 7 + i)]
    assert [tuple(star.get_offsets()[0]) for star in curves.collections] == [(64 * 400, 5 + i) for i in range(count)]
    titles = [panel.get_title().splitlines() for panel in panels if panel.images]
    assert titles == [[f"run-{i}", f"best {f'{5 + i:.2f}'[:4]} at 25,600 images"] for i in range(count)]
    assert "frechet" in curves.get_ylabel() and "lower is better" in curves.get_ylabel()


def test_the_png_is_written_and_not_blank(tmp_path):
    runs = [write_run(tmp_path / f"run-{i}", score_rows(9 + i, 5 + i)) for i in range(2)]
    path = tmp_path / "new folder" / "compare.png"
    figure.draw_comparison(compare(*runs), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.std() > 10
    for color in figure.COLORS[:2]:
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - rgb).max(-1) < 8).sum() > 300, color
    assert [path.name for path in path.parent.iterdir()] == ["compare.png"]


def test_the_axis_is_logarithmic_if_values_span_more_than_a_decade(tmp_path):
    def scale(*values):
        return figure.build_figure(compare(write_run(tmp_path / str(values), score_rows(*values)))).get_axes()[0].get_yscale()

    assert scale(90.0, 8.9) == "log" and scale(90.0, 9.1) == "linear" and scale(90.0, 0.0) == "linear"


def test_a_run_without_the_score_or_without_samples_has_an_empty_place(tmp_path):
    one = write_run(tmp_path / "one", [training_row(200, {"frechet": 9.0, "class_accuracy": 0.9})])
    two = write_run(tmp_path / "two", [training_row(200, {"frechet": 9.0})])
    (two.folder / "samples" / "step-000800.png").unlink()
    comparison = compare(one, two, score="class_accuracy")
    assert find_column(comparison, "class_accuracy best").cells[1] is None and "–" in tables.format_terminal(comparison, 100)
    panels = figure.build_figure(comparison).get_axes()[1:]
    assert [panel.get_title() for panel in panels] == ["one\nbest 0.900 at 12,800 images", "two\nnot scored"]
    assert [len(panel.images) for panel in panels] == [1, 0]


def test_a_truncated_grid_is_passed_over(tmp_path):
    run = write_run(tmp_path / "one")
    whole = figure.read_latest_grid(run)
    content = (run.folder / "samples" / "step-000800.png").read_bytes()
    (run.folder / "samples" / "step-1000000.png").write_bytes(content[: len(content) // 2])
    assert np.array_equal(figure.read_latest_grid(run), whole) and whole.shape == (60, 60)
    assert latest_grid(run).name == "step-000800.png"


# -- mistakes -------------------------------------------------------------------------------------------------------------------------


def test_mistakes_are_one_line(tmp_path):
    one, two = write_run(tmp_path / "one", score_rows(9, 5)), write_run(tmp_path / "two", score_rows(8, 4))
    assert "python -m zoo compare" in refusal()
    assert "given twice" in refusal(one, two, Run(tmp_path / "two" / ".." / "one"))
    message = refusal(one, two, score="freshet")
    assert "did you mean 'frechet'?" in message and "Available: frechet" in message
    with pytest.raises(UserError, match="is not a run"):
        Run(tmp_path)


def test_runs_without_scores_are_named(tmp_path):
    one, bare = write_run(tmp_path / "one", score_rows(9, 5)), write_run(tmp_path / "bare", [training_row(200)])
    message = refusal(one, bare)
    assert message.startswith("bare has no scores") and "python -m zoo evaluate RUN" in message
    without_protocol = write_run(tmp_path / "free", [{**training_row(200), "scores": {"frechet": 3.0}}])  # comparable with nothing
    assert refusal(without_protocol, bare).startswith("free, bare have no scores")


def test_a_score_that_no_shared_protocol_has_is_refused(tmp_path):
    one = write_run(tmp_path / "one", [*score_rows(9, 5), evaluated_row(400, {"kid": 0.1})])
    two = write_run(tmp_path / "two", score_rows(8, 4))
    assert "python -m zoo evaluate RUN --metrics kid" in refusal(one, two, score="kid")
    assert compare(one, score="kid").score == "kid"


@pytest.mark.parametrize("name", ["compare.jpg", "compare"])
def test_other_image_formats_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="compare.png"):
        figure.draw_comparison(compare(write_run(tmp_path / "one", score_rows(9, 5))), tmp_path / name)


def test_a_path_that_cannot_be_written_is_reported(tmp_path):
    comparison = compare(write_run(tmp_path / "one", score_rows(9, 5)))
    with pytest.raises(UserError, match="cannot be written"):
        figure.draw_comparison(comparison, tmp_path / "one" / "config.json" / "compare.png")
