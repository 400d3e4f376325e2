"""Every folder and file name of the convention, once.

Stage folders, in the order of the pipeline::

    support/   <class>/<stem>.jpg|png with the mask <stem>.png or <stem>_mask.png beside it
    bank/      <class>/<stem>.safetensors
    synth/     images/<class>/<id>.png   coarse/<class>/<id>.png   (real/<class>/<id>.png)
    masks/     masks/<class>/<id>.png
    scenes/    JPEGImages/ SegmentationClass/ ImageSets/Segmentation/ (or COCO's annotations/)
    results/   metrics.json table.md report.html

`aligndiff prepare` writes ``support/``, ``base/`` and ``query/``; the latter two are VOC folders, or, for the protocol
``fss``, ``query/`` is laid out like ``support/``. Beside the support folder of a fold lies ``support_labels/``, with
the label map ``<class>/<stem>.png`` of each support picture. Of a user's own annotations, ``query/`` is laid out like
``support/``, and ``query_scenes/`` holds the same pictures as a VOC folder.

``synth/real/`` has the real mask of each sample that starts from a real picture, in the sample's frame.

Each holds ``run.yaml`` (how it was made) and ``manifest.jsonl`` (what was made); ``failures.jsonl`` is there only
while something could not be made. While several workers share a run, each has its own ``manifest.<worker>.jsonl`` and
``failures.<worker>.jsonl``. ``.lock`` is empty: it is what a run locks. ``.files.jsonl`` has sizes, times and digests
of files that were read, and may be removed. ``.unfinished`` is there while `aligndiff prepare` is at work, whose only
records are those of ``prepare own``, and stays if it is interrupted.
"""

from __future__ import annotations

import re
from pathlib import Path

RUN = "run.yaml"
MANIFEST = "manifest.jsonl"
FAILURES = "failures.jsonl"
LOCK = ".lock"
FILES = ".files.jsonl"
UNFINISHED = ".unfinished"
PICTURES = "pictures"
KEPT_NAMES = frozenset({RUN, MANIFEST, FAILURES})
"""Files beside which, in some stage folders, the folders of the classes lie."""

SUPPORT, BASE, QUERY = "support", "base", "query"
SUPPORT_LABELS = "support_labels"
QUERY_SCENES = "query_scenes"

IMAGES = "images"
COARSE = "coarse"
REAL = "real"
MASKS = "masks"

DIVERSITY = "diversity.json"

CLASSES = "classes.txt"
OOD = "ood.txt"

METRICS = "metrics.json"
TABLE = "table.md"
REPORT = "report.html"


def of_worker(name: str, worker: str) -> str:
    """The name a worker gives to its own part of a file: ``manifest.jsonl`` -> ``manifest.2-of-4.jsonl``."""
    return name.replace(".jsonl", f".{worker}.jsonl") if worker else name


def with_workers(folder: Path, name: str) -> list[Path]:
    """The file of this name, if there is one, then the workers' parts of it; no copy made under a like name.

    Raises:
        OSError: the folder cannot be listed.
    """
    found = folder.iterdir() if folder.is_dir() else ()
    part = re.compile(re.escape(name).replace(r"\.jsonl", r"(\.\d+-of-\d+)?\.jsonl"))
    return sorted((path for path in found if part.fullmatch(path.name)), key=lambda path: (path.name != name, path))
