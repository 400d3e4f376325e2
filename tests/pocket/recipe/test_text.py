from __future__ import annotations

from pathlib import Path

from transformers import CLIPTokenizer

from aligndiff_cli.pocket.recipe.text import MAX_TOKENS, build_text_encoder, byte_symbols, learn_merges, write_tokenizer


def test_merges_take_the_most_frequent_pair_first() -> None:
    # "ab" ends both words: (a, b</w>) counts 2, every other pair once; ties go alphabetically
    assert learn_merges(["cab", "dab"]) == [("a", "b</w>"), ("c", "ab</w>"), ("d", "ab</w>")]
    assert learn_merges(["a"]) == []


def test_each_byte_has_a_symbol_of_its_own() -> None:
    symbols = byte_symbols()
    assert len(set(symbols)) == 256
    assert all(len(s) == 1 and not s.isspace() for s in symbols)


def test_known_words_are_one_token_and_others_fall_to_pieces(tmp_path: Path) -> None:
    words = ["a", "photo", "of", "hot", "pepper", "banana"]
    write_tokenizer(tmp_path, words)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_max_length == MAX_TOKENS
    for word in words:
        assert tokenizer.tokenize(word) == [f"{word}</w>"]
    pieces = tokenizer.tokenize("saxophone")
    assert len(pieces) > 1
    assert "".join(pieces) == "saxophone</w>"
    ids = tokenizer("Ünïcörn 東").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "ünïcörn 東"


def test_begin_end_and_padding(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path, ["a", "photo"])
    ids = tokenizer("a photo", padding="max_length", max_length=6).input_ids
    end = tokenizer.eos_token_id
    assert ids == [tokenizer.bos_token_id, *tokenizer.convert_tokens_to_ids(["a</w>", "photo</w>"]), end, end, end]


def test_the_text_encoder_fits_the_tokenizer(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path, ["a", "photo"])
    config = build_text_encoder(tokenizer).config
    assert config.vocab_size == len(tokenizer)
    assert config.max_position_embeddings == MAX_TOKENS
    assert config.eos_token_id == tokenizer.eos_token_id
