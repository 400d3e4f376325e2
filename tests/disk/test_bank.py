"""Embedding files: the same bytes each time, readable by diffusers, damage named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aligndiff_cli.disk.bank import Embedding, peek_embedding, prompt_tokens, read_embedding, write_embedding
from aligndiff_cli.errors import InputError

HEADER = {"class": "chess queen", "template": "a photo of a {v*} {class}", "insertion": "input", "model": "ff"}


def test_round_trip_and_equal_bytes(tmp_path: Path) -> None:
    vectors = torch.arange(6, dtype=torch.float64).reshape(2, 3).requires_grad_()
    for name in ("a", "b"):
        write_embedding(tmp_path / name, Embedding("<chess queen/01>", vectors, HEADER, {"clip_l": 3}))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    found = read_embedding(tmp_path / "a")
    assert found.header == HEADER
    assert found.token == "<chess queen/01>"
    assert found.vectors.dtype == torch.float32
    assert torch.equal(found.vectors, torch.tensor([[0.0, 1, 2], [3, 4, 5]]))


def test_the_file_is_one_tensor_named_by_its_token(tmp_path: Path) -> None:
    write_embedding(tmp_path / "a", Embedding("<x>", torch.ones(1, 4), HEADER, {"clip_l": 4}))
    assert {name: tuple(tensor.shape) for name, tensor in load_file(tmp_path / "a").items()} == {"<x>": (1, 4)}


def test_several_encoders_have_a_tensor_each(tmp_path: Path) -> None:
    vectors = torch.arange(12.0).reshape(2, 6)
    write_embedding(tmp_path / "a", Embedding("<dog/01>", vectors, HEADER, {"clip_l": 1, "clip_g": 2, "t5": 3}))
    parts = load_file(tmp_path / "a")
    assert {name: part.tolist() for name, part in parts.items()} == {
        "clip_l": [[0], [6]],
        "clip_g": [[1, 2], [7, 8]],
        "t5": [[3, 4, 5], [9, 10, 11]],
    }
    found = read_embedding(tmp_path / "a")
    assert torch.equal(found.vectors, vectors)
    assert (found.token, found.header) == ("<dog/01>", HEADER)
    assert found.parts == {"clip_l": 1, "clip_g": 2, "t5": 3}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_an_embedding_is_peeked_at_without_torch_but_for_its_rare_precisions(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    tensors = {"clip_l": torch.ones(2, 1, dtype=dtype), "t5": torch.zeros(2, 2, dtype=dtype)}
    save_file(tensors, tmp_path / "a", metadata={"aligndiff": json.dumps({**HEADER, "token": "<x>"})})
    seen, read = peek_embedding(tmp_path / "a"), read_embedding(tmp_path / "a")
    assert seen.vectors.tolist() == read.vectors.tolist() == [[1, 0, 0], [1, 0, 0]]
    assert (seen.token, seen.header, seen.parts) == (read.token, read.header, read.parts)
    save_file({"<x>": torch.full((1, 2), torch.inf)}, tmp_path / "b", metadata={"aligndiff": json.dumps(HEADER)})
    for reader in (peek_embedding, read_embedding):
        with pytest.raises(InputError, match="expected finite vectors"):
            reader(tmp_path / "b")


def test_a_vector_of_one_axis_is_read_as_one_vector(tmp_path: Path) -> None:
    save_file({"<x>": torch.ones(4)}, tmp_path / "a", metadata={"aligndiff": json.dumps(HEADER)})
    assert read_embedding(tmp_path / "a").vectors.shape == (1, 4)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": torch.ones(1), "b": torch.ones(1)}, "expected one embedding, got 2 tensors"),
        ({"clip_l": torch.ones(1), "b": torch.ones(1)}, "expected one embedding, got 2 tensors"),
        ({"clip_l": torch.ones(2, 3), "clip_g": torch.ones(1, 3)}, "different numbers of vectors"),
        ({"a": torch.ones(1, 2, 3)}, r"shape \(n, width\), got \(1, 2, 3\)"),
        ({"a": torch.tensor([[float("nan")]])}, "expected finite"),
    ],
)
def test_other_tensors_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    save_file(tensors, tmp_path / "a", metadata={"aligndiff": json.dumps(HEADER)})
    with pytest.raises(InputError, match=message):
        read_embedding(tmp_path / "a")


@pytest.mark.parametrize("metadata", [None, {"aligndiff": "[]"}, {"aligndiff": "{"}, {"aligndiff": "{}"}])
def test_a_file_that_does_not_say_its_template_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"<x>": torch.ones(1, 4)}, tmp_path / "a", metadata=metadata)
    with pytest.raises(InputError):
        read_embedding(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"not a safetensors file at all"])
def test_damage_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as an embedding"):
        read_embedding(tmp_path / "a")


@pytest.mark.parametrize(
    ("item_id", "token"),
    [
        ("dog/01", "<dog/01>"),
        ("Mug/IMG_1", "<mug/img_1>"),
        ("hot  dog/a\u00a0b", "<hot dog/a b>"),
        ("CRÈME/À", "<crème/à>"),
        ("cre\u0300me/\ufb01n", "<crème/fin>"),  # composed, and the ligature undone
        ("\u212a/1", "<k/1>"),  # the Kelvin sign
        ("\u0130/1", "<i\u0307/1>"),
        ("straße/ß", "<straße/ß>"),
    ],
)
def test_tokens_are_in_the_form_that_tokenizers_leave_them_in(item_id: str, token: str) -> None:
    assert prompt_tokens([item_id]) == {item_id: token}
    assert prompt_tokens([token[1:-1]]) == {token[1:-1]: token}


def test_two_embeddings_never_share_a_token() -> None:
    ids = ["MUG/1", "Mug/1", "mug/1", "cup/1"]
    tokens = prompt_tokens(ids)
    assert len(set(tokens.values())) == 4
    assert tokens["mug/1"] == "<mug/1>"
    assert tokens["cup/1"] == "<cup/1>"
    assert re.fullmatch("<mug/1-[0-9a-f]{8}>", tokens["Mug/1"])
    assert prompt_tokens(reversed(ids)) == tokens
    # nor does one that comes later
    there = {"<mug/1>": "Mug/1"}
    assert prompt_tokens(["Mug/1"], there) == {"Mug/1": "<mug/1>"}
    assert prompt_tokens(["mug/1"], there)["mug/1"].startswith("<mug/1-")
