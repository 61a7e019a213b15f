"""Resuming: bit for bit after whatever ended the run, and with what the printed command says."""

import json
import os
import resource
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from command_line import ACGAN, GAN, ROOT, SMALL, UNSCORED, list_files, read_error, small_acgan, small_gan, start, wait_for
from conftest import same_arrays, weights

import zoo
from zoo import __main__ as tool
from zoo.cli import train
from zoo.cli.request import parse_request
from zoo.cli.session import open_session
from zoo.errors import UserError
from zoo.runs import Run, commands, program_name


@pytest.fixture(scope="module")
def complete():
    return small_gan()


def read_steps(folder):
    return [json.loads(line)["step"] for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


def test_resume_is_bit_exact_for_any_evaluation_interval(complete, working_directory):
    assert train.main(["--model", "gan", *SMALL, *UNSCORED, "--steps", "3", "--eval-every", "2", "--run-dir", "parts"]) == 0
    assert train.main(["--resume", "parts", "--steps", "6"]) == 0
    assert same_arrays(weights(zoo.load(complete)), weights(zoo.load("parts")))
    assert read_steps("parts") == [2, 3, 4, 6]


def test_resume_after_sigkill_is_bit_exact(working_directory):
    argv = ["--model", "gan", *SMALL, *UNSCORED, "--steps", "60", "--eval-every", "5"]
    process = start([*argv, "--run-dir", "killed"], stdout=subprocess.DEVNULL)
    wait_for(lambda: len(list(Path("killed/checkpoints").glob("*.index"))) >= 2)
    process.kill()
    process.communicate()
    assert not Path("killed/export").exists()
    assert train.main(["--resume", "killed"]) == 0
    assert train.main([*argv[:-1], "60", "--run-dir", "complete"]) == 0
    assert same_arrays(weights(zoo.load("complete")), weights(zoo.load("killed")))


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_and_print_how_to_continue(working_directory, capsys, number, status):
    def interrupt():
        wait_for(lambda: Path("r/metrics.jsonl").exists())
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    before = signal.getsignal(number)
    assert train.main(["--model", "gan", *SMALL, *UNSCORED, "--steps", "100000", "--eval-every", "50", "--run-dir", "r"]) == status
    assert signal.getsignal(number) is before
    stderr = capsys.readouterr().err
    completed = zoo.load("r").completed_steps
    assert f"saved after step {completed:,}; to continue: {program_name()} --resume r" in stderr
    assert completed < 100000 and not Path("r/export").exists()
    assert train.main(["--resume", "r", "--steps", str(completed + 3)]) == 0
    assert zoo.load("r").completed_steps == completed + 3


def test_a_run_killed_before_its_first_checkpoint_restarts(complete, working_directory):
    shutil.copytree(complete, "killed")
    for path in ("checkpoints", "export", "samples"):
        shutil.rmtree(Path("killed") / path)
    Path("killed/metrics.jsonl").write_text('{"step": 4, "seco')
    assert train.main(["--resume", "killed"]) == 0
    assert same_arrays(weights(zoo.load(complete)), weights(zoo.load("killed")))


def test_a_longer_run_is_recorded_and_a_missing_export_written(complete, working_directory, capsys):
    """The command that is printed to continue is enough, whatever was changed before."""
    folder = "a run, ckpt-12"
    shutil.copytree(complete, folder)
    assert train.main(["--resume", folder, "--steps", "9", "--eval-every", "3"]) == 0
    assert f"{program_name()} --resume '{folder}' --steps 18" in capsys.readouterr().out
    command = f"\n{program_name()} --resume '{folder}' --steps 9 --eval-every 3"
    assert f"{command}\n" in (Path(folder) / "README.md").read_text()
    record = json.loads(Path(folder, "config.json").read_text())
    assert record["config"]["steps"] == 9 and record["command"].endswith(command)
    assert zoo.load(folder).completed_steps == 9 and zoo.load(folder, 6).completed_steps == 6
    shutil.rmtree(Path(folder, "export", "gan"))
    Path(folder, "export", "gan").mkdir()  # as where the disk was full
    assert train.main(["--resume", folder]) == 0
    assert Path(folder, "export", "gan", "1").is_dir()
    assert json.loads(Path(folder, "config.json").read_text())["command"].count("--resume") == 1


def test_what_a_complete_run_lacks_is_made(complete, working_directory, capsys):
    """As after a kill between the last checkpoint, its line, the export and the card."""
    shutil.copytree(complete, "r")
    metrics, card = Path("r/metrics.jsonl"), Path("r/README.md")
    lines, text = metrics.read_bytes(), card.read_text()
    card.unlink()
    metrics.write_bytes(lines[:-30] + b'\xff\xfe{"ro')
    assert train.main(["--resume", "r"]) == 0
    assert "evaluation of step 6 was not finished" in capsys.readouterr().out
    before, after = (json.loads(content.splitlines()[-1]) for content in (lines, metrics.read_bytes()))
    assert after == before and "6 steps (96 images seen)" in card.read_text() and "stopped before" not in card.read_text()
    assert [path.name for path in Path("r/export/gan").iterdir()] == ["1"], "the export was not made again"
    card.write_text(text.replace("6 steps (", "4 steps ("))  # that of a run before it was made longer
    with open(metrics, "ab") as file:
        file.write(b'{"step": 7, "lo\xff')
    assert train.main(["--resume", "r"]) == 0 and ": 6 steps (" in card.read_text()
    assert "has completed its 6 steps" in read_error(capsys, ["--resume", "r"])


def test_a_run_that_another_process_trains_is_refused(complete, working_directory, capsys):
    shutil.copytree(complete, "r")
    with Run("r").own():
        before = list_files("r")
        for main, argv in ((train.main, ["--resume", "r", "--steps", "9"]), (tool.main, ["export", "r"]), (tool.main, ["evaluate", "r"])):
            assert f"r is in use by process {os.getpid()} on " in read_error(capsys, argv, main)
        assert list_files("r") == before
    request = parse_request(["--resume", "r", "--steps", "9"], "train.py")
    config = Path("r/config.json")
    config.write_text(config.read_text().replace('"steps": 6', '"steps": 8'))
    with pytest.raises(UserError, match="r was changed by another process meanwhile"), open_session(request):
        pass


@pytest.mark.parametrize("program", ["python train.py", "python -m zoo train", "zoo train"])
def test_the_resume_command_is_that_of_the_program(complete, working_directory, capsys, monkeypatch, program):
    monkeypatch.setattr("zoo.runs.commands._program", program)
    assert read_error(capsys, ["--resume", str(complete)]).endswith(f"to continue: {program} --resume {complete} --steps 12")


@pytest.mark.parametrize(
    "script, argv, program",
    [
        (train.script, [str(ROOT / "train.py")], f"python {ROOT / 'train.py'}"),
        (train.script, ["elsewhere/train.py"], "zoo train"),
        (tool.script, ["/usr/bin/zoo", "train"], "zoo train"),
        (lambda: tool.script(commands.MODULE), ["/site-packages/zoo/__main__.py", "train"], "python -m zoo train"),
    ],
)
def test_the_entry_points_set_the_program(working_directory, capsys, monkeypatch, script, argv, program):
    monkeypatch.setattr(commands, "_program", commands.INSTALLED)
    monkeypatch.setattr("sys.argv", [*argv, "--resume"])
    with pytest.raises(SystemExit):
        script()
    assert f"error: which run? {program} --resume runs/NAME" in capsys.readouterr().err


def test_two_replicas(working_directory):
    argv = ["--model", "gan", *SMALL, *UNSCORED, "--eval-every", "2", "--strategy", "mirrored"]
    assert train.main([*argv, "--steps", "4", "--run-dir", "complete"]) == 0
    assert train.main([*argv, "--steps", "2", "--run-dir", "parts"]) == 0
    assert json.loads(Path("parts/config.json").read_text())["replicas"] == 2
    assert train.main(["--resume", "parts", "--steps", "4"]) == 0
    assert same_arrays(weights(zoo.load("complete")), weights(zoo.load("parts")))


def test_a_truncated_checkpoint_falls_back_to_the_previous_one(complete, working_directory, capsys):
    shutil.copytree(complete, "r")
    data = next(Path("r/checkpoints").glob("ckpt-6.data*"))
    data.write_bytes(data.read_bytes()[:1000])
    assert zoo.load("r").completed_steps == 4
    assert "ckpt-6 is damaged" in capsys.readouterr().err
    assert train.main(["--resume", "r", "--steps", "7"]) == 0
    captured = capsys.readouterr()
    assert "using the previous one" in captured.err and "resumed    after step 4" in captured.out
    assert read_steps("r") == [4, 7]


def test_a_full_disk_keeps_the_last_checkpoint(working_directory):
    """A limit on the size of files stands in for a full disk: the second checkpoint does not fit."""
    argv = ["--model", "gan", *SMALL[:-2], *UNSCORED, "--batch-size", "8", "--steps", "4", "--eval-every", "2", "--run-dir", "r"]
    assert train.main(argv) == 0
    largest = max(path.stat().st_size for path in Path("r/checkpoints").iterdir())

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, largest // 2))

    process = start(["--resume", "r", "--steps", "8"], stdout=subprocess.DEVNULL, preexec_fn=limit)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 2, stderr
    last = stderr.strip().splitlines()[-1]
    assert "cannot write to r: File too large" in last and f"python {ROOT / 'train.py'} --resume r" in last and "Traceback" not in stderr
    assert zoo.load("r").completed_steps == 4


def test_other_settings_are_named(working_directory, capsys):
    run = small_acgan()
    before = list_files(run)
    other = "float32" if json.loads((run / "config.json").read_text())["precision"] == "mixed_bfloat16" else "bfloat16"
    error = read_error(capsys, ["--resume", str(run), "--latent-dim", "7", "--seed", "5", "--precision", other])
    for part in ("latent_dim 100 -> 7", "seed 0 -> 5", "precision", "resume it without these options"):
        assert part in error
    assert "steps" not in error
    assert "batch_size 16 -> 5000" in read_error(capsys, ["--resume", str(run), "--batch-size", "5000"]), "and not that it is too large"
    assert "has completed its 6 steps; to continue: " in read_error(capsys, ["--resume", str(run)])
    assert "--model gan: " in read_error(capsys, ["--resume", str(run), "--model", "gan"])
    assert list_files(run) == before


def test_what_is_not_a_run(working_directory, capsys):
    Path("r").mkdir()
    assert "it has no config.json" in read_error(capsys, ["--resume", "r"])
    Path("r/config.json").write_text("{")
    assert "cannot be read" in read_error(capsys, ["--resume", "r"])


def test_an_existing_folder_is_not_overwritten(working_directory, capsys):
    Path("r").mkdir()
    Path("r/precious").write_text("keep")
    error = read_error(capsys, [*GAN, "--run-dir", "r"])
    assert "r already exists" in error and "--resume r" in error
    assert list_files() == ["r", "r/precious"]
    assert "--resume continues" in read_error(capsys, ["--resume", str(small_acgan()), "--run-dir", "r"])


def test_old_names_of_options_resume_too(working_directory, capsys):
    assert train.main([*ACGAN, "--steps", "1", "--run-dir", "r"]) == 0
    capsys.readouterr()
    assert train.main(["--resume", "r", "--steps", "2", "--every", "1"]) == 0
    assert "warning: --every is deprecated; use --eval-every\n" in capsys.readouterr().err
    assert read_steps("r") == [1, 2]


@pytest.mark.parametrize("initial", [None, b"", "intact"])
def test_a_trained_run_without_its_checkpoints_is_refused_and_left_as_it_is(complete, working_directory, capsys, initial):
    """Also if that of the initial weights is left, intact or not."""
    shutil.copytree(complete, "r")
    for path in Path("r/checkpoints").glob("ckpt-*"):
        if initial == "intact" and path.name.startswith("ckpt-6."):
            path.rename(path.with_name(path.name.replace("ckpt-6", "ckpt-0")))
        else:
            path.unlink()
    if initial == b"":
        Path("r/checkpoints/ckpt-0.index").write_bytes(initial)
    before = {path: path.read_bytes() for path in Path("r").rglob("*") if path.is_file() and path.name != ".lock"}
    error = read_error(capsys, ["--resume", "r"])
    assert "r was trained, but its checkpoints are not in r/checkpoints" in error and "put them back to continue" in error
    assert {path: path.read_bytes() for path in Path("r").rglob("*") if path.is_file() and path.name != ".lock"} == before


@pytest.mark.parametrize("left", [0, 700], ids=["empty", "half"])
def test_a_run_killed_in_its_first_checkpoint_starts_over(complete, working_directory, left):
    shutil.copytree(complete, "r")
    for path in ("export", "samples"):
        shutil.rmtree(Path("r") / path)
    for path in [*Path("r/checkpoints").glob("ckpt-*"), Path("r/metrics.jsonl"), Path("r/checkpoints/progress.json")]:
        path.rename("first.data") if path.name == "ckpt-6.data-00000-of-00001" else path.unlink()
    Path("first.data").rename("r/checkpoints/ckpt-0.data-00000-of-00001")
    Path("r/checkpoints/ckpt-0.index").write_bytes(bytes(left))
    Path("r/.writing-abcd1234").mkdir()
    assert train.main(["--resume", "r"]) == 0
    assert same_arrays(weights(zoo.load(complete)), weights(zoo.load("r"))) and not Path("r/.writing-abcd1234").exists()
