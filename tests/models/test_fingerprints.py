"""Digests of networks by their files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.fingerprints import SAMPLE_BYTES, SAMPLES, files_fingerprint, network_fingerprint


@pytest.fixture
def network(tmp_path: Path) -> Path:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(100))
    return folder


def test_what_is_loaded_decides_and_where_it_lies_does_not(network: Path, tmp_path: Path) -> None:
    before = network_fingerprint(network)
    (network / "README.md").write_text("more")
    (network / "pytorch_model.bin").write_bytes(b"an older form, which is not read")
    assert network_fingerprint(network) == before
    assert network_fingerprint(shutil.copytree(network, tmp_path / "copy")) == before
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        other = shutil.copytree(network, tmp_path / name)
        (other / name).write_text("{ }")
        assert network_fingerprint(other) != before, name


def test_a_file_of_weights_by_its_content(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("a.pth", "b.pth", "c.pth"))
    torch.save({"w": torch.zeros(3)}, one)
    shutil.copy(one, two)
    torch.save({"w": torch.ones(3)}, three)
    assert network_fingerprint(one) == network_fingerprint(two) != network_fingerprint(three)


def test_large_weights_are_sampled_and_configurations_read_in_full(tmp_path: Path) -> None:
    def of(name: str, changed: int) -> str:
        content = bytearray(4 * SAMPLES * SAMPLE_BYTES)
        content[changed] = 1
        (tmp_path / name).write_bytes(content)
        return files_fingerprint([(name, tmp_path / name)])

    first, last, between = 0, 4 * SAMPLES * SAMPLE_BYTES - 1, SAMPLE_BYTES + 1
    assert len({of("w.safetensors", first), of("w.safetensors", last), of("w.safetensors", between)}) == 3
    assert of("w.safetensors", between) == of("w.safetensors", between + 1)
    assert of("w.json", between) != of("w.json", between + 1)


def test_what_is_no_network_is_named(tmp_path: Path, network: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        network_fingerprint(tmp_path / "nowhere")
    (network / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="there are no weights in it"):
        network_fingerprint(network)
    (network / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        network_fingerprint(network)
