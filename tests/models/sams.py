"""Small random SAM and SAM 2 models, saved as their checkpoints are."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import (
    PreTrainedModel,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2Model,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VisionConfig,
    SamConfig,
    SamModel,
    SamVisionConfig,
)

DECODER = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
PREPROCESSING = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 1 / 255}
KINDS = ("sam", "sam2", "sam2_video")


def build(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    if kind == "sam":
        vision = SamVisionConfig(
            hidden_size=16,
            output_channels=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=64,
            window_size=2,
            global_attn_indexes=[1],
            num_pos_feats=8,
            initializer_range=0.02,
        )
        prompts = {"hidden_size": 16, "image_size": 64, "mask_input_channels": 4}
        parts = {"vision_config": vision.to_dict(), "prompt_encoder_config": prompts, "mask_decoder_config": DECODER}
        return SamModel(SamConfig(**parts))
    trunk = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[128, 128],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 2, 4, 4],
        global_attention_blocks=[3],
    )
    vision2 = Sam2VisionConfig(
        backbone_config=trunk.to_dict(),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        fpn_hidden_size=16,
    )
    parts = {
        "vision_config": vision2.to_dict(),
        "prompt_encoder_config": {"hidden_size": 16, "image_size": 128, "mask_input_channels": 4},
        "mask_decoder_config": DECODER,
    }
    if kind == "sam2":
        return Sam2Model(Sam2Config(**parts))
    memory = {
        "image_size": 128,
        "memory_attention_hidden_size": 16,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 16,
        "memory_attention_rope_feat_sizes": [8, 8],
        "memory_encoder_hidden_size": 16,
        "memory_encoder_output_channels": 8,
        "mask_downsampler_embed_dim": 16,
        "memory_fuser_num_layers": 1,
        "memory_fuser_embed_dim": 16,
        "memory_fuser_intermediate_dim": 16,
    }
    return Sam2VideoModel(Sam2VideoConfig(**parts, **memory))


def save_sam(kind: str, folder: Path) -> Path:
    """Written with weights large enough that image and prompts show in the answers."""
    net = build(kind)
    for weight in net.parameters():
        if weight.ndim > 1:
            weight.data *= 8
    net.save_pretrained(folder)
    if kind == "sam2":
        # newer libraries keep the image processor's settings inside the processor's
        (folder / "processor_config.json").write_text(json.dumps({"image_processor": PREPROCESSING}))
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
    return folder
