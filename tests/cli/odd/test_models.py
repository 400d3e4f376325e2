"""Odd models, samplers and weights, and what other programs make of an embedding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.odd.test_inputs import INVERT
from tests.cli.world import World
from tests.nasty import good_pair


@pytest.mark.parametrize("vectors", [1, 3])
@pytest.mark.parametrize("family", ["tiny_sd", "tiny_sdxl"])
def test_capitals_in_names_reach_the_prompt_of_diffusers(
    world: World, run: Run, request: pytest.FixtureRequest, family: str, vectors: int
) -> None:
    """Of three vectors, all three stand in the prompt that diffusers makes of the token, and none is spelled out."""
    from diffusers import DiffusionPipeline
    from safetensors.torch import load_file

    from aligndiff_cli.disk.bank import read_embedding

    folder: Path = request.getfixturevalue(family)
    for name in ("Mug", "mug"):
        good_pair(world / "capitals" / name, "IMG_1")
    flags = INVERT.replace("support", str(world / "capitals")).replace("bank", str(world / "bank"))
    output = run(*flags.format(model=folder).split(), "--vectors", vectors).output
    assert "The token of Mug/IMG_1 is <mug/img_1" in " ".join(output.split())
    paths = [world / "bank" / name / "IMG_1.safetensors" for name in ("Mug", "mug")]
    tokens = [read_embedding(path).token for path in paths]
    assert len(set(tokens)) == 2
    assert all(token == token.lower() for token in tokens)
    pipe = DiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    for path, token in zip(paths, tokens, strict=True):
        if family == "tiny_sd":
            pipe.load_textual_inversion(path)
            tokenizers = [pipe.tokenizer]
        else:
            parts = load_file(path)
            pipe.load_textual_inversion(parts["clip_l"], token=token)
            second = {"text_encoder": pipe.text_encoder_2, "tokenizer": pipe.tokenizer_2}
            pipe.load_textual_inversion(parts["clip_g"], token=token, **second)
            tokenizers = [pipe.tokenizer, pipe.tokenizer_2]
        for tokenizer in tokenizers:
            prompt = pipe.maybe_convert_prompt(f"a photo of a {token} dog", tokenizer)
            ids = tokenizer(prompt, add_special_tokens=False).input_ids
            assert sum(number in tokenizer.added_tokens_encoder.values() for number in ids) == vectors
            assert len(ids) == 4 + vectors + 1
