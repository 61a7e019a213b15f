"""The figure of drgan's page: scores by seed, during training and by pose."""

import pytest
from conftest import import_benchmark
from run_folders import CONFIG, PROTOCOL, evaluated_row, training_row, write_run

from zoo.errors import UserError


@pytest.fixture(scope="module")
def identification():
    return import_benchmark("identification")


def make_run(folder, seed, *rank1):
    rows = [training_row(100 * (i + 1), {"rank1": a, "rank1_baseline": b, "rank1_pixels": 0.5}) for i, (a, b) in enumerate(rank1)]
    views = {"view_accuracy": 0.25, "view_accuracy_pose_1": 0.5, "view_accuracy_pose_0": 0.0}
    return write_run(folder, [*rows, evaluated_row(200, views, PROTOCOL)], {**CONFIG, "seed": seed}, model="drgan")


def test_curves_and_means_of_the_runs(identification, tmp_path, capsys):
    make_run(tmp_path / "b", 1, (0.5, 0.75), (1.0, 0.5))
    make_run(tmp_path / "a", 0, (0.25, 0.5), (0.75, 0.5))
    out = tmp_path / "figure.png"
    assert identification.main([str(tmp_path / "b"), str(tmp_path / "a"), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "rank1            87.5% +- 17.7: 75.0%, 100.0%" in printed and "view_accuracy    25.0% +- 0.0: 25.0%, 25.0%" in printed


def test_a_curve_has_the_values_of_its_run_in_percent(identification, tmp_path):
    figure = identification.draw([[make_run(tmp_path / "a", 3, (0.25, 0.5), (0.75, 0.5))]])
    curves, views = figure.axes
    assert {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in curves.lines} == {
        "features, seed 3": ([100, 200], [25, 75]),
        "encoder alone, seed 3": ([100, 200], [50, 50]),
    }
    (line,) = views.lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0, 1], [0, 50])


def test_runs_without_view_accuracy_are_refused(identification, tmp_path):
    write_run(tmp_path / "run", [training_row(100, {"rank1": 0.5, "rank1_baseline": 0.5, "rank1_pixels": 0.5})], model="drgan")
    with pytest.raises(UserError, match="zoo evaluate .*run --metrics view_accuracy"):
        identification.main([str(tmp_path / "run"), "--out", str(tmp_path / "figure.png")])
