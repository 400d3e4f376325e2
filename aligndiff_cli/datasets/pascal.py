"""PASCAL VOC 2012 with SBD's additional label maps, read as it is unpacked.

::

    VOCdevkit/VOC2012/JPEGImages/<stem>.jpg
    VOCdevkit/VOC2012/SegmentationClass/<stem>.png           VOC's own 2913 label maps
    VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt, val.txt
    VOCdevkit/VOC2012/SegmentationClassAug/<stem>.png        SBD's, as many repositories share them, or
    benchmark_RELEASE/dataset/cls/<stem>.mat                 SBD's, as its authors do

Training photographs are all that have a label map and are not in VOC's validation list. Where both made a label map of
a photograph, VOC's counts, which marks borders as ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.datasets.folds import VOC_CLASSES
from aligndiff_cli.datasets.photographs import (
    Photograph,
    Photographs,
    Report,
    check_counts,
    keep_label_map,
    photograph,
)
from aligndiff_cli.disk.mat import read_mat
from aligndiff_cli.disk.voc import LABELS, PICTURES, VocFolder, open_voc
from aligndiff_cli.errors import AligndiffError, FolderError, InputError

TRAIN, VAL, TRAIN_WITH_SBD = 1464, 1449, 10582
VOC_URL = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ (VOCtrainval_11-May-2012.tar)"
SBD_URL = "http://home.bharathh.info/pubs/codes/SBD/download.html (benchmark.tgz)"
SBD_PLACES = ("SegmentationClassAug", "benchmark_RELEASE/dataset/cls", "VOCaug/dataset/cls", "sbd/cls", "cls")
MAT = ".mat"


@dataclass(frozen=True)
class _Archive:
    """What is where: VOC's two lists, and SBD's label maps by stem."""

    root: Path
    train: VocFolder
    val: VocFolder
    sbd: dict[str, Path]

    @property
    def train_stems(self) -> list[str]:
        return sorted({*self.train.stems, *self.sbd} - {*self.val.stems})


def read_pascal(root: Path, sbd: Path | None, label_maps: Path, *, partial: bool, report: Report) -> Photographs:
    """Open the data set; every label map is read once, to know what it shows.

    Args:
        root: VOCdevkit/ or VOCdevkit/VOC2012/.
        sbd: folder of SBD's label maps; None to look for it in `SBD_PLACES` below root and VOC2012/.
        label_maps: where SBD's .mat files are kept as PNG.
        partial: go on with fewer photographs than were published.
        report: told of each photograph.

    Raises:
        FolderError: something is missing; the message says what, and where it is had.
    """
    archive = _open(root, sbd, partial)
    warnings = check_counts(
        {
            "photographs in train.txt": (TRAIN, len(archive.train.stems)),
            "photographs in val.txt": (VAL, len(archive.val.stems)),
            "training photographs with SBD": (TRAIN_WITH_SBD, len(archive.train_stems)),
        },
        archive.root,
        f"{VOC_URL} and {SBD_URL}",
        partial,
    )
    data = Photographs(VOC_CLASSES, warnings=warnings)
    total = len(archive.train_stems) + len(archive.val.stems)
    report(0, total)
    own = {*archive.train.stems, *archive.val.stems}
    for done, stem in enumerate([*archive.train_stems, *archive.val.stems], 1):
        labels = archive.train.label_map(stem) if stem in own else archive.sbd[stem]
        found = _photograph(archive, stem, labels, label_maps, data.problems)
        if found is not None:
            (data.train if done <= len(archive.train_stems) else data.val).append(found)
        report(done, total)
    return data


def _open(root: Path, sbd: Path | None, partial: bool) -> _Archive:
    for voc in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (voc / PICTURES).is_dir() and (voc / LABELS).is_dir():
            break
    else:
        raise FolderError(
            f"holds no VOC2012/ with {PICTURES}/ and {LABELS}/", root, f"Give VOCdevkit/ as --root; from {VOC_URL}"
        )
    folder = _find_sbd(root, voc, sbd)
    if folder is None and not partial:
        raise FolderError(
            f"found no label maps of SBD (looked for {', '.join(SBD_PLACES)})",
            root,
            f"Name their folder with --sbd; they are had from {SBD_URL}; --partial goes on without",
        )
    found = sorted(folder.iterdir()) if folder else []
    maps = {path.stem: path for path in found if path.suffix in (".png", MAT) and not path.name.startswith(".")}
    return _Archive(voc, open_voc(voc, "train"), open_voc(voc, "val"), maps)


def _find_sbd(root: Path, voc: Path, sbd: Path | None) -> Path | None:
    if sbd is not None:
        for place in (sbd / "dataset" / "cls", sbd / "cls", sbd):
            if place.is_dir():
                return place
        raise FolderError("there is no such folder", sbd, "Give the folder of SBD's label maps as --sbd")
    places = (base / name for base in (voc, root, root.parent) for name in SBD_PLACES)
    return next((place for place in places if place.is_dir()), None)


def _photograph(
    archive: _Archive, stem: str, labels: Path, label_maps: Path, problems: list[AligndiffError]
) -> Photograph | None:
    try:
        picture = archive.train.picture(stem)
        if labels.suffix == MAT:
            kept = label_maps / "sbd" / f"{stem}.png"
            keep_label_map(kept, lambda: read_mat(labels, "GTcls", "Segmentation"))
            labels = kept
    except InputError as error:
        problems.append(error)
        return None
    return photograph(stem, picture, labels, len(VOC_CLASSES), problems)
