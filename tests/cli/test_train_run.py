"""A whole run as a user types it: its folder, TensorBoard events, samples, the dry run."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from command_line import ACGAN, SMALL, UNSCORED, list_files, small_acgan
from conftest import random_source, tiny_model
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

import zoo
from zoo import registry
from zoo.cli import console, train


@pytest.fixture(scope="module")
def run():
    return small_acgan()


def test_run_folder(run):
    record = json.loads((run / "config.json").read_text())
    assert record["model"] == "acgan" and record["config"]["image_shape"] == [32, 32, 1] and record["config"]["num_classes"] == 10
    assert record["data"]["name"] == "digits" and record["data"]["version"] == "1.0.0" and record["precision"]
    assert set(record["versions"]) >= {"tensorflow", "keras", "python"}
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["step-000004.png", "step-000006.png"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 6] and [row["images"] for row in rows] == [64, 96]
    assert all(row["seconds"] > 0 and np.isfinite(row["d_class"]) and 0 <= row["diversity"] < 2 for row in rows)
    assert sorted(path.name for path in (run / "checkpoints").glob("*.index")) == ["ckpt-0.index", "ckpt-4.index", "ckpt-6.index"]
    assert "1" in [path.name for path in (run / "export" / "acgan").iterdir()]
    grid = Image.open(run / "samples" / "step-000006.png")
    assert grid.size == (10 * 34 - 2, 10 * 34 - 2) and grid.mode == "L"


def test_tensorboard_events(run):
    events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
    tags = set(events.Tags()["tensors"])
    losses = {"d/adversarial", "d/class", "g/adversarial", "g/class", "d/real_logit", "d/fake_logit"}
    assert losses | {"d/gradient_norm", "g/gradient_norm", "d/learning_rate", "g/learning_rate", "speed/images_per_second"} <= tags
    assert events.Tags()["graph"]
    image = tf.make_ndarray(events.Tensors("samples")[-1].tensor_proto)
    assert [int(image[0]), int(image[1])] == [338, 338] and image[2].startswith(b"\x89PNG")
    assert [event.step for event in events.Tensors("samples")] == [4, 6]
    histograms = {tag for tag in tags if tag.endswith("kernel")}
    assert {tag.split("/")[0] for tag in histograms} == {"d_weights", "g_weights"}
    text = tf.make_ndarray(events.Tensors("configuration")[0].tensor_proto).item().decode()
    assert '"latent_dim": 100' in text
    rate = tf.make_ndarray(events.Tensors("g/learning_rate")[-1].tensor_proto)
    assert float(rate) == pytest.approx(zoo.load(run).config.generator_learning_rate)
    layout = layout_pb2.Layout.FromString(tf.make_ndarray(events.Tensors("custom_scalars__config__")[0].tensor_proto).item())
    charted = {tag.strip("^$") for chart in layout.category[0].chart for tag in chart.multiline.tag}
    assert charted <= tags
    hparams = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    session = plugin_data_pb2.HParamsPluginData.FromString(hparams).session_start_info
    assert session.hparams["model"].string_value == "acgan" and session.hparams["batch_size"].number_value == 16
    assert list(run.glob("plugins/profile/*/*.xplane.pb")), "--profile"


def test_curves_are_means_of_their_own_steps(working_directory):
    """Two points of a curve, weighted, are the epoch's mean in metrics.jsonl."""
    argv = ["--model", "gan", *SMALL, *UNSCORED, "--steps", "30", "--eval-every", "30", "--steps-per-execution", "5"]
    assert train.main(argv) == 0
    events = EventAccumulator("runs/gan-digits-0001", size_guidance={"tensors": 0}).Reload()
    points = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors("d/adversarial")]
    assert [step for step, _ in points] == [20, 30]
    mean = (points[0][1] * 20 + points[1][1] * 10) / 30
    row = json.loads(Path("runs/gan-digits-0001/metrics.jsonl").read_text())
    assert mean == pytest.approx(row["d_adversarial"], abs=1e-4)
    assert points[0][1] != pytest.approx(points[1][1], abs=1e-4)


def test_loaded_model_reproduces_the_sample_grid(run):
    model = zoo.load(run)
    images, _ = model.preview(None)
    saved = np.asarray(Image.open(run / "samples" / "step-000006.png"))[:32, :32]
    np.testing.assert_allclose(saved / 255, images[0, ..., 0], atol=1.01 / 255)
    assert model.completed_steps == 6 and zoo.load(run, 4).completed_steps == 4


def test_console_output(working_directory, capsys):
    argv = ["--model", "gan", *SMALL, *UNSCORED, "--steps", "1200", "--eval-every", "200", "--dry-run"]
    assert train.main(argv) == 0
    assert "training   1,200 steps of 16 images, evaluation every 200\n" in capsys.readouterr().out


@pytest.mark.parametrize("settings, warned", [({}, True), ({"final_rate": 0.1}, False), ({"decay_end": 9}, False), ({"steps": 4}, False)])
def test_steps_that_learn_nothing_are_warned_of(capsys, settings, warned):
    model = tiny_model("gan", **{"schedule": "linear", "decay_end": 4, "steps": 8, **settings})
    console.print_plan(registry.get_entry("gan"), model, random_source(model), "float32", "runs/x")
    assert ("the learning rates are 0 from step 4 on" in capsys.readouterr().err) == warned


def test_dry_run_writes_nothing(working_directory, capsys):
    assert train.main([*ACGAN, "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert "batch of image: (16, 32, 32, 1)" in output and "discriminator_widths = (4, 8)" in output
    assert list_files() == []


def test_image_folders_and_numbered_runs(working_directory):
    for i in range(20):
        Image.new("RGB", (12, 10), (i * 10, 0, 0)).save(working_directory / f"{i}.png")
    data = ["--data", f"folder:{working_directory}"]
    for number in ("0001", "0002"):
        assert train.main(["--model", "gan", *SMALL, *UNSCORED, "--steps", "1", *data, "--eval-every", "1"]) == 0
        assert (working_directory / "runs" / f"gan-{working_directory.name}-{number}").is_dir()


def test_one_class(working_directory):
    for i in range(8):
        Path("only").mkdir(exist_ok=True)
        Image.new("L", (16, 16), i * 30).save(f"only/{i}.png")
    small = [word if word != "16" else "4" for word in ACGAN]
    assert train.main([*small, "--steps", "1", "--eval-every", "1", "--data", f"folder:{working_directory}"]) == 0


def test_float16_on_a_cpu_warns(working_directory, capsys):
    assert train.main(["--model", "gan", *SMALL, *UNSCORED, "--precision", "float16", "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("warning: --precision float16 on a CPU") and "mixed_float16" in captured.out
