from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.engine.manifest import ManifestWriter, Record
from aligndiff_cli.engine.run_file import RunFile, write_run
from aligndiff_cli.errors import FolderError
from aligndiff_cli.stages.options.report import ReportOptions
from aligndiff_cli.stages.report import make_report
from tests.cli.world import shape

CLASSES = ("cat & <b>dog", "hot_pepper")


class Silent:
    """A bar that nobody sees."""

    def __getattr__(self, name: str) -> object:
        return lambda *args, **more: None


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """synth/ and masks/ of two classes, 32 x 48 pixels; no bank, no scenes, no results."""
    work = tmp_path / "work"
    synth, folder, rng = work / "synth", work / "masks", np.random.default_rng(5)
    write_run(synth, RunFile("generate", {"mask_threshold": 0.4}, 0))
    write_run(folder, RunFile("mask", {"attention_threshold": 0.4}, 0, {"images": "../synth"}))
    with ManifestWriter(synth) as images, ManifestWriter(folder) as refined:
        for number, cls in enumerate(CLASSES):
            for sample in range(3):
                item_id = f"{cls}/text-{sample}"
                image, mask = shape(rng, 32, 48, number)
                made = {"images": image, "coarse": mask.astype(np.uint8) * 200}
                for name, pixels in made.items():
                    write_png(synth / name / f"{item_id}.png", pixels)
                write_png(folder / "masks" / f"{item_id}.png", mask.astype(np.uint8) * 255)
                files = {f"{name}/{item_id}.png": "" for name in made}
                images.commit(Record(item_id, cls, {}, files, {"kind": "text"}))
                told = {"area": float(mask.mean()), "consensus_iou": 0.7}
                refined.commit(Record(item_id, cls, {}, {f"masks/{item_id}.png": ""}, {"kind": "text"}, told))
    return work


def report(work: Path, **options: object):
    return make_report(ReportOptions(work=work, **options), Silent())  # type: ignore[arg-type]


def sources(page: Path) -> list[Path]:
    """Files that the page refers to; the empty icon is written out in it."""
    found = re.findall(r'(?:src|href)="([^"#]+)"', page.read_text(encoding="utf-8"))
    return [page.parent / unquote(html.unescape(source)) for source in found if source != "data:,"]


def test_the_page_shows_every_class_and_all_its_pictures_are_there(chain: Path) -> None:
    made = report(chain)

    text = made.page.read_text(encoding="utf-8")
    assert made.page == chain / "report/index.html"
    assert made.drawn > 0
    pictures = sources(made.page)
    assert len(pictures) >= 6
    assert [path for path in pictures if not path.exists()] == []
    assert "<b>dog" not in text
    assert "cat &amp; &lt;b&gt;dog" in text
    assert "http://" not in text
    assert "https://" not in text
    assert str(chain) not in text


def test_a_second_run_draws_nothing_and_gives_the_same_bytes(chain: Path) -> None:
    first = report(chain)
    before = {path: path.read_bytes() for path in first.page.parent.rglob("*") if path.is_file()}

    second = report(chain)

    assert (second.drawn, second.kept) == (0, first.drawn)
    assert {path: path.read_bytes() for path in first.page.parent.rglob("*") if path.is_file()} == before


def test_what_a_half_done_chain_lacks_is_said_with_the_next_command(chain: Path) -> None:
    made = report(chain)

    assert "aligndiff compose" in made.summary.next_command
    assert "aligndiff compose" in made.page.read_text(encoding="utf-8")


def test_a_picture_that_is_gone_is_named_and_the_rest_shown(chain: Path) -> None:
    gone = chain / "synth/images/hot_pepper/text-1.png"
    gone.unlink()

    made = report(chain)

    assert any(problem.where == gone or gone.name in str(problem) for problem in made.problems)
    assert all(path.exists() for path in sources(made.page))


def test_a_folder_that_is_not_ours_is_left_alone(chain: Path) -> None:
    (chain / "report").mkdir()
    (chain / "report/thesis.tex").write_text("mine")

    with pytest.raises(FolderError, match="thesis"):
        report(chain)

    assert [path.name for path in (chain / "report").iterdir()] == ["thesis.tex"]


def test_a_folder_without_a_chain_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError):
        report(tmp_path)
