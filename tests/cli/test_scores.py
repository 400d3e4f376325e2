"""Scores, marks, diversity and near-duplicates of generated pictures, through the command line on tiny models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from aligndiff_cli.disk.images import read_image
from aligndiff_cli.engine.manifest import Record, read_records
from aligndiff_cli.models.clip import BATCH, Clip, load_clip
from aligndiff_cli.stages.scoring import batches
from tests.cli.conftest import Run
from tests.cli.world import World, draw_bank
from tests.models.clips import KINDS, save_clip

pytestmark = pytest.mark.slow

SIZE = 6
ATTENTION = ("--segmenter", "attention")


@pytest.fixture(scope="module", params=KINDS)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def generate(world: World) -> Callable[..., list[object]]:
    draw_bank(world / "bank", world.model)
    sizes = ("--per-class", SIZE, "--steps", 1, "--batch", 2, "--height", 24, "--width", 32)
    return lambda *more: ["generate", "--bank", world / "bank", "--out", world / "synth", *sizes, *more]


def drawn(world: World) -> dict[str, Record]:
    return read_records(world / "synth")


def middle(world: World, figure: str) -> float:
    """A threshold that marks some and not others."""
    values = sorted(record.measured[figure] for record in drawn(world).values())
    return (values[len(values) // 2 - 1] + values[len(values) // 2]) / 2


def test_both_scores_are_the_cosines(world: World, run: Run, generate, network: Path) -> None:
    shown = run(*generate("--clip", network)).output
    assert "clip score  real score  marked" in shown
    clip = load_clip(network)
    real = read_image(world / "support" / "dog" / "01.jpg")
    for item_id in ("dog/inverted-0001", "dog/text-0002"):
        record = drawn(world)[item_id]
        image = clip.images([read_image(world / "synth" / "images" / f"{item_id}.png")])[0]
        assert record.measured["clip_score"] == pytest.approx(float(image @ clip.text("a photo of a dog")), abs=1e-4)
        windows = [float(clip.images([real[:, left : left + 36]])[0] @ image) for left in range(13)]
        assert min(abs(record.measured["real_score"] - window) for window in windows) < 1e-4
        assert "marked" not in record.measured
    told = yaml.safe_load((world / "synth" / "run.yaml").read_text())["told"]
    assert told["clip"]["source"] == str(network)
    assert "min_clip_score" not in told


def test_another_threshold_marks_again_and_computes_nothing(
    world: World, run: Run, generate, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*generate("--clip", network))
    before = drawn(world)
    monkeypatch.setattr(Clip, "images", None)  # whoever calls it fails
    for figure in ("clip_score", "real_score"):
        least = middle(world, figure)
        assert (
            f"0 made, {2 * SIZE} already there"
            in run(*generate("--clip", network, f"--min-{figure[:4]}-score", least)).output
        )
        short = {item_id for item_id, record in before.items() if record.measured[figure] < least}
        assert 0 < len(short) < 2 * SIZE
        records = drawn(world)
        assert {item_id for item_id, record in records.items() if "marked" in record.measured} == short
        assert all(
            record.measured["marked"].startswith(f"{figure} ")
            for item_id, record in records.items()
            if item_id in short
        )
    run(*generate())  # without a network nothing is judged, and marks stay
    assert {item_id for item_id, record in drawn(world).items() if "marked" in record.measured} == short
    run(*generate("--clip", network))
    assert drawn(world) == before


def test_an_interrupted_scoring_goes_on_and_gives_the_same_bytes(
    world: World, run: Run, generate, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*generate("--clip", network))
    whole = (world / "synth" / "manifest.jsonl").read_bytes()
    shutil.rmtree(world / "synth")
    asked: list[int] = []
    images = Clip.images

    def breaks(self: Clip, pictures: list) -> torch.Tensor:
        asked.append(sum(picture is not None for picture in pictures))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return images(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(Clip, "images", breaks)
        run(*generate("--clip", network), code=130)
        done = sum("scored_by" in record.measured for record in drawn(world).values())
        assert 0 < done < 2 * SIZE
        asked[:] = [0] * 4
        run(*generate("--clip", network))
    # what is left, and one real picture of each of the classes that it is of
    assert sum(asked) - 2 <= 2 * SIZE - done <= sum(asked) - 1
    assert (world / "synth" / "manifest.jsonl").read_bytes() == whole


def test_pictures_added_later_are_scored_alone(world: World, run: Run, generate, network: Path) -> None:
    run(*generate("--clip", network))
    before = drawn(world)
    shown = run(*generate("--per-class", SIZE + 2)).output
    assert "0, 2 not scored" in shown
    run(*generate("--per-class", SIZE + 2, "--clip", network))
    records = drawn(world)
    assert all(records[item_id] == record for item_id, record in before.items())
    assert all("clip_score" in record.measured for record in records.values())


def test_later_stages_leave_marked_pictures_out_and_say_how_many(
    world: World, run: Run, generate, network: Path
) -> None:
    run(*generate("--clip", network))
    mask = ("mask", "--images", world / "synth", "--out", world / "masks", *ATTENTION)
    compose = ("compose", "--foregrounds", world / "masks", "--base", world / "base", "--count", 6)
    run(*mask)
    everything = set(read_records(world / "masks"))
    run(*generate("--clip", network, "--min-real-score", middle(world, "real_score")))
    marked = {item_id for item_id, record in drawn(world).items() if "marked" in record.measured}
    said = f"{len(marked)} of {2 * SIZE} images"
    # masks made before are passed over as well
    assert said in run(*compose, "--out", world / "first").output
    fresh = run(*mask[:-3], world / "again", *ATTENTION)
    assert said in fresh.output
    assert set(read_records(world / "again")) == everything - marked
    used = {o["sample"] for record in read_records(world / "first").values() for o in record.parameters["objects"]}
    assert used
    assert not used & marked
    run(*mask[:-3], world / "all", *ATTENTION, "--use-marked")
    assert set(read_records(world / "all")) == everything
    assert said not in run("export", "--masks", world / "all", "--out", world / "data").output


def test_a_class_without_an_unmarked_picture_is_told(world: World, run: Run, generate, network: Path) -> None:
    run(*generate("--clip", network))
    best = max(drawn(world).values(), key=lambda record: record.measured["clip_score"])
    other = "dog" if best.cls == "chess_queen" else "chess_queen"
    most = max(record.measured["clip_score"] for record in drawn(world).values() if record.cls == other)
    mask = ("mask", "--images", world / "synth", "--out", world / "masks", *ATTENTION)
    if most < best.measured["clip_score"]:
        run(*generate("--clip", network, "--min-clip-score", best.measured["clip_score"]))
        assert f"all images of {other} are marked" in run(*mask, code=1).output
        assert {record.cls for record in read_records(world / "masks").values()} == {best.cls}
    run(*generate("--clip", network, "--min-clip-score", 1))
    found = run(*mask, code=1)
    assert f"all of its {2 * SIZE} images are marked as falling short" in found.output
    assert "--use-marked" in found.output


def test_what_cannot_score_is_told_before_anything_is_drawn(world: World, run: Run, generate, network: Path) -> None:
    assert "neither a CLIP nor a SigLIP" in run(*generate("--clip", world.backbone), code=1).output
    found = run(*generate("--min-clip-score", 0.2), code=2)
    assert "--min-clip-score has no meaning without --clip" in found.output
    shutil.move(world / "support", world / "elsewhere")
    assert "which is not there any more" in run(*generate("--clip", network), code=1).output
    assert not (world / "synth").exists()


def test_the_same_picture_twice_is_a_near_duplicate(world: World, run: Run, generate, monkeypatch) -> None:
    """A collapsed class: three pictures of one seed."""
    from aligndiff_cli.stages import generate as stage

    seed = stage.item_seed
    monkeypatch.setattr(stage, "item_seed", lambda run_seed, name: 7 if "dog/text" in name else seed(run_seed, name))
    shown = run(*generate()).output
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.startswith(("dog ", "chess_queen "))}
    assert "near-duplicates (< 0.02)" in shown
    assert int(rows["dog"][5]) >= 3
    figures = json.loads((world / "synth" / "diversity.json").read_text())["classes"]["dog"]
    assert [f"dog/text-000{i}" for i in (0, 1)] in figures["pairs"]
    assert f"{figures['mean']:.2f}" == rows["dog"][4]


def test_diversity_is_looked_up_until_the_set_changes(world: World, run: Run, generate, monkeypatch) -> None:
    from aligndiff_cli.stages import looks

    seen: list[int] = []
    look = looks.look
    monkeypatch.setattr(looks, "look", lambda image: seen.append(1) or look(image))
    first = run(*generate()).output
    assert len(seen) == 2 * SIZE
    again = run(*generate()).output
    assert len(seen) == 2 * SIZE
    assert first.splitlines()[:3] == again.splitlines()[:3]
    kept = (world / "synth" / "diversity.json").read_bytes()
    (world / "synth" / "diversity.json").write_bytes(kept[:50])
    run(*generate())
    assert len(seen) == 4 * SIZE
    assert (world / "synth" / "diversity.json").read_bytes() == kept


def test_a_pictures_place_in_a_pass_is_its_own() -> None:
    def record(item_id: str) -> Record:
        return Record(item_id, "dog", {}, {})

    ids = [f"dog/text-{n:04d}" for n in (0, 3, BATCH + 1)] + ["dog/inverted-0003", "dog/odd"]
    found = list(batches([record(item_id) for item_id in ids]))
    assert all(len(own) == BATCH for own in found)
    places = {r.id: (place, len(own)) for own in found for place, r in enumerate(own) if r is not None}
    assert {item_id: place for item_id, (place, _) in places.items()} == {
        "dog/text-0000": 0,
        "dog/text-0003": 3,
        f"dog/text-{BATCH + 1:04d}": 1,
        "dog/inverted-0003": 3,
        "dog/odd": 0,
    }
    assert np.array([len([r for r in own if r]) for own in found]).sum() == len(ids)
