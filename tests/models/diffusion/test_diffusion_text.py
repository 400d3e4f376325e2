"""Prompts as the text encoder gets them: ids, places, and the splice of v*."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aligndiff_cli.errors import InputError, ModelError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import DiffusionModel, load_diffusion
from aligndiff_cli.models.diffusion.text import Conditioning, lay_out

ADJECTIVE = "a photo of a {v*} {class}"


@pytest.fixture(scope="module")
def model(tiny_sd: Path) -> DiffusionModel:
    return load_diffusion(tiny_sd, device="cpu")


@pytest.mark.parametrize("name", ["dog", "chess queen", "saxophone", "bus, small"])
def test_plain_prompts_are_tokenised_as_a_whole(model, name) -> None:
    for template in (ADJECTIVE, "{class}", "a {class}, good", "a good {class}."):
        prompt = Prompt(template, name)
        whole = model.encoders[0][0](prompt.text, padding="max_length", max_length=24).input_ids
        assert list(lay_out(model.encoders[0][0], prompt).ids) == whole


def test_places_of_a_name_of_several_tokens(model) -> None:
    layout = lay_out(model.encoders[0][0], Prompt("a photo of a {v*} {class}, good", "chess queen", torch.zeros(3, 32)))
    # begin a photo of a | v v v | chess queen | , good end
    assert layout.v_tokens == (5, 6, 7)
    assert layout.class_tokens == (8, 9)
    names = model.encoders[0][0].convert_ids_to_tokens([layout.ids[i] for i in (8, 9, 10)])
    assert names == ["chess</w>", "queen</w>", ",</w>"]
    assert len(layout.ids) == 24


def test_v_as_the_noun_is_what_attention_asks_for(model) -> None:
    layout = lay_out(model.encoders[0][0], Prompt("a photo of a {v*}", "dog", torch.zeros(2, 32)))
    assert layout.class_tokens == layout.v_tokens == (5, 6)


def test_too_long_a_prompt_is_named(model) -> None:
    with pytest.raises(InputError, match=r"xylophone.* 25 tokens .* 24"):
        model.encode_prompts([Prompt("a photo of a {v*} {class}", "xylophone glockenspi"[:19], torch.zeros(1, 32))])
    model.encode_prompts([Prompt("a photo of a {v*} {class}", "xylophone glockensp"[:18], torch.zeros(1, 32))])


def test_the_embedding_of_a_word_spliced_in_is_that_word(model) -> None:
    v = model.word_embedding("good")
    spliced = model.encode_prompts([Prompt(ADJECTIVE, "dog", v)])
    written = model.encode_prompts([Prompt("a photo of a good {class}", "dog")])
    assert torch.equal(spliced.hidden, written.hidden)
    assert spliced.class_tokens == written.class_tokens == ((6,),)


def test_prompts_of_different_kinds_in_one_batch(model) -> None:
    v = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    prompts = [Prompt(ADJECTIVE, "chess queen", v), Prompt(ADJECTIVE, "dog"), Prompt(ADJECTIVE, "bus", v, "encoded")]
    together = model.encode_prompts(prompts)
    for i, prompt in enumerate(prompts):
        alone = model.encode_prompts([prompt])
        torch.testing.assert_close(together.hidden[i], alone.hidden[0])
        assert together.class_tokens[i] == alone.class_tokens[0]


def test_encoded_insertion_shifts_the_tail(model) -> None:
    v = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    plain = model.encode_prompts([Prompt(ADJECTIVE, "dog")]).hidden[0]
    inserted = model.encode_prompts([Prompt(ADJECTIVE, "dog", v, "encoded")])
    assert inserted.class_tokens == ((7,),)
    assert inserted.v_tokens == ((5, 6),)
    expected = torch.cat([plain[:5], v, plain[5:-2]])
    torch.testing.assert_close(inserted.hidden[0], expected)


def test_nothing_before_v_depends_on_it(model) -> None:
    base, other = (
        model.encode_prompts([Prompt(ADJECTIVE, "dog", torch.full((1, 32), x))]).hidden[0] for x in (0.0, 1.0)
    )
    torch.testing.assert_close(base[:5], other[:5])
    assert not torch.allclose(base[6], other[6])


@pytest.mark.parametrize("insertion", ["input", "encoded"])
def test_gradients_reach_each_embedding_and_nothing_else(model, insertion) -> None:
    first, second = (torch.randn(1, 32, requires_grad=True) for _ in range(2))
    conditioning = model.encode_prompts(
        [Prompt(ADJECTIVE, "dog", first, insertion), Prompt(ADJECTIVE, "chess queen", second, insertion)]
    )
    conditioning.hidden[0].square().sum().backward()
    assert float(first.grad.abs().sum()) > 0
    assert second.grad is None or float(second.grad.abs().sum()) == 0
    assert all(p.grad is None and not p.requires_grad for p in model.encoders[0][1].parameters())


def test_the_hook_is_gone_and_the_matrix_untouched(model) -> None:
    embedding = model.encoders[0][1].get_input_embeddings()
    before = embedding.weight.clone()
    model.encode_prompts([Prompt(ADJECTIVE, "dog", torch.ones(1, 32))])
    with pytest.raises(ModelError, match=r"\(1, 31\).*32"):
        model.encode_prompts([Prompt(ADJECTIVE, "dog", torch.ones(1, 31))])
    assert not embedding._forward_hooks
    assert torch.equal(embedding.weight, before)


@pytest.mark.parametrize("insertion", ["input", "encoded"])
def test_an_embedding_of_another_model_is_refused(model, insertion) -> None:
    with pytest.raises(ModelError, match="does not fit"):
        model.encode_prompts([Prompt(ADJECTIVE, "dog", torch.ones(1, 48), insertion)])


def test_word_embedding_of_several_tokens(model) -> None:
    assert model.word_embedding("good").shape == (1, 32)
    assert model.word_embedding("saxo").shape == (4, 32)
    with pytest.raises(ModelError, match="no token"):
        model.word_embedding(" ")


def test_select_repeats_rows(model) -> None:
    conditioning = model.encode_prompts([Prompt(ADJECTIVE, "dog"), Prompt(ADJECTIVE, "chess queen")])
    chosen = conditioning.select([1, 0, 1])
    assert chosen.class_tokens == ((5, 6), (5,), (5, 6))
    assert torch.equal(chosen.hidden[2], conditioning.hidden[1])


def test_the_object_is_named_by_its_class_and_onward_from_v_as_well() -> None:
    hidden = torch.zeros(3, 9, 2)
    conditioning = Conditioning(hidden, class_tokens=((6, 7), (5,), (5,)), v_tokens=((5,), (), (5,)))
    assert conditioning.object_tokens("class") == ((6, 7), (5,), (5,))
    assert conditioning.object_tokens("onward") == ((5, 6, 7), (5,), (5,))
