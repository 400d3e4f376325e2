"""Every folder and file name of the convention, once.

Stage folders, in the order of the pipeline::

    support/   <class>/<stem>.jpg|png with the mask <stem>.png or <stem>_mask.png beside it
    bank/      <class>/<stem>.safetensors
    synth/     images/<class>/<id>.png   coarse/<class>/<id>.png
    masks/     masks/<class>/<id>.png
    scenes/    JPEGImages/ SegmentationClass/ ImageSets/Segmentation/ (or COCO's annotations/)
    results/   metrics.json table.md report.html

`aligndiff prepare` writes ``support/``, ``base/`` and ``query/``; the latter two are VOC folders, or, for the protocol
``fss``, ``query/`` is laid out like ``support/``. Beside the support folder of a fold lies ``support_labels/``, with
the label map ``<class>/<stem>.png`` of each support picture.

Each holds ``run.yaml`` (how it was made) and ``manifest.jsonl`` (what was made); ``failures.jsonl`` is there only
while something could not be made. While several workers share a run, each has its own ``manifest.<worker>.jsonl`` and
``failures.<worker>.jsonl``. ``.lock`` is empty: it is what a run locks.
"""

from __future__ import annotations

RUN = "run.yaml"
MANIFEST = "manifest.jsonl"
MANIFEST_GLOB = "manifest*.jsonl"
WORKER_MANIFESTS = "manifest.*.jsonl"
FAILURES = "failures.jsonl"
FAILURES_GLOB = "failures*.jsonl"
LOCK = ".lock"
PICTURES = "pictures"

SUPPORT, BASE, QUERY = "support", "base", "query"
SUPPORT_LABELS = "support_labels"

IMAGES = "images"
COARSE = "coarse"
MASKS = "masks"

CLASSES = "classes.txt"
OOD = "ood.txt"

METRICS = "metrics.json"
TABLE = "table.md"
REPORT = "report.html"


def of_worker(name: str, worker: str) -> str:
    """The name a worker gives to its own part of a file: ``manifest.jsonl`` -> ``manifest.2-of-4.jsonl``."""
    return name.replace(".jsonl", f".{worker}.jsonl") if worker else name
