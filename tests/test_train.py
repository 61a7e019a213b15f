"""The driver as a user types it: a whole run, its folder, resuming, signals, and every row of the bad-input list."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import same, tiny, weights
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

import train
import zoo
from zoo import __main__ as tool
from zoo import command, runs

ROOT = Path(__file__).parents[1]
SMALL = ["--generator-units", "8", "--discriminator-units", "4", "--pieces", "2", "--latent-dim", "4", "--batch-size", "16"]
UNSCORED = ["--scores", "0"]
GAN = ["--model", "gan", *SMALL, "--steps", "6", "--every", "4", *UNSCORED]
ACGAN = ["--model", "acgan", "--generator-widths", "8", "4", "--discriminator-widths", "4", "8", "--batch-size", "16", *UNSCORED]


def refused(capsys, argv, main=train.main):
    """The one line that is said of a mistake; checks the exit status."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        command.run(lambda: main(argv), "train.py")
    said = capsys.readouterr()
    assert stop.value.code == 2
    lines = said.err.strip().splitlines()
    assert lines[-1].startswith("train.py: error: ") and sum("error:" in line for line in lines) == 1, said.err
    return lines[-1]


def files(folder="."):
    return sorted(str(p) for p in Path(folder).rglob("*"))


# -- a whole run -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Six rounds of a small ACGAN, in a folder of its own."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("whole"))
    try:
        argv = [*ACGAN, "--steps", "6", "--every", "4", "--profile"]
        assert train.main(argv) == 0
        yield Path("runs/acgan-digits-0001").resolve()
    finally:
        os.chdir(here)


def test_a_runs_folder(run):
    record = json.loads((run / "config.json").read_text())
    assert record["model"] == "acgan" and record["config"]["image_shape"] == [32, 32, 1] and record["config"]["num_classes"] == 10
    assert record["data"]["name"] == "digits" and record["data"]["version"] == "1.0.0" and record["precision"]
    assert set(record["versions"]) >= {"tensorflow", "keras", "python"}
    assert sorted(p.name for p in (run / "samples").iterdir()) == ["round-000004.png", "round-000006.png"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["round"] for row in rows] == [4, 6] and [row["images"] for row in rows] == [64, 96]
    assert all(row["seconds"] > 0 and np.isfinite(row["d_class"]) for row in rows)
    assert sorted(p.name for p in (run / "checkpoints").glob("*.index")) == ["ckpt-0.index", "ckpt-4.index", "ckpt-6.index"]
    assert [p.name for p in (run / "export" / "acgan").iterdir()] == ["1"]
    grid = Image.open(run / "samples" / "round-000006.png")
    assert grid.size == (10 * 34 - 2, 10 * 34 - 2) and grid.mode == "L"


def test_tensorboard_events(run):
    events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
    tags = set(events.Tags()["tensors"])
    losses = {"d/adversarial", "d/class", "g/adversarial", "g/class", "d/real_logit", "d/fake_logit"}
    assert losses | {"d/gradient_norm", "g/gradient_norm", "d/learning_rate", "g/learning_rate", "speed/images_per_second"} <= tags
    assert events.Tags()["graph"]
    image = tf.make_ndarray(events.Tensors("samples")[-1].tensor_proto)
    assert [int(image[0]), int(image[1])] == [338, 338] and image[2].startswith(b"\x89PNG")
    assert [e.step for e in events.Tensors("samples")] == [4, 6]
    histograms = {tag for tag in tags if tag.endswith("kernel")}
    assert {tag.split("/")[0] for tag in histograms} == {"d_weights", "g_weights"}
    text = tf.make_ndarray(events.Tensors("configuration")[0].tensor_proto).item().decode()
    assert '"latent_dim": 100' in text
    rate = tf.make_ndarray(events.Tensors("g/learning_rate")[-1].tensor_proto)
    assert float(rate) == pytest.approx(zoo.load(run).config.generator_learning_rate)
    layout = layout_pb2.Layout.FromString(tf.make_ndarray(events.Tensors("custom_scalars__config__")[0].tensor_proto).item())
    drawn = {tag.strip("^$") for chart in layout.category[0].chart for tag in chart.multiline.tag}
    assert drawn <= tags
    hparams = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(hparams).session_start_info
    assert start.hparams["model"].string_value == "acgan" and start.hparams["batch_size"].number_value == 16
    assert list(run.glob("plugins/profile/*/*.xplane.pb")), "--profile"


def test_curves_are_means_of_their_own_rounds(inside):
    """Two points of a curve, weighted, are the epoch's mean that metrics.jsonl holds."""
    assert train.main(["--model", "gan", *SMALL, *UNSCORED, "--steps", "30", "--every", "30", "--steps-per-execution", "5"]) == 0
    events = EventAccumulator("runs/gan-digits-0001", size_guidance={"tensors": 0}).Reload()
    points = [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors("d/adversarial")]
    assert [step for step, _ in points] == [20, 30]
    mean = (points[0][1] * 20 + points[1][1] * 10) / 30
    row = json.loads(Path("runs/gan-digits-0001/metrics.jsonl").read_text())
    assert mean == pytest.approx(row["d_adversarial"], abs=1e-4)
    assert points[0][1] != pytest.approx(points[1][1], abs=1e-4)


def test_the_loaded_model_makes_the_previews_of_training(run):
    game = zoo.load(run)
    images, columns = game.preview(None)
    shown = np.asarray(Image.open(run / "samples" / "round-000006.png"))[:32, :32]
    np.testing.assert_allclose(shown / 255, images[0, ..., 0], atol=1.01 / 255)
    assert int(game.round) == 6 and int(zoo.load(run, 4).round) == 4


def test_generate(run, inside, capsys):
    assert tool.main(["generate", str(run), "--count", "6", "--label", "3", "--seed", "7", "--out", "threes.png"]) == 0
    assert "6 images in threes.png" in capsys.readouterr().out
    grid = np.asarray(Image.open("threes.png"))
    assert grid.shape == (2 * 34 - 2, 3 * 34 - 2)
    expected = zoo.load(run).sample([7, 8], label=[3, 3])[..., 0]
    np.testing.assert_allclose(grid[:32, 34:66] / 255, expected[1], atol=1.01 / 255)
    assert tool.main(["generate", str(run), "--count", "3", "--label", "1", "2", "--out", "each"]) == 0
    assert files("each") == ["each/seed0-label1.png", "each/seed1-label2.png", "each/seed2-label1.png"]


def test_export_writes_the_next_version(run, capsys):
    assert tool.main(["export", str(run), "--checkpoint", "4"]) == 0
    assert capsys.readouterr().out.strip().endswith("export/acgan/2")
    assert "serves version 2" in (run / "README.md").read_text()
    latent = tf.zeros([1, 100]), tf.constant([1], tf.int64)
    two, one = (tf.saved_model.load(str(run / "export" / "acgan" / v)).signatures["serving_default"] for v in ("2", "1"))
    assert np.abs(two(latent=latent[0], label=latent[1])["image"] - one(latent=latent[0], label=latent[1])["image"]).max() > 0
    assert not [p for p in (run / "export" / "acgan").iterdir() if p.name.startswith(".")]


def test_list_and_help(capsys):
    assert tool.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in zoo.names()) and "arXiv:1610.09585" in listed
    for argv in (["--list"], ["--model", "acgan", "--help"], ["--help"]):
        with pytest.raises(SystemExit) as stop:
            train.main(argv)
        assert not stop.value.code
    helped = capsys.readouterr().out
    assert "--generator-widths" in helped and "--dropout" in helped and "--data-dir" in helped


def test_dry_run_writes_nothing(inside, capsys):
    assert train.main([*ACGAN, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "batch of image: (16, 32, 32, 1)" in said and "discriminator_widths = (4, 8)" in said
    assert files() == []


def test_own_pictures_and_numbered_folders(inside):
    for i in range(20):
        Image.new("RGB", (12, 10), (i * 10, 0, 0)).save(inside / f"{i}.png")
    for number in ("0001", "0002"):
        assert train.main(["--model", "gan", *SMALL, *UNSCORED, "--steps", "1", "--data", f"folder:{inside}", "--every", "1"]) == 0
        assert (inside / "runs" / f"gan-{inside.name}-{number}").is_dir()


# -- resume ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Six rounds of a small GAN, looked at after four."""
    folder = tmp_path_factory.mktemp("six") / "whole"
    assert train.main([*GAN, "--run-dir", str(folder)]) == 0
    return folder


def test_a_label_is_refused_where_there_are_no_classes(whole, capsys):
    for label in ("0", "3"):
        said = refused(capsys, ["generate", str(whole), "--label", label], tool.main)
        assert said.endswith("--label: this run's model has no classes; leave it out")


def test_resume_is_bit_exact_whatever_the_looks(whole, inside):
    assert train.main(["--model", "gan", *SMALL, *UNSCORED, "--steps", "3", "--every", "2", "--run-dir", "parts"]) == 0
    assert train.main(["--resume", "parts", "--steps", "6"]) == 0
    assert same(weights(zoo.load(whole)), weights(zoo.load("parts")))
    rounds = [json.loads(line)["round"] for line in Path("parts/metrics.jsonl").read_text().splitlines()]
    assert rounds == [2, 3, 4, 6]


def shell(argv, **kwargs):
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen([sys.executable, str(ROOT / "train.py"), *argv], env=env, stderr=subprocess.PIPE, text=True, **kwargs)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_resume_after_sigkill_is_bit_exact(inside):
    long = ["--model", "gan", *SMALL, *UNSCORED, "--steps", "60", "--every", "5"]
    process = shell([*long, "--run-dir", "killed"], stdout=subprocess.DEVNULL)
    wait_for(lambda: len(list(Path("killed/checkpoints").glob("*.index"))) >= 2)
    process.kill()
    process.communicate()
    assert not Path("killed/export").exists()
    assert train.main(["--resume", "killed"]) == 0
    assert train.main([*long, "--every", "60", "--run-dir", "whole"]) == 0
    assert same(weights(zoo.load("whole")), weights(zoo.load("killed")))


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_and_say_how_to_go_on(inside, capsys, number, status):
    def interrupt():
        wait_for(lambda: Path("r/metrics.jsonl").exists())
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    before = signal.getsignal(number)
    assert train.main(["--model", "gan", *SMALL, *UNSCORED, "--steps", "100000", "--every", "50", "--run-dir", "r"]) == status
    assert signal.getsignal(number) is before
    said = capsys.readouterr().err
    done = int(zoo.load("r").round)
    assert f"saved after round {done:,}; to go on: python train.py --resume r" in said
    assert done < 100000 and not Path("r/export").exists()
    assert train.main(["--resume", "r", "--steps", str(done + 3)]) == 0
    assert int(zoo.load("r").round) == done + 3


def test_a_run_killed_before_its_first_checkpoint_starts_again(whole, inside):
    shutil.copytree(whole, "killed")
    for path in ("checkpoints", "export", "samples"):
        shutil.rmtree(Path("killed") / path)
    Path("killed/metrics.jsonl").write_text('{"round": 4, "seco')
    assert train.main(["--resume", "killed"]) == 0
    assert same(weights(zoo.load(whole)), weights(zoo.load("killed")))


def test_a_longer_run_is_remembered_and_a_missing_export_made(whole, inside, capsys):
    """What is printed as the command to go on is enough, whatever was changed on the way."""
    folder = "a run, ckpt-12"
    shutil.copytree(whole, folder)
    assert train.main(["--resume", folder, "--steps", "9", "--every", "3"]) == 0
    assert f"python train.py --resume '{folder}' --steps 18" in capsys.readouterr().out
    assert f"\npython train.py --resume '{folder}' --steps 9 --every 3\n" in (Path(folder) / "README.md").read_text()
    assert json.loads(Path(folder, "config.json").read_text())["config"]["steps"] == 9
    assert int(zoo.load(folder).round) == 9 and int(zoo.load(folder, 6).round) == 6
    shutil.rmtree(Path(folder, "export", "gan"))
    Path(folder, "export", "gan").mkdir()  # as where the disk was full
    assert train.main(["--resume", folder]) == 0
    assert Path(folder, "export", "gan", "1").is_dir()
    assert json.loads(Path(folder, "config.json").read_text())["command"].count("--resume") == 1


def test_two_replicas_by_the_driver(inside):
    argv = ["--model", "gan", *SMALL, *UNSCORED, "--every", "2", "--strategy", "mirrored"]
    assert train.main([*argv, "--steps", "4", "--run-dir", "whole"]) == 0
    assert train.main([*argv, "--steps", "2", "--run-dir", "parts"]) == 0
    assert json.loads(Path("parts/config.json").read_text())["replicas"] == 2
    assert train.main(["--resume", "parts", "--steps", "4"]) == 0
    assert same(weights(zoo.load("whole")), weights(zoo.load("parts")))


def test_one_class(inside):
    for i in range(8):
        Path("only").mkdir(exist_ok=True)
        Image.new("L", (16, 16), i * 30).save(f"only/{i}.png")
    small = [word if word != "16" else "4" for word in ACGAN]
    assert train.main([*small, "--steps", "1", "--every", "1", "--data", f"folder:{inside}"]) == 0


def test_a_checkpoint_cut_short_falls_back_to_the_one_before(whole, inside, capsys):
    shutil.copytree(whole, "r")
    data = next(Path("r/checkpoints").glob("ckpt-6.data*"))
    data.write_bytes(data.read_bytes()[:1000])
    assert int(zoo.load("r").round) == 4
    assert "ckpt-6 is damaged" in capsys.readouterr().err
    assert train.main(["--resume", "r", "--steps", "7"]) == 0
    said = capsys.readouterr()
    assert "using the one before" in said.err and "resumed    after round 4" in said.out
    rounds = [json.loads(line)["round"] for line in Path("r/metrics.jsonl").read_text().splitlines()]
    assert rounds == [4, 7]


def test_disk_full_while_saving_keeps_the_last_checkpoint(inside):
    """A limit on the size of files stands in for a full disk: the second checkpoint does not fit."""
    argv = ["--model", "gan", *SMALL[:-2], *UNSCORED, "--batch-size", "8", "--steps", "4", "--every", "2", "--run-dir", "r"]
    assert train.main(argv) == 0
    largest = max(p.stat().st_size for p in Path("r/checkpoints").iterdir())

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, largest // 2))

    process = shell(["--resume", "r", "--steps", "8"], stdout=subprocess.DEVNULL, preexec_fn=limit)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 2, said
    assert "r could not be written: File too large" in said.strip().splitlines()[-1] and "--resume r" in said and "Traceback" not in said
    assert int(zoo.load("r").round) == 4


@pytest.mark.parametrize("name", ["dcgan", "pggan"])
@pytest.mark.parametrize("steps, every", [(1200, 200), (3906, 489), (1201, 400)])
def test_a_run_is_played_whole_in_parts_that_share_a_trace(name, steps, every):
    game = tiny(name, image_shape=(32, 32, 1), **({"phase": 100} if name == "pggan" else {}))
    for begin in (0, 350):
        done, traces = begin, {}
        for start, length, count, at_once in runs.phases(begin, steps, every, 8, game.milestones):
            assert start == done and length % at_once == 0
            done += length * count
            stage = sum(milestone <= start for milestone in game.milestones)
            assert stage == sum(milestone < done for milestone in game.milestones)  # none goes on into the next one
            assert count == 1 or length == every and start % every == 0
            traces.setdefault(stage, set()).add(at_once)
        played = {sum(milestone <= number for milestone in game.milestones) for number in range(begin, steps)}
        assert done == steps and {stage: len(each) for stage, each in traces.items()} == dict.fromkeys(played, 1)
    assert [part[3] for part in runs.phases(0, 1200, 200)] == [8] and [part[3] for part in runs.phases(0, 14, 7)] == [7]


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv, parts",
    [
        ([], ["which model?", "acgan"]),
        (["--model", "acgn"], ["no model 'acgn'", "did you mean 'acgan'", "dcgan"]),
        (["--model", "acgan", "--latent-dimm", "3"], ["--latent-dimm", "Perhaps you meant", "--latent-dim"]),
        (["--model", "acgan", "--latent-dim", "x"], ["--latent-dim", "'x'"]),
        (["--model", "gan", "--objective", "hinge"], ["hinge", "minimax"]),
        (["--model", "gan", "--data", "digit"], ["no data set 'digit'", "did you mean 'digits'", "folder:PATH"]),
        (["--model", "gan", "--data", "folder:nowhere"], ["there is no folder", "nowhere; give one"]),
        (["--model", "gan", "--batch-size", "0"], ["--batch-size 0", "more than 0"]),
        (["--model", "gan", "--batch-size", "5000"], ["5000 images", "digits has 1437 to train on; --batch-size 1437 is the most"]),
        (["--model", "gan", "--steps", "-1"], ["--steps -1"]),
        (["--model", "dcgan", "--image-shape", "4", "4", "1"], ["4x4 pixels", "8 to 1024"]),
        (["--model", "dcgan", "--image-shape", "32", "32", "2"], ["2 channels", "1 or 3"]),
        (["--model", "gan", "--seed", "-1"], ["--seed -1"]),
        (["--model", "gan", "--dropout", "1.5"], ["--dropout 1.5", "less than 1"]),
        (["--model", "acgan", "--generator-widths"], ["--generator-widths", "at least one"]),
        (["--model", "acgan", "--num-classes", "3"], ["--num-classes 3", "digits has 10"]),
        (["--model", "acgan", "--num-classes", "12"], ["--num-classes 12", "digits has 10"]),
        (
            ["--model", "gan", "--batch-size", "2048", "--accumulation", "8", "--discriminator-steps", "2"],
            ["takes 4096 images (2 times --batch-size 2048)", "--batch-size 712 is the most"],
        ),
        (["--model", "gan", "--steps-per-execution", "0"], ["--steps-per-execution 0"]),
        (["--model", "gan", "--xla", "on", "--strategy", "mirrored"], ["--xla on", "--strategy none"]),
        (["--model", "pggan", "--image-shape", "24", "24", "1"], ["24x24 pixels", "4x4 by doubling", "--image-shape 16 16 1"]),
        (["--model", "sgan", "--labels", "5"], ["--labels 5", "the 10 classes"]),
        (["--model", "sgan", "--labels", "9999"], ["--labels 9999", "digits has 1437 training images"]),
        (["--model", "autoencoder", "--discriminator-steps", "2"], ["--discriminator-steps", "no discriminator"]),
        (["--model", "vae", "--augment", "color"], ["--augment", "no discriminator"]),
        (["--model", "gan", "--steady", "0.5"], ["--steady", "--schedule linear or cosine"]),
        (["--model", "gan", "--schedule", "linear", "--final-rate", "2"], ["--final-rate 2", "at most 1"]),
        (["--model", "dcgan", "--accumulation", "5"], ["--batch-size 64", "5 parts"]),
        (["--model", "dcgan", "--steady", "1"], ["--steady 1", "less than 1"]),
        (["--model", "dcgan", "--augment", "colour"], ["colour", "color"]),
        (["--model", "dcgan", "--learning-rate-decay", "0"], ["--learning-rate-decay 0", "more than 0"]),
        (["--model", "lsgan_112", "--generator-widths", "8", "8", "8"], ["--generator-widths has 3 numbers", "one less"]),
        (["--model", "r3gan_32", "--widths", "100"], ["--group 16: must divide 200"]),
        (["--model", "sgan_32", "--image-shape", "8", "8", "1"], ["images of 8x8 pixels", "at least 9"]),
        (["--model", "gan", "--data", "cifar10:9.9.9"], ["TFDS cannot open 'cifar10:9.9.9'", "9.9.9"]),
        (["--model", "gan", "--image-shape", "8", "8"], ["--image-shape '8' '8': takes {INT INT INT}", "train.py --model gan --help"]),
        (["--model", "infogan", "--latent-dim", "12"], ["--latent-dim 12", "12"]),
        (["--model", "gan", "--labels", "100"], ["--labels", "--labels is an option of sgan, sgan_32, sgan_mnist"]),
        (["--resume", "nowhere"], ["nowhere is no run"]),
        (["--resume"], ["which run?"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(inside, capsys, argv, parts):
    said = refused(capsys, argv)
    assert all(part in said for part in parts), said
    assert files() == []


@pytest.mark.parametrize("fault", ["no network", "no server"])
def test_a_data_set_that_cannot_be_downloaded(inside, capsys, monkeypatch, fault):
    def fail(*args, **kwargs):
        raise ConnectionError("no route to host")

    if fault == "no network":
        monkeypatch.setattr("socket.getaddrinfo", fail)
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setattr("zoo.data._online", lambda: True)
        monkeypatch.setattr("tensorflow_datasets.core.DatasetBuilder.download_and_prepare", fail)
    said = refused(capsys, ["--model", "gan", "--data", "mnist", "--data-dir", str(inside / "tfds")])
    for part in ("'mnist' is not in", "tfds/mnist/3.0.1", "could not be downloaded", "--data-dir", "Without a download: digits"):
        assert part in said
    assert files() == []


def test_a_data_set_without_labels(inside, capsys):
    for i in range(4):
        Image.new("L", (16, 16)).save(inside / f"{i}.png")
    before = files()
    said = refused(capsys, ["--model", "acgan", "--data", f"folder:{inside}"])
    for part in ("needs label", "has only image", "one folder a class", "zoo list"):
        assert part in said
    assert files() == before


def test_one_picture_is_too_few(inside, capsys):
    Image.new("L", (16, 16)).save(inside / "alone.png")
    said = refused(capsys, ["--model", "gan", "--data", f"folder:{inside}", "--batch-size", "1"])
    assert "has 1 image to train on; at least 2 are needed" in said and files() == ["alone.png"]


def test_an_empty_folder(inside, capsys):
    assert "no pictures in" in refused(capsys, ["--model", "gan", "--data", f"folder:{inside}"])


def test_a_run_folder_that_exists(inside, capsys):
    Path("r").mkdir()
    Path("r/precious").write_text("keep")
    said = refused(capsys, [*GAN, "--run-dir", "r"])
    assert "r exists" in said and "--resume r" in said
    assert files() == ["r", "r/precious"]


def test_resume_with_other_settings_names_the_fields(run, inside, capsys):
    before = files(run)
    other = "float32" if json.loads((run / "config.json").read_text())["precision"] == "mixed_bfloat16" else "bfloat16"
    said = refused(capsys, ["--resume", str(run), "--latent-dim", "7", "--seed", "5", "--precision", other])
    for part in ("latent_dim 100 -> 7", "seed 0 -> 5", "precision", "resume without them"):
        assert part in said
    assert "steps" not in said
    assert "batch_size 16 -> 5000" in refused(capsys, ["--resume", str(run), "--batch-size", "5000"]), "and not that it is too large"
    assert "--steps 12" in refused(capsys, ["--resume", str(run)]), "nothing is left to play"
    assert files(run) == before


def test_resume_of_what_is_no_run(inside, capsys):
    Path("r").mkdir()
    assert "it has no config.json" in refused(capsys, ["--resume", "r"])
    Path("r/config.json").write_text("{")
    assert "cannot be read" in refused(capsys, ["--resume", "r"])


def test_float16_on_a_cpu_warns(inside, capsys):
    assert train.main([*GAN, "--precision", "float16", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("warning: --precision float16 on a CPU") and "mixed_float16" in said.out


@pytest.mark.parametrize(
    "argv, parts",
    [
        (["generate", "nowhere"], ["nowhere is no run"]),
        (["generate"], ["run"]),
        (["generat", "x"], ["generat", "generate"]),
        (["export", "RUN", "--checkpoint", "5"], ["no checkpoint 5", "4", "6"]),
        (["generate", "RUN", "--label", "10"], ["--label 10", "classes 0 to 9"]),
        (["generate", "RUN", "--count", "0"], ["--count 0"]),
        (["generate", "RUN", "--cout", "3"], ["--count INT", "all options: zoo generate --help"]),
        (["generate", "RUN", "--label", "a"], ["--label 'a': takes {[INT", "all options: zoo generate --help"]),
        (["generate", "RUN", "--columns", "0"], ["--columns 0"]),
        (["generate", "RUN", "--truncation", "0"], ["--truncation 0.0", "more than 0"]),
        (["generate", "RUN", "--truncation", "-1"], ["--truncation -1.0", "more than 0"]),
        (["generate", "RUN", "--truncation", "1"], ["--truncation", "not made for it", "biggan"]),
        (["evaluate", "RUN", "--truncation", "nan"], ["--truncation nan", "more than 0"]),
    ],
)
def test_bad_input_of_the_tool(run, inside, capsys, argv, parts):
    said = refused(capsys, [str(run) if word == "RUN" else word for word in argv], tool.main)
    assert all(part in said for part in parts), said
    assert files() == []


def test_a_bug_is_a_traceback():
    with pytest.raises(ZeroDivisionError):
        command.run(lambda: 1 / 0, "train.py")
