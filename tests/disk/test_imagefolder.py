"""Hugging Face's imagefolder form, read by hand and by the reader it is meant for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from aligndiff_cli.disk import imagefolder

NAMES = ["café", "chess queen", "either|or"]


def labels_of(number: int) -> np.ndarray:
    labels = np.zeros((9, 14), np.uint8)
    labels[2:5, 3 + number : 9] = 1 + number % 2
    labels[8] = 255
    return labels


def write(root: Path, count: int = 3) -> Path:
    """A data set of non-square pictures, the first without an object."""
    for number in range(count):
        labels = labels_of(number) if number else np.zeros((9, 14), np.uint8)
        imagefolder.write_item(root, f"s{number}", np.full((9, 14, 3), 60 * number, np.uint8), labels)
    shown = [(f"s{number}", [0, 1 + number % 2, 255] if number else [0]) for number in range(count)]
    imagefolder.write_metadata(root, shown, NAMES)
    imagefolder.write_names(root, NAMES)
    imagefolder.write_card(root, "A set: of things", "How it was made.", NAMES, {"train": count})
    return root


def test_metadata_names_both_files_relative_to_itself(tmp_path: Path) -> None:
    root = write(tmp_path)
    rows = [json.loads(line) for line in (root / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    assert list(rows[1]) == ["file_name", "mask_file_name", "classes"]
    assert [row["classes"] for row in rows] == [[], ["chess queen"], ["café"]]
    for number, row in enumerate(rows[1:], start=1):
        with Image.open(root / "train" / row["mask_file_name"]) as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.asarray(picture), labels_of(number))
        assert (root / "train" / row["file_name"]).is_file()
    names = json.loads((root / "id2label.json").read_text(encoding="utf-8"))
    assert names == {"0": "background", "1": "café", "2": "chess queen", "3": "either|or"}


def test_the_card_is_yaml_for_programs_and_leaves_the_licence_open(tmp_path: Path) -> None:
    _, front, text = (write(tmp_path) / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    header = yaml.safe_load(front)
    assert header["pretty_name"] == "A set: of things"
    assert header["size_categories"] == ["n<1K"]
    assert "license" not in header
    assert "add `license:`" in text
    assert "| 2 | chess queen |" in text
    assert "| 3 | either\\|or |" in text
    assert "How it was made." in text


@pytest.mark.parametrize(
    ("items", "word"), [(999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (100_000, "100K<n<1M")]
)
def test_size_categories(items: int, word: str) -> None:
    assert imagefolder.size_category(items) == word
    assert imagefolder.size_category(10**7) == "n>1M"


@pytest.mark.parametrize("by_card", [False, True])
def test_datasets_opens_pictures_and_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_card: bool) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    root = write(tmp_path / "set")
    for name in ("run.yaml", "manifest.jsonl", ".lock"):
        (root / name).write_text("{}\n")
    (root / "pictures").mkdir()
    Image.new("RGB", (5, 4)).save(root / "pictures" / "scenes.png")
    source = {"path": str(root)} if by_card else {"path": "imagefolder", "data_dir": str(root)}
    found = datasets.load_dataset(**source, split="train", cache_dir=str(tmp_path / "cache"))
    assert found.column_names == ["image", "mask", "classes"]
    assert found["classes"][:] == [[], ["chess queen"], ["café"]]
    assert len(found) == 3
    assert found[2]["image"].size == (14, 9)
    assert np.asarray(found[2]["image"]).mean() == pytest.approx(120, abs=1)
    np.testing.assert_array_equal(np.asarray(found[2]["mask"]), labels_of(2))
