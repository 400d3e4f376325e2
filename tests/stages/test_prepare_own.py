"""``aligndiff prepare own`` as a command: what is said, recorded, refused, and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from aligndiff_cli.disk.images import read_mask
from aligndiff_cli.engine.manifest import read_records
from aligndiff_cli.engine.status import look
from tests.datasets import annotated
from tests.models.sams import save_sam
from tests.stages.test_prepare import run, tree


def test_what_was_done_is_told_recorded_and_not_done_twice(tmp_path: Path) -> None:
    path, out = annotated.as_coco(tmp_path / "in"), tmp_path / "out"
    flags = ["own", "--annotations", path, "--classes", "dog,cat", "--shots", 1, "--out", out]
    said = run(*flags)
    assert "COCO: 3 classes, 6 pictures" in said
    assert "class objects support of these clean query" in said
    assert "dog 5 1 1 3 cat 2 1 1 1 base: 1 pictures of other classes" in said
    assert f"Picture: {out / 'pictures' / 'support.png'}" in said
    recorded = yaml.safe_load((out / "run.yaml").read_text())
    assert recorded["options"]["classes"] == "dog,cat"
    assert recorded["inputs"] == {"annotations": "../in/annotations/instances_default.json"}
    records = read_records(out)
    assert set(records) == {f"{part}/{pair}" for part, pair in [("support", "dog/a"), ("support", "cat/e")]} | {
        f"query/{pair}" for pair in ("dog/b", "dog/c", "dog/d", "cat/b")
    }
    chosen = records["support/dog/a"]
    assert chosen.parameters == {"picture": "a.jpg", "flaws": [], "rank": 1}
    assert chosen.measured["objects"] == 1
    assert look(out).done == 6
    before = tree(out)
    assert "Already there. Next: aligndiff invert" in run(*flags)
    assert tree(out) == before
    path.write_text(path.read_text().replace("dog", "fox"))
    assert "was made with annotations_digest" in run(*flags, code=1)
    assert tree(out) == before


def test_forced_it_makes_another_choice(tmp_path: Path) -> None:
    path, out = annotated.as_coco(tmp_path / "in"), tmp_path / "out"
    flags = ["own", "--annotations", path, "--out", out]
    run(*flags, "--classes", "dog,cat", "--shots", 1)
    assert "was made with shots = 1, now it is 2" in run(*flags, "--classes", "dog,cat", "--shots", 2, code=1)
    run(*flags, "--classes", "dog", "--shots", 2, "--force")
    run(*flags[:-1], tmp_path / "fresh", "--classes", "dog", "--shots", 2)
    for part in ("support", "support_labels", "query"):
        names = [
            {str(p.relative_to(root / part)) for p in (root / part).rglob("*")} for root in (out, tmp_path / "fresh")
        ]
        assert names[0] == names[1]
    assert set(read_records(out)) == set(read_records(tmp_path / "fresh"))


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    path = annotated.as_labelme(tmp_path / "in")
    (path / "f.jpg").unlink()
    said = run("own", "--annotations", path, "--classes", "dog", "--out", tmp_path / "out", code=1)
    assert "Skipped" in said
    assert "its picture 'f.jpg' is not there" in said
    assert "left out times picture not found 1" in said
    assert "f.jpg" in (tmp_path / "out" / "failures.jsonl").read_text()


@pytest.mark.parametrize(
    ("flags", "message", "code"),
    [
        ([], "own needs --annotations", 2),
        (["--annotations", "in"], "own needs --classes", 2),
        (["--annotations", "in", "--classes", "cow"], "there is no class 'cow' There are: cat, dog, tea_pot", 2),
        (["--annotations", "none", "--classes", "cow"], "there is no such file or folder", 1),
        (["--annotations", "in", "--classes", "dog", "--images", "none"], "there is no such folder", 2),
        (["--annotations", "in", "--classes", "dog", "--root", "in"], "--root has no meaning for own", 2),
        (["--annotations", "in", "--classes", "dog", "--device", "cpu"], "--device has no meaning without --boxes", 2),
        (["--annotations", "in", "--classes", "dog", "--boxes", "none"], "no such model folder", 1),
        (["--annotations", "in", "--classes", "dog", "--out", "in/out"], "--out", 2),
    ],
)
def test_what_cannot_be_meant(
    flags: list[str], message: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    annotated.as_yolo(tmp_path / "in")
    out = [] if "--out" in flags else ["--out", "out"]
    assert message in run("own", *flags, *out, code=code).replace("│ ", "")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_boxes_become_masks_by_a_sam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random network: what it answers lies in the box, is recorded, and is not asked for twice."""
    from aligndiff_cli.models.sam import Sam

    sam = save_sam("sam2", tmp_path / "sam")
    asked = []
    boxed = Sam.boxed

    def counted(self: Sam, image: np.ndarray, boxes: list) -> list[np.ndarray]:
        """Of a random network an answer may be empty: the middle of the box is always in it."""
        asked.append(len(boxes))
        masks = boxed(self, image, boxes)
        for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
            mask[int(top + bottom) // 2, int(left) + 1 : int(right) - 1] = True
        return masks

    monkeypatch.setattr(Sam, "boxed", counted)
    path, out = annotated.as_yolo(tmp_path / "in", form="box"), tmp_path / "out"
    flags = ["own", "--annotations", path, "--classes", "dog", "--boxes", sam, "--device", "cpu", "--out", out]
    run(*flags)
    mask = read_mask(out / "support" / "dog" / "a_mask.png")
    inside_box = annotated.box(40, 60, 10, 10, 30, 40)
    assert mask.any()
    assert not (mask & ~inside_box).any()
    assert sum(asked) == 9  # objects in all pictures
    assert yaml.safe_load((out / "run.yaml").read_text())["models"]["sam"]["source"] == str(sam)
    assert read_records(out)["support/dog/a"].parameters["flaws"] == ["box"]
    before = tree(out)
    (out / ".unfinished").touch()
    assert "Made." in run(*flags)
    assert sum(asked) == 9
    assert {n: c for n, (_, c) in tree(out).items()} == {n: c for n, (_, c) in before.items()}
