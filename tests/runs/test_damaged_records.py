"""Whatever is in the files of a run, reading them is one line of error or a warning, and never a traceback."""

import json
import os
import random

import pytest

from zoo.conversion import convert_values
from zoo.errors import UserError
from zoo.metrics.extractors.classifier import ExtractorRecord
from zoo.records import build_from, parse_object
from zoo.reports.model_card import is_card_current
from zoo.runs import DataRecord, Run, RunRecord, explain_write_errors, score_points
from zoo.runs.measurements import Row, parse_row
from zoo.types import Protocol

RECORD = RunRecord(
    model="gan",
    config={"image_shape": [28, 28, 1], "num_classes": 10, "steps": 20, "eval_every": 10, "batch_size": 4, "discriminator_steps": 2},
    data=DataRecord("digits", "1", ["0", "1"], None, 10),
    precision="float32",
    replicas=1,
    xla=False,
    options={
        "model": None,
        "data_dir": "/a",
        "eval_samples": 100,
        "feature_extractor": "classifier",
        "best": "frechet",
        "crop": "pad",
        "frames": False,
        "label_file": None,
        "label_key": None,
        "mirror": False,
        "balance": True,
    },
    parameters={"generator": 3},
    versions={"python": "3"},
    zoo_version="0.2.0",
).to_dict()
PROTOCOL = Protocol(data="a 1", fake_images=10, image_shape=(28, 28, 1)).to_dict()
ROW = {"step": 10, "images": 80, "seconds": 1.5, "images_per_second": 2.0, "d_loss": 1.0, "warnings": ["step 10: a"], "diversity": 0.5}
ROW |= {"scores": {"kid": 1.0}, "errors": {"kid": 0.1}, "protocol": PROTOCOL, "evaluated": True, "checkpoint": "last"}
SCORE = {"name": "kid", "value": 1.0, "step": 20, "extractor": None}
EXTRACTOR = {"data": "digits", "shape": [8, 8, 1], "classes": 10, "seed": 0, "rotations": None, "accuracy": 0.9, "sha256": "1a"}
WRONG = (None, True, 3, -1, 1.5, "4", "", [], [1], {}, {"a": 1}, [[]], 2**70, float("nan"), float("inf"))


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(RECORD), encoding="utf-8")
    return Run(tmp_path / "run")


def replace_each(fields, values=WRONG, path=()):
    """Yields (path, copy) with each value of an object replaced by each of `values`, and with each key removed."""
    for name, value in fields.items():
        for other in values:
            yield (*path, name), {**fields, name: other}
        yield (*path, name), {key: value for key, value in fields.items() if key != name}
        if isinstance(value, dict) and value:
            for below, changed in replace_each(value, values, (*path, name)):
                yield below, {**fields, name: changed}


def test_a_record_with_any_wrong_value_is_one_line_that_names_file_and_field(run):
    accepted, refused = set(), set()
    for path, fields in replace_each(RECORD):
        (run.folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
        try:
            assert isinstance(Run(run.folder).record.config, dict)
            accepted.add(path[-1])
        except UserError as error:
            text = str(error)
            assert "config.json" in text and "\n" not in text and len(text) < 500
            assert any(word in text for word in (path[-1], path[0], "newer version", "NaN", "Infinity", "out of range"))
            refused.add(path[-1])
    assert {"model", "config", "data", "precision", "created", "steps", "batch_size", "name", "data_dir", "generator", "python"} <= refused
    assert {"crop", "frames", "label_file", "label_key", "mirror", "balance"} <= refused
    assert "zoo_version" in accepted, "None: it was not recorded"


NO_RECORDS = (
    (b"", "Expecting value"),
    (b"\xff\xfe{", "codec can't decode"),
    (b"[]", "holds a list"),
    (b"null", "holds a NoneType"),
    (b'{"model": "gan", "model": "gan"}', "holds 'model' twice"),
    (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "nested too deeply"),
    (b'{"a": ' + b"9" * 5000 + b"}", "is out of range"),
    (b'{"a": NaN}', "holds NaN"),
    (b'{"a": -Infinity}', "holds -Infinity"),
    (b'{"model": "gan"}', "config is missing"),
    (json.dumps({**RECORD, "model": "../other"}).encode(), "model='../other' is not a name"),
    (json.dumps({**RECORD, "schema": 1, "options": {"best": ["kid"]}}).encode(), "options.best"),
    (json.dumps({**RECORD, "schema": 1, "config": {"optimizer": [], "steps": "x"}}).encode(), "config.steps='x'"),
)


@pytest.mark.parametrize("text, reason", NO_RECORDS, ids=[reason for _, reason in NO_RECORDS])
def test_what_is_no_record_is_explained(run, text, reason):
    (run.folder / "config.json").write_bytes(text)
    with pytest.raises(UserError, match="config.json cannot be read as the record of a run: ") as error:
        Run(run.folder)
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_a_record_that_is_no_file_is_not_waited_for(run):
    (run.folder / "config.json").unlink()
    os.mkfifo(run.folder / "config.json")
    with pytest.raises(UserError, match="not a regular file"):
        Run(run.folder)


def test_accessories_that_are_no_files_are_not_waited_for(run, capsys):
    for name in ("metrics.jsonl", "README.md", "checkpoints/progress.json", "checkpoints/best/score.json"):
        path = run.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert run.rows() == [] and run.best() is None and not is_card_current(run, 4)
    assert "metrics.jsonl cannot be read: not a regular file" in capsys.readouterr().err
    assert run.unfinished_evaluation(4) is not None
    with pytest.raises(UserError, match="cannot write to .*not a regular file"), explain_write_errors(run):
        run.append({"step": 4})
    with pytest.raises(UserError, match="cannot write to .*not a regular file"), explain_write_errors(run):
        run.extend(type("Config", (), {"steps": 4, "eval_every": 2}), 4)


def test_rows_with_any_wrong_value_are_read_in_full_or_skipped(run):
    lines, skipped = [], set()
    for path, fields in replace_each(ROW):
        line = json.dumps(fields).encode()
        try:
            parse_row(line)
            lines.append(line)
        except ValueError as error:
            assert path[-1] in str(error) or path[0] in str(error) or "out of range" in str(error)
            skipped.add(path[-1])
    assert set(ROW) <= skipped, "each field has a type"
    (run.folder / "metrics.jsonl").write_bytes(b"\n".join(lines))
    assert len(run.rows()) == len(lines)
    assert sum(len(points) for scores in score_points(run).values() for points in scores.values())
    assert all(isinstance(row["step"], int) and isinstance(row.get("seconds", 0.0), float) for row in run.evaluations())


def test_damaged_lines_are_skipped_with_one_warning_each(run, capsys):
    whole = [json.dumps({**ROW, "step": step}).encode() for step in (10, 20)]
    damaged = [
        b'\xff\xfe{"ro',
        b"[" * 200_000,
        b'{"step": 15, "ima',
        b"{}",
        b'{"step": true}',
        json.dumps({**ROW, "seconds": "a"}).encode(),
    ]
    (run.folder / "metrics.jsonl").write_bytes(b"\n".join([whole[0], *damaged, whole[1], b"\0" * 512]))
    for _ in range(3):
        assert [row["step"] for row in run.rows()] == [10, 20]
    warnings = capsys.readouterr().err.splitlines()
    assert [text.partition(" is skipped: ")[0].rpartition(" ")[2] for text in warnings] == ["2", "3", "4", "5", "6", "7"]
    assert "seconds='a': expected float" in warnings[-1] and all(text.startswith("warning: ") for text in warnings)
    run.append({"step": 30})
    run.extend(type("Config", (), {"steps": 40, "eval_every": 10}), 20)
    assert (run.folder / "metrics.jsonl").read_bytes() == b"\n".join([*whole, b""]), "the other lines stay as they are"


def test_a_score_with_any_wrong_value_is_no_best_checkpoint(run):
    best = run.folder / "checkpoints" / "best"
    best.mkdir(parents=True)
    for step in (1, 3, 20):
        (best / f"ckpt-{step}.index").touch()
    readable = 0
    for _, fields in replace_each(SCORE):
        (best / "score.json").write_text(json.dumps(fields), encoding="utf-8")
        score = run.best()
        readable += score is not None
        assert score is None or (isinstance(score.value, float) and isinstance(score.name, str))
    assert readable
    (best / "score.json").write_text('{"name": "kid", "value": "low", "step": 20}', encoding="utf-8")
    with pytest.raises(UserError, match=r"checkpoints/best/score.json cannot be read: value='low': expected float"):
        run.find_checkpoints("best")


def test_records_of_extractors_are_typed():
    build_from(ExtractorRecord, EXTRACTOR)
    refused = 0
    for path, fields in replace_each(EXTRACTOR):
        try:
            build_from(ExtractorRecord, parse_object(json.dumps(fields).encode()))
        except ValueError as error:
            refused += 1
            assert path[-1] in str(error) or "NaN" in str(error) or "Infinity" in str(error) or "range" in str(error)
    assert refused > 60


def test_random_damage_is_never_a_traceback(run, capsys):
    rng = random.Random(0)
    config, rows = json.dumps(RECORD).encode(), b"\n".join(json.dumps({**ROW, "step": step}).encode() for step in range(5))
    outcomes = {True: 0, False: 0}
    for _ in range(150):
        damaged = bytearray(rng.choice((config, rows)))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(damaged))
            damaged[place : place + rng.choice((0, 1, 20))] = rng.randbytes(rng.choice((0, 1, 3)))
        name = "config.json" if damaged[:20].find(b"model") >= 0 else "metrics.jsonl"
        (run.folder / name).write_bytes(damaged)
        try:
            read = Run(run.folder)
            read.evaluations()
            score_points(read)
            outcomes[True] += 1
        except UserError as error:
            assert "config.json" in str(error)
            outcomes[False] += 1
        (run.folder / "config.json").write_bytes(config)
    assert min(outcomes.values()) > 10


def test_lists_and_dicts_are_converted_by_their_annotations():
    assert convert_values(Row, {"warnings": ["a"], "scores": {"kid": 1}}) == {"warnings": ["a"], "scores": {"kid": 1.0}}
    for wrong in ({"warnings": "a"}, {"warnings": [1]}, {"scores": []}, {"scores": {"kid": "1"}}):
        with pytest.raises(UserError, match="expected (list|dict)"):
            convert_values(Row, wrong)


@pytest.mark.parametrize("name", ["images", "seconds", "images_per_second", "diversity", "scores_seconds"])
@pytest.mark.parametrize("value", ["Infinity", "1e999", "NaN", "-1"])
def test_amounts_are_finite(name, value):
    line = f'{{"step": 4, "{name}": {value}}}'.encode()
    with pytest.raises(ValueError, match=name):
        parse_row(line)
    assert parse_row(f'{{"step": 4, "{name}": 3}}'.encode())[name] == 3
