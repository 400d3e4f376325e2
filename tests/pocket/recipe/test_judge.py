from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aligndiff_cli.pocket.recipe import judge


def test_it_is_kept_in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.full((64, 64, 3), 100, np.uint8)
    monkeypatch.setattr(judge, "real_picture", lambda world, rng, concept: picture)
    work = tmp_path / "work" / "judge"
    judge.train_judge(SimpleNamespace(), work, 1, 2, 4, 0, torch.device("cpu"))  # type: ignore[arg-type]
    found = judge.verdicts(judge.load_judge(work), np.stack([picture, picture]))
    assert found.shape == (2,)
    assert found[0] == found[1]
