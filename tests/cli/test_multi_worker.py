"""Two and three workers on this machine: they compute what one process does, end together, and resume after one was lost."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from command_line import GAN, ROOT, read_error, wait_for
from equal_steps import train_alone

import zoo
from zoo import __main__ as tool
from zoo.cli import launch, train
from zoo.cli.launch import Launch
from zoo.training.cluster import LostWorkerError
from zoo.training.local_workers import LocalWorkers, build_environments

SECONDS = 300  # after which a hanging process fails the test
KINDS = ("gan", "acgan", "pggan", "cyclegan", "drgan")  # one of each kind
FADE = 3  # steps after which pggan fades in a stage
LENGTH = ["--precision", "float32", "--steps", "96", "--eval-every", "8", "--steps-per-execution", "2"]
TRAIN = ["train", *(word.replace("16", "12") for word in GAN[: GAN.index("--steps")]), *LENGTH, "--eval-samples", "0"]  # of 12 images each


@pytest.fixture
def started(monkeypatch):
    """The workers that are started, each with its number; none is left behind, and what hangs is killed."""
    workers = []

    class Recorded(LocalWorkers):
        def __init__(self, count):
            super().__init__(count)
            workers.append(self)

    def kill():
        for process in (process for one in workers for process in one.processes):
            process.kill()

    monkeypatch.setattr(launch, "LocalWorkers", Recorded)
    timer = threading.Timer(SECONDS, kill)
    timer.start()
    yield workers
    timer.cancel()
    kill()


def signal_later(started, number, worker, folder, step=8):
    """Sends a signal to a worker once a checkpoint is there."""

    def send():
        wait_for(lambda: (folder / f"checkpoints/ckpt-{step}.index").exists(), SECONDS)
        started[0].processes[worker].send_signal(number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def final_weights(folder):
    model = zoo.load(folder)
    return [np.asarray(weight) for weight in model.weights]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert train.main([*TRAIN[1:], "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The run of two workers, started from the command line."""
    folder = tmp_path_factory.mktemp("together") / "run"
    assert tool.main(["launch", "--workers", "2", "--", *TRAIN, f"--run_dir={folder}"]) == 0
    return folder


@pytest.mark.parametrize("count, names", [(2, KINDS[:3]), (2, KINDS[3:]), (3, KINDS[:1])])
def test_workers_compute_what_one_process_does(tmp_path, count, names):
    """Data, noise, gradients and statistics are those of the global batch, and all workers end with the same weights."""
    command = [sys.executable, str(Path(__file__).with_name("equal_steps.py")), str(tmp_path), str(FADE), *names]
    assert LocalWorkers(count).run(command, fatal=1) == [0] * count
    for name in names:
        expected = train_alone(name, FADE)
        results = [dict(np.load(tmp_path / f"{name}-{index}.npz")) for index in range(count)]
        for player in "gd":
            scale = max(np.abs(value).max() for key, value in expected.items() if key.startswith(player))
            for key in (key for key in expected if key.startswith(player)):
                np.testing.assert_allclose(results[0][key] / scale, expected[key] / scale, atol=5e-3, err_msg=f"{name} {key}")
        for other in results[1:]:
            assert all(np.array_equal(results[0][key], other[key]) for key in expected), name


@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_worker_is_named_and_all_continue(tmp_path, started, capfd, together, lost):
    """After the restart the run has the same weights as one that was never interrupted, bit for bit."""
    folder = tmp_path / "run"
    thread = signal_later(started, signal.SIGKILL, lost, folder)
    assert Launch((*TRAIN, "--run-dir", str(folder)), restarts=1)() == 0
    thread.join()
    output = capfd.readouterr()
    assert f"[{1 - lost}] zoo: error: worker {lost} (localhost:" in output.err and "is gone" in output.err
    assert f"zoo launch: lost worker {lost} (killed by SIGKILL); restart 1 of 1" in output.err
    assert "[0] resumed    after step" in output.out and started[0].processes[1 - lost].returncode == LostWorkerError.exit_status
    for first, second in zip(final_weights(together), final_weights(folder), strict=True):
        np.testing.assert_array_equal(first, second)


def test_without_restarts_the_status_is_that_of_a_lost_worker(tmp_path, started, capfd):
    """While the chief computes scores, as by default."""
    scored = [word for word in TRAIN if word not in ("--eval-samples", "0")]
    thread = signal_later(started, signal.SIGKILL, 1, tmp_path / "run")
    assert Launch((*scored, "--eval-samples", "20", "--run-dir", str(tmp_path / "run")))() == LostWorkerError.exit_status == 4
    thread.join()
    output = capfd.readouterr()
    assert "zoo launch: lost worker 1 (killed by SIGKILL); no restart is left" in output.err and "frechet" in output.out


def test_a_signal_at_any_worker_ends_all_and_the_run_resumes_on_another_number(tmp_path, started, alone, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thread = signal_later(started, signal.SIGTERM, 1, Path("run"))
    assert Launch((*TRAIN, "--run-dir", "run"))() == 128 + signal.SIGTERM
    thread.join()
    assert [process.returncode for process in started[0].processes] == [128 + signal.SIGTERM] * 2  # the chief has saved
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert 8 <= rows[-1]["step"] < 96 and Path(f"run/checkpoints/ckpt-{rows[-1]['step']}.index").exists()
    shutil.copytree("run", "three")
    assert train.main(["--resume", "run"]) == 0
    assert Launch(("train", "--resume", "three"), workers=3)() == 0
    for folder in ("run", "three"):
        for first, second in zip(final_weights(alone), final_weights(folder), strict=True):
            np.testing.assert_allclose(first, second, atol=2e-3)


def config(index, *ports):
    return json.dumps({"cluster": {"worker": [f"localhost:{port}" for port in ports]}, "task": {"type": "worker", "index": index}})


def start(arguments, tf_config):
    command = [sys.executable, str(ROOT / "train.py"), *arguments, "--strategy", "multi_worker"]
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_CONFIG": tf_config}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_worker_that_starts_late_is_waited_for(free_ports):
    processes = [start([*GAN, "--dry-run"], config(0, *free_ports))]
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            processes[0].wait(15)
        processes.append(start([*GAN, "--dry-run"], config(1, *free_ports)))
        outputs = [process.communicate(timeout=SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    assert "2 workers" in outputs[0] and "batch of image" in outputs[0]
    assert outputs[1].startswith("worker 1 of 2 (localhost:") and outputs[1].count("\n") == 1


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        process = start(GAN, config(0, taken.getsockname()[1]))
        try:
            errors = process.communicate(timeout=SECONDS)[1].strip().splitlines()
        finally:
            process.kill()
    assert process.returncode == 2 and "its port is taken" in errors[-1] and len(errors) == 1, errors


@pytest.fixture
def free_ports():
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("localhost", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.mark.parametrize("text, message", [("{", "TF_CONFIG='{': expected"), (config(2, 1, 2), "the task is worker 2")])
def test_a_wrong_tf_config_is_one_line(monkeypatch, capsys, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    assert message in read_error(capsys, [*GAN, "--strategy", "multi_worker"])


def test_a_mistake_is_one_line_for_all_workers(started, capfd):
    assert tool.main(["launch", "--workers", "2", "--", "train", "--model", "acgann"]) == 2
    errors = capfd.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and "did you mean 'acgan'" in errors[0]
    assert not Path("runs/acgann-0001").exists()


SCRIPT = """
import json, os, signal, sys, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
print("of all", file=sys.stderr)
print("of", index, file=sys.stderr, flush=True)
print("threads", os.environ["TF_NUM_INTRAOP_THREADS"], flush=True)
if "fail" in sys.argv and index == 1:
    sys.exit(2)
time.sleep(60)
"""


def test_signals_are_forwarded_and_lines_are_numbered(capfd):
    workers = LocalWorkers(2)

    def end():
        wait_for(lambda: {"of 0\n", "of 1\n"} <= set(workers._printed), SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end).start()
    assert workers.run([sys.executable, "-c", SCRIPT], fatal=2) == [143, 143] and workers.signal == signal.SIGTERM
    output = capfd.readouterr()
    threads = max(1, os.cpu_count() // 2)
    assert sorted(output.out.splitlines()) == [f"[0] threads {threads}", f"[1] threads {threads}"]
    assert len(output.err.splitlines()) == 3 and {"[0] of 0", "[1] of 1"} < set(output.err.splitlines())


def test_an_error_that_ends_all_kills_the_others():
    assert LocalWorkers(2).run([sys.executable, "-c", SCRIPT, "fail"], fatal=2) == [None, 2]


def test_gpus_are_shared(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5,7")
    assert [one["CUDA_VISIBLE_DEVICES"] for one in build_environments(2)] == ["0,2", "5,7"]
    with pytest.raises(zoo.UserError, match="5 workers cannot share 4 GPUs"):
        build_environments(5)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" not in build_environments(2)[0]


def test_a_folder_is_recognized_in_any_spelling(monkeypatch, tmp_path):
    """No other folder is made for the run."""
    monkeypatch.chdir(tmp_path)
    trainings = []
    monkeypatch.setattr(LocalWorkers, "run", lambda self, command, fatal: trainings.append(command) or [0, 0])
    for words in (["--run-dir", "a_b"], ["--run-dir=a_b"], ["--run_dir=a_b"], ["--resume", "a_b"]):
        assert Launch(("train", *words))() == 0
    assert [words[words.index("train") + 1] for words in trainings] == [
        "--run-dir",
        "--run-dir=a_b",
        "--run-dir=a_b",
        "--resume",
    ] and not list(tmp_path.iterdir())
    assert Launch(("train", "--model", "a.py:mygan", "--data", "folder:my pictures"))() == 0
    assert trainings[-1][-2:] == ["--run-dir", "runs/mygan-my-pictures-0001"] and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "command, options, message",
    [
        (("list",), {}, "type: zoo launch --workers 2 -- train"),
        ((), {}, "type: zoo launch --workers 2 -- train"),
        (("train",), {"workers": 0}, "--workers 0: must be from 1 to 64"),
        (("train",), {"restarts": -1}, "--restarts -1: must be at least 0"),
        (("train", "--strategy", "mirrored"), {}, "--strategy mirrored: zoo launch starts several workers"),
    ],
)
def test_what_cannot_be_launched_is_refused(command, options, message):
    with pytest.raises(zoo.UserError, match=message):
        Launch(command, **options)()


@pytest.mark.parametrize("words", [["--", "train"], ["train"]])
def test_the_command_line(monkeypatch, words):
    launched = []
    monkeypatch.setattr(Launch, "__call__", lambda self: launched.append(self) or 0)
    assert tool.main(["launch", "--workers", "3", *words, "--model", "gan", "--workers", "x"]) == 0
    assert launched == [Launch(("train", "--model", "gan", "--workers", "x"), workers=3)]


def test_a_mistyped_option_is_suggested(capsys):
    message = read_error(capsys, ["launch", "--restart", "3", "--", "train", "--model", "gan"], tool.main)
    assert "unknown option --restart; did you mean --restarts?" in message
