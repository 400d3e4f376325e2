from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aligndiff_cli.models.semantic.deeplab import Architecture, DeepLab
from aligndiff_cli.models.semantic.load import build_deeplab
from tests.cli.world import build_backbone

SMALL = Architecture(output_stride=16, rates=(1, 2), width=8)


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_backbone(tmp_path_factory.mktemp("models") / "backbone")


@pytest.fixture
def deeplab(backbone: Path) -> DeepLab:
    """Background and two base classes; in eval mode."""
    return build_deeplab(backbone, SMALL, 3, torch.device("cpu")).eval()
