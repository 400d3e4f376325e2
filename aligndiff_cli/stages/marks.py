"""Pictures that `generate` has marked as falling short: later stages leave them out, unless told to use them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.errors import FolderError, InputError

log = logging.getLogger(__name__)

MARKED = "marked"
"""Figure of a record: why a picture fell short, in words; not there where it did not."""
USE_MARKED = "use_marked"
"""Option of `mask`, told in its run file, where the stages after it look."""
REMEDY = "Run `aligndiff generate` again with --clip and lower thresholds, or `aligndiff mask --use-marked`"


def without_marked(records: Mapping[str, Record], synth: Path, problems: list[InputError]) -> dict[str, Record]:
    """The records of pictures that are not marked; how many are left out is logged.

    A class of which nothing is left is added to ``problems``.

    Raises:
        FolderError: every picture is marked.
    """
    kept = {item_id: record for item_id, record in records.items() if not record.measured.get(MARKED)}
    if len(kept) == len(records):
        return kept
    if not kept:
        raise FolderError(f"all of its {len(records)} images are marked as falling short", synth, REMEDY)
    left_out = len(records) - len(kept)
    log.info("%d of %d images in %s are marked as falling short, and left out", left_out, len(records), synth)
    for cls in sorted({record.cls for record in records.values()} - {record.cls for record in kept.values()}):
        problems.append(InputError(f"all images of {cls} are marked as falling short", synth, REMEDY))
    return kept
