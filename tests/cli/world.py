"""A small world for whole-chain tests: support, query and base folders of drawn shapes, and a tiny backbone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import read_soft, write_jpeg, write_png
from aligndiff_cli.engine.manifest import ManifestWriter, Record, read_records
from aligndiff_cli.engine.run_file import RunFile, relative_to_folder, write_run

CLASSES = ("dog", "chess_queen", "bus")
NOVEL = ("chess_queen", "dog")
COUNT = 5
"""Synthetic images of each class."""


@dataclass(frozen=True)
class World:
    """Folders for a chain, and the models to run it with."""

    root: Path
    model: Path
    backbone: Path

    def __truediv__(self, name: str) -> Path:
        return self.root / name


def shape(rng: np.random.Generator, height: int, width: int, colour: int) -> tuple[np.ndarray, np.ndarray]:
    """A coloured box on a noisy ground, with its mask."""
    image = rng.integers(90, 160, (height, width, 3), dtype=np.uint8)
    top, left = rng.integers(2, height // 3), rng.integers(2, width // 3)
    mask = np.zeros((height, width), bool)
    mask[top : top + height // 2, left : left + width // 2] = True
    image[mask] = (250, 20, 20) if colour % 2 else (20, 20, 250)
    return image, mask


def draw_folders(root: Path) -> None:
    """support/ (one pair each, one photograph per layout), query/ (two each), base/ (VOC layout)."""
    rng = np.random.default_rng(0)
    for number, cls in enumerate(NOVEL):
        image, mask = shape(rng, 36, 48, number)
        write_jpeg(root / "support" / cls / "01.jpg", image)
        write_png(root / "support" / cls / "01.png", mask.astype(np.uint8) * 255)
        for query in range(2):
            image, mask = shape(rng, 40, 30, number)
            write_png(root / "query" / cls / f"{query}.png", image)
            write_png(root / "query" / cls / f"{query}_mask.png", mask.astype(np.uint8) * 255)
    stems = [f"base{number}" for number in range(4)]
    for stem in stems:
        image, mask = shape(rng, 40, 56, 3)
        voc.write_item(root / "base", stem, image, mask.astype(np.uint8) * 3)
    voc.write_split(root / "base", "train", stems)
    voc.write_classes(root / "base", [cls.replace("_", " ") for cls in CLASSES])


def draw_bank(folder: Path, model: Path) -> Path:
    """A bank of one vector for each class, as `invert` writes it for the tiny model."""
    import torch

    from aligndiff_cli.disk.bank import Embedding, write_embedding
    from aligndiff_cli.models.diffusion.load import load_diffusion

    made_by = {"source": str(model), "fingerprint": load_diffusion(model, device="cpu").fingerprint}
    write_run(folder, RunFile("invert", {}, 0, {"images": "../support"}, {"diffusion": made_by}))
    losses = dict.fromkeys(("total", "foreground", "background"), 0.5)
    with ManifestWriter(folder) as manifest:
        for cls in NOVEL:
            name, header = f"{cls}/01.safetensors", {"class": cls, "template": "a photo of a {v*} {class}"}
            write_embedding(folder / name, Embedding(f"<{cls}/01>", torch.ones(1, 32), header, {"x": 32}))
            measured = {"initial": losses, "final": losses}
            manifest.commit(Record(f"{cls}/01", cls, {}, {name: file_digest(folder / name)}, measured=measured))
    return folder


def draw_synth(folder: Path, model: Path) -> Path:
    """A synth folder of 32 x 48 pixels; the last coarse map of each class is empty."""
    rng = np.random.default_rng(5)
    made_by = {"diffusion": {"source": str(model), "fingerprint": ""}}
    write_run(folder, RunFile("generate", {"mask_threshold": 0.5}, 0, models=made_by))
    with ManifestWriter(folder) as manifest:
        for number, cls in enumerate(NOVEL):
            for item in range(COUNT):
                image, mask = shape(rng, 32, 48, number)
                inside = 0.6 if item < COUNT - 1 else 0.0
                soft = np.where(mask, inside, inside and 0.4).astype(np.float32)
                files = [f"{kind}/{cls}/text-{item}.png" for kind in ("images", "coarse")]
                write_png(folder / files[0], image)
                write_png(folder / files[1], soft)
                outputs = {name: file_digest(folder / name) for name in files}
                manifest.commit(Record(f"{cls}/text-{item}", cls, {}, outputs, {"kind": "text"}))
    return folder


def draw_masks(folder: Path, synth: Path) -> Path:
    """The masks folder of a synth folder: each image's coarse map, cut; so the last mask of each class is empty."""
    write_run(folder, RunFile("mask", {"attention_threshold": 0.5}, 0, {"images": relative_to_folder(synth, folder)}))
    with ManifestWriter(folder) as manifest:
        for item_id, record in read_records(synth).items():
            mask = read_soft(synth / "coarse" / f"{item_id}.png") >= 0.5
            name = f"masks/{item_id}.png"
            write_png(folder / name, mask.astype(np.uint8) * 255)
            measured = {"area": round(float(mask.mean()), 5), "consensus_iou": 1.0, "accepted": True, "round": 1}
            outputs = {name: file_digest(folder / name)}
            manifest.commit(Record(item_id, record.cls, {}, outputs, record.parameters, measured))
    return folder


def build_backbone(folder: Path) -> Path:
    """A random ResNet in transformers' layout."""
    import torch
    from transformers import ResNetConfig, ResNetModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic")
        ResNetModel(config).save_pretrained(folder)
    mean_std = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "image_processor_type": "X"}
    (folder / "preprocessor_config.json").write_text(json.dumps(mean_std))
    return folder
