"""Preparing data and training extractors in several processes at once: one does it, the others wait for it."""

import re
import threading
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from zoo import data
from zoo.errors import UserError
from zoo.locks import hold_lock
from zoo.metrics import load_extractor
from zoo.metrics.extractors import small_classifier


def run_twice(function):
    """The results of two threads that run a function at once."""
    results = []
    threads = [threading.Thread(target=lambda: results.append(function())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_data_are_prepared_once(tmp_path, monkeypatch, capsys):
    prepare, calls = tfds.core.DatasetBuilder.download_and_prepare, []

    def count(builder):
        calls.append(builder)
        time.sleep(0.2)
        prepare(builder)

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", count)
    (tmp_path / "photographs" / "incomplete.ABCDEF_1.0.0").mkdir(parents=True)  # of a process that was killed
    sources = run_twice(lambda: data.open_source("photographs", tmp_path, keys=("picture",)))
    assert [source.sizes for source in sources] == [{"train": 4, "test": 2}] * 2 and len(calls) == 1
    assert [path.name for path in (tmp_path / "photographs").iterdir()] == ["1.0.0"]
    assert re.match("waiting for (process|another process)", capsys.readouterr().err)  # whose number may not be written yet


def test_prepared_data_are_read_while_the_lock_is_held(tmp_path, capsys):
    data.open_source("photographs", tmp_path, keys=("picture",))
    with hold_lock(tmp_path / ".photographs.lock"):
        assert data.open_source("photographs", tmp_path, keys=("picture",)).sizes == {"train": 4, "test": 2}
    assert not capsys.readouterr().err


def test_an_extractor_is_trained_once(tmp_path, monkeypatch, capsys):
    arrays, calls = {"image": np.zeros((32, 12, 10, 1), np.uint8)}, []
    source = data.Source("n", "0", (12, 10, 1), {"train": 32}, None, lambda split: arrays)
    network = small_classifier.build_classifier((10, 10, 1), 4)

    def count(*args):
        calls.append(args)
        time.sleep(0.2)
        return network

    monkeypatch.setattr(small_classifier, "train_classifier", count)
    first, second = run_twice(lambda: load_extractor("classifier", source, tmp_path, str))
    assert first.sha256 == second.sha256 and len(calls) == 1
    assert "which trains the feature extractor" in capsys.readouterr().err


def test_an_extractor_of_the_read_only_cache_is_used(tmp_path, monkeypatch):
    """Runs with `--data-dir` of one's own have their extractor there."""
    arrays = {"image": np.zeros((32, 12, 10, 1), np.uint8)}
    fields = ("n", "0", (12, 10, 1), {"train": 32}, None, lambda split: arrays)
    monkeypatch.setattr(small_classifier, "train_classifier", lambda *args: small_classifier.build_classifier((10, 10, 1), 4))
    trained = load_extractor("classifier", data.Source(*fields, cache_dir=str(tmp_path / "a")), log=str)
    resumed = data.Source(*fields, cache_dir=str(tmp_path / "b"), read_only_cache_dir=str(tmp_path / "a"))
    assert load_extractor("classifier", resumed, log=pytest.fail).sha256 == trained.sha256
    assert not (tmp_path / "b").exists()


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / "file").touch()
    data.open_source("photographs", tmp_path / "file" / "below", keys=("picture",))
    error = capsys.readouterr().err
    assert "warning: photographs cannot be written to" in error and f"it is written to {tmp_path}/zoo-data-" in error
    with pytest.raises(UserError, match="unknown dataset"):
        data.open_source("photograph", tmp_path / "file" / "below")
