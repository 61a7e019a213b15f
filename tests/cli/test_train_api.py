"""`zoo.train`: the command line's options as keyword arguments, in a thread, with errors for everything else."""

import inspect
import json
import os
import shlex
import signal
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from command_line import small_gan
from conftest import same_arrays, weights

import zoo
from zoo import UserError, registry
from zoo import __main__ as tool
from zoo.cli import train
from zoo.runs import Run

SMALL = {
    "generator_units": 8,
    "discriminator_units": 4,
    "maxout_pieces": 2,
    "latent_dim": np.int64(4),
    "batch_size": 16,
    "eval_samples": 0,
}
OWN_MODEL = '''"""A model of a user."""

import dataclasses

import zoo
from zoo.core import Game
from zoo.models.gan import GAN, Config


@zoo.register(mygan=Config(batch_size=8))
class MyGAN(GAN):
    """A GAN with a name of its own."""
'''


@pytest.fixture
def own_model(working_directory, monkeypatch):
    """A file that registers `mygan`; the registry forgets it afterwards."""
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_loaded_files", registry._loaded_files.copy())
    Path("mygan.py").write_text(OWN_MODEL)
    return "mygan.py:mygan"


def test_train_returns_the_run_of_the_command_line(working_directory, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/notebook.py", "--unrelated"])
    keras.config.set_dtype_policy("mixed_bfloat16")
    run = zoo.train("gan", steps=6, eval_every=4, run_dir=Path("r"), precision="float32", **SMALL)
    assert keras.config.dtype_policy().name == "mixed_bfloat16", "the host program's own policy"
    assert isinstance(run, Run) and run.folder == working_directory / "r" and run.display_path == Path("r")
    assert (Path("r") / "README.md").exists() and Path("r/export/gan/1").is_dir()
    assert run.record.command == (
        "zoo train --model gan --run-dir r --precision float32 --eval-samples 0 --latent-dim 4 --batch-size 16 --steps 6 --eval-every 4 "
        "--generator-units 8 --discriminator-units 4 --maxout-pieces 2"
    )
    if Run(small_gan()).record.precision == "float32":
        assert same_arrays(weights(zoo.load(run)), weights(zoo.load(small_gan())))


def test_the_recorded_command_asks_for_the_same_training(working_directory):
    run = zoo.train("gan", steps=2, eval_every=1, run_dir="a run", **SMALL, augment=("color", "cutout"), profile=True)
    words = shlex.split(run.record.command)
    words = words[words.index("--model") :]
    words[words.index("--run-dir") + 1] = "again"
    assert train.main(words) == 0
    assert same_arrays(weights(zoo.load("a run")), weights(zoo.load("again")))
    assert Run("again").record.command.replace("again", "'a run'") == run.record.command


def test_train_in_a_thread(working_directory):
    runs, errors = [], []

    def target():
        try:
            runs.append(zoo.train("gan", steps=2, eval_every=1, run_dir="r", **SMALL))
        except BaseException as error:  # noqa: B036 (whatever it is, the test reports it)
            errors.append(error)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=target)
    thread.start()
    thread.join(120)
    assert not errors and runs[0].checkpoints() and zoo.load("r").completed_steps == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_train_resumes(working_directory):
    zoo.train("gan", steps=2, eval_every=2, run_dir="r", **SMALL)
    run = zoo.train(resume=Path("r"), steps=3)
    assert zoo.load(run).completed_steps == 3 and json.loads(Path("r/config.json").read_text())["config"]["steps"] == 3
    with pytest.raises(UserError, match="has completed its 3 steps; to continue: .* --steps 6"):
        zoo.train(resume="r")


def test_an_interrupt_saves_and_is_raised(working_directory):
    def interrupt():
        while not Path("r/metrics.jsonl").exists():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        zoo.train("gan", steps=100_000, eval_every=50, run_dir="r", **SMALL)
    assert 0 < zoo.load("r").completed_steps < 100_000


def test_several_workers_are_for_the_command_line():
    with pytest.raises(UserError, match="zoo train --strategy multi_worker"):
        zoo.train("gan", strategy="multi_worker")


def test_renamed_options_warn(working_directory):
    with pytest.warns(FutureWarning) as warnings:
        zoo.train("gan", steps=1, every=1, run_dir="r", **{**SMALL, "pieces": 2, "scores": 0})
    texts = [str(warning.message) for warning in warnings if warning.category is FutureWarning]
    expected = {"every is deprecated; use eval_every", "pieces is deprecated; use maxout_pieces", "scores is deprecated; use eval_samples"}
    assert expected <= set(texts)
    line = inspect.currentframe().f_code.co_firstlineno + 2  # of the call
    places = {(warning.filename, warning.lineno) for warning in warnings if str(warning.message) in expected}
    assert places == {(__file__, line)}


@pytest.mark.parametrize(
    "options, text",
    [
        ({"stepz": 3}, r"^unknown option 'stepz'; did you mean 'steps'\?$"),
        ({"qq": 3}, r"^unknown option 'qq'\. Available: .*eval_every"),
        ({"labels": 3}, "unknown option 'labels'.*--labels is an option of sgan"),
        ({"steps": "many"}, "steps='many': expected int"),
        ({"steps": 2.5}, "steps=2.5: expected int"),
        ({"steps": True}, "steps=True: expected int"),
        ({"augment": "color"}, "augment='color': expected tuple"),
        ({"precision": "float8"}, "--precision float8: choose from auto, float32"),
        ({"run_dir": 3}, "run_dir=3: expected str"),
        ({"dry_run": True}, "dry_run is an option of the command line only"),
        ({"resume": "nowhere"}, "nowhere is not a run"),
        ({"resume": ""}, "resume is empty"),
        ({"resume": 3}, "resume=3: expected a path"),
        ({"data_dir": ""}, "--data-dir is empty"),
        ({"decay_end": 5}, "--decay-end 5 needs a learning rate that decays"),
    ],
)
def test_bad_options(working_directory, options, text):
    with pytest.raises(UserError, match=text):
        zoo.train("gan", **options)
    assert not list(Path().iterdir())


def test_a_model_is_required():
    with pytest.raises(UserError, match=r"zoo.train needs a model, or resume=RUN\. `zoo list` .* shows all"):
        zoo.train(steps=3)


@pytest.mark.parametrize("model", [3, b"gan", ["gan", "dcgan"]])
def test_the_type_of_a_model_is_checked(model):
    with pytest.raises(UserError, match="^model=.*: expected a name"):
        zoo.train(model)


def test_a_model_of_ones_own(own_model, working_directory, capsys):
    small = ["--generator-units", "8", "--discriminator-units", "4", "--maxout-pieces", "2", "--eval-samples", "0"]
    assert train.main(["--model", own_model, *small, "--steps", "1", "--run-dir", "r"]) == 0
    assert f"--resume r --model {own_model} --steps 2" in capsys.readouterr().out
    record = Run("r").record
    assert record.model == "mygan" and f"--model {own_model}" in record.command and record.options["model"] == own_model
    text = Path("r/README.md").read_text()
    assert f"zoo generate r --count 64 --out samples.png --model {own_model}  # a grid" in text
    assert f'import zoo.registry\n\nzoo.registry.resolve("{own_model}")' in text and 'model = zoo.load("r")' in text
    assert train.main(["--resume", "r", "--model", own_model, "--steps", "2"]) == 0
    assert Run("r").record.command.endswith(f"zoo train --resume r --model {own_model} --steps 2 --eval-every 200")
    assert f"zoo generate r --count 64 --out samples.png --model {own_model}\n" in capsys.readouterr().out


def test_a_run_of_an_unregistered_model(own_model, working_directory, monkeypatch):
    zoo.train(own_model, steps=1, run_dir="r", **SMALL)
    monkeypatch.setattr(registry, "_entries", {name: entry for name, entry in registry._entries.items() if name != "mygan"})
    monkeypatch.setattr(registry, "_loaded_files", type(registry._loaded_files)())
    with pytest.raises(UserError, match="unknown model 'mygan'.*--model mygan.py:mygan"):
        zoo.train(resume="r", steps=2)
    with pytest.raises(UserError, match="the model of r is not registered; pass --model mygan.py:mygan "):
        zoo.load("r")
    run = zoo.train(own_model, resume="r", steps=2)
    assert zoo.load(run).completed_steps == 2


def test_a_recorded_file_is_never_executed(own_model, working_directory):
    run = zoo.train(own_model, steps=1, run_dir="r", **SMALL)
    Path("mygan.py").write_text("raise AssertionError('executed')")
    zoo.load("r")
    assert zoo.train(resume="r", steps=2).model_spec == run.model_spec == own_model, "the model is registered"


def test_an_image_to_image_model_without_metrics_is_trained_without_scores(working_directory, monkeypatch, capsys):
    monkeypatch.setattr(registry.get_entry("srresnet").model, "own_metrics", ())
    run = zoo.train("srresnet", steps=1, eval_every=1, run_dir="r", batch_size=2, width=4, blocks=1)
    assert run.record.options["best"] is None and "scores" not in capsys.readouterr().out
    assert "The model has not been evaluated: it has no metrics." in Path("r/README.md").read_text()
    with pytest.raises(UserError, match="has no metrics of its own"):
        tool.main(["evaluate", "r"])
    with pytest.raises(UserError, match="cannot generate from random noise; apply it: zoo upscale RUN IMAGE OUT.png$"):
        tool.main(["generate", "r"])
