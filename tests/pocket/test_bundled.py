"""What must hold for any model that ships, whatever its weights."""

from __future__ import annotations

from transformers import CLIPTokenizer

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.models.diffusion.defaults import ModelDefaults, read_defaults
from aligndiff_cli.models.diffusion.load import load_diffusion
from aligndiff_cli.pocket.recipe.__main__ import MODEL
from aligndiff_cli.pocket.recipe.text import MAX_TOKENS


def test_it_is_small_and_nothing_in_it_is_pickled() -> None:
    files = [path for path in MODEL.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40_000_000
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt"}


def test_its_tokenizer_knows_the_known_words_and_has_room_for_every_class() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(MODEL / "tokenizer")
    assert all(len(tokenizer.tokenize(word)) == 1 for name in classes.KNOWN for word in name.split("-"))
    for name in (*classes.KNOWN, *classes.OOD):
        prompt = f"a photo of a good {classes.prompt_name(name)}"
        assert len(tokenizer(prompt).input_ids) <= MAX_TOKENS


def test_it_loads_with_settings_of_its_own() -> None:
    model = load_diffusion(MODEL, device="cpu")
    assert model.image_size == (64, 64)
    assert model.latent_size(64, 96) == (8, 12)
    assert model.defaults == read_defaults(MODEL) != ModelDefaults()
