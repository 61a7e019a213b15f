"""`zoo data`: what is in a folder or a dataset, as a model would see it."""

import zipfile

import numpy as np
import pytest
from command_line import read_error
from PIL import Image

from zoo import __main__ as tool


def save(path, color, mode="RGB", size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


@pytest.fixture
def folder(working_directory):
    """Classes 1, 2 and 10 in two splits, and what people leave lying around."""
    for split, count in (("train", 3), ("val", 2)):
        for i, name in enumerate(("1", "2", "10")):
            for k in range(count + i):
                save(working_directory / "animals" / split / name / f"{k}.png", (80 * i, 40 * k, 0))
    root = working_directory / "animals"
    (root / "train" / "1" / "notes.txt").write_text("a note")
    (root / "__MACOSX").mkdir()
    save(root / "__MACOSX" / "1.png", "white")
    save(root / "train" / "2" / "deeper" / "x.png", "white", size=(20, 16))
    (root / "train" / "2" / "gone.png").symlink_to("nowhere.png")
    return root


def test_what_is_in_a_folder(folder, capsys):
    assert tool.main(["data", f"folder:{folder}"]) == 0
    out, err = capsys.readouterr()
    lines = [line.strip() for line in out.splitlines()]
    assert "split     train: 13 examples" in lines and "split     test: 9 examples" in lines
    assert {"0 = 1: 3 + 2", "1 = 2: 5 + 3", "2 = 10: 5 + 4"} <= set(lines)
    for text in ("1 of another type (.txt)", "1 behind a broken symbolic link", "2 different sizes"):
        assert text in err, err
    sheet = Image.open("examples.png")
    assert sheet.mode == "RGB" and min(sheet.size) > 200
    colors = {tuple(color) for color in np.asarray(sheet).reshape(-1, 3)}
    assert (160, 0, 0) in colors and (0, 80, 0) in colors


def test_archives_and_models(folder, capsys):
    with zipfile.ZipFile("animals.zip", "w") as archive:
        for file in folder.rglob("*.png"):
            if file.exists():
                archive.write(file, file.relative_to(folder))
    arguments = ["data", "folder:animals.zip", "--model", "acgan", "--image-shape", "8", "8", "1", "--count", "2", "--out", "two.png"]
    assert tool.main(arguments) == 0
    out = capsys.readouterr().out
    assert "keys      image, label; images of 8x8x1" in out and "two.png" in out
    assert Image.open("two.png").size[0] < 200


def test_domains_and_names_in_other_scripts(working_directory, capsys):
    for name in ("trainA/1", "trainA/2", "trainA/3", "trainB/1"):
        save(working_directory / "both" / f"{name}.png", 9)
    assert tool.main(["data", "folder:both", "--model", "cyclegan"]) == 0
    assert "split     train: 3 + 1 examples (x + y)" in capsys.readouterr().out
    sheets = []
    for name in ("\u72ac", "0"):  # the sheet has the number of a class whose name it cannot show
        save(working_directory / f"class{name}" / name / "1.png", 9)
        assert tool.main(["data", f"folder:class{name}", "--model", "acgan"]) == 0
        assert f"0 = {name}: 1" in capsys.readouterr().out
        sheets.append(np.asarray(Image.open("examples.png")))
    np.testing.assert_array_equal(*sheets)


def test_the_sheet_has_a_row_of_poses_per_identity(working_directory):
    for identity in range(9):
        for pose in range(5):
            save(working_directory / "fruits" / f"fruit{identity}" / f"p{pose}.png", (20 * identity, 40 * pose, 9))
    for pose in range(2):  # too few for a row
        save(working_directory / "fruits" / "rare" / f"p{pose}.png", "white")
    assert tool.main(["data", "folder:fruits", "--model", "drgan", "--count", "9"]) == 0
    sheet = np.asarray(Image.open("examples.png"))
    cell, step = 64, (sheet.shape[0] // 3, sheet.shape[1] // 3)
    centers = sheet[cell // 2 :: step[0], cell // 2 :: step[1]].tolist()
    assert centers == [[[20 * identity, 40 * pose, 9] for pose in (0, 2, 4)] for identity in (0, 4, 8)]


def test_built_in_data_and_mistakes(working_directory, capsys):
    assert tool.main(["data", "digits", "--count", "20"]) == 0
    out = capsys.readouterr().out
    assert "split     train: 1,437 examples" in out and "0 = 0: 143 + 35" in out
    assert tool.main(["data", "--model", "drgan", "turned_digits"]) == 0
    assert "poses " in capsys.readouterr().out
    assert "give a name that ends in .png" in read_error(capsys, ["data", "--out", "sheet.jpg"], tool.main)
    assert "--count 0: must be from 1" in read_error(capsys, ["data", "--count", "0"], tool.main)
    assert "digits" in read_error(capsys, ["data", "digit"], tool.main)
    assert "does not exist; give a folder of pictures, or a zip archive" in read_error(capsys, ["data", "folder:nothing"], tool.main)


def test_the_sheet_does_not_become_one_of_the_images(folder, capsys):
    out = str(folder / "train" / "sheet.png")
    assert "is in the image folder and would be read as an image" in read_error(
        capsys, ["data", f"folder:{folder}", "--out", out], tool.main
    )
    assert tool.main(["data", "--model", "pix2pix", "--count", "2"]) == 0  # the built-in pairs
    assert "data      outline_pairs" in capsys.readouterr().out


def test_prepared_examples_are_removed(folder, capsys, monkeypatch):
    from zoo.data import limits

    monkeypatch.setattr(limits, "MEMORY_BYTES", 0)
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder.parent / "tfds"))
    assert tool.main(["data", f"folder:{folder}"]) == 0
    stored = list((folder.parent / "tfds").rglob("arrays.json"))
    assert stored
    capsys.readouterr()
    assert tool.main(["data", "--clear"]) == 0
    assert capsys.readouterr().out.startswith("removed ") and not any(file.exists() for file in stored)
