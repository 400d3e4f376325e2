"""Small random CLIP and SigLIP models, saved as their checkpoints are."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipModel

from tests.conftest import TINY_WORDS, tiny_tokenizer

KINDS = ("clip", "siglip")
MEAN, STD = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def save_clip(kind: str, folder: Path) -> Path:
    """A network of 32 x 32 pixels in patches of 8, whose points have 16 numbers, with tokenizer and preprocessing."""
    torch.manual_seed(0)
    vision = SIZES | {"image_size": 32, "patch_size": 8}
    if kind == "clip":
        tokenizer = tiny_tokenizer(folder / "words")
        special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        text = SIZES | {"vocab_size": len(tokenizer), "max_position_embeddings": 24, **special}
        net: CLIPModel | SiglipModel = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
        settings = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True}
    else:
        tokenizer = words()
        text = SIZES | {"vocab_size": len(tokenizer), "max_position_embeddings": 12, "projection_size": 16}
        net = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        settings = {"size": {"height": 32, "width": 32}}
    for weight in net.parameters():
        if weight.ndim > 1:
            weight.data *= 4  # so that pictures and words show in the answers
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings |= {"image_mean": MEAN, "image_std": STD, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def words() -> PreTrainedTokenizerFast:
    """One token for each word of TINY_WORDS."""
    vocabulary = {word: i for i, word in enumerate(("</s>", "<unk>", *TINY_WORDS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, "<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="</s>", eos_token="</s>", unk_token="<unk>", model_max_length=12
    )
