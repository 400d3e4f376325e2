"""Inversion: it lowers the held-out loss, trains v* alone, and instances do not disturb one another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aligndiff_cli.errors import InputError, UsageError
from aligndiff_cli.models.diffusion import DiffusionModel, Instance, InversionOptions, invert, load_diffusion

pytestmark = pytest.mark.slow

OPTIONS = InversionOptions(steps=3, learning_rate=0.02, batch=2, accumulation=1, size=(16, 24))


@pytest.fixture(scope="module")
def model(tiny_sd: Path) -> DiffusionModel:
    return load_diffusion(tiny_sd, device="cpu")


def instance(name: str, pairs: int = 1, seed: int = 0) -> Instance:
    rng = np.random.default_rng(seed)
    images = tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(pairs))
    mask = np.zeros((20, 30), bool)
    mask[4:12, 3:15] = True
    return Instance(name, images, (mask,) * pairs)


@pytest.mark.parametrize("insertion", ["input", "encoded"])
def test_it_lowers_the_held_out_loss(model, insertion) -> None:
    options = replace(OPTIONS, steps=21, learning_rate=0.08, insertion=insertion)
    (found,) = invert(model, [instance("dog")], options, [1])
    assert found.final.total < found.initial.total
    assert found.embedding.shape == (1, 32)
    assert found.embedding.dtype == torch.float32
    assert [record.step for record in found.losses] == [*range(2, 21, 2), 21]


def test_only_v_gets_gradients_and_the_model_stays_as_it_was(model) -> None:
    before = {k: v.clone() for k, v in model.unet.state_dict().items()}
    invert(model, [instance("dog")], OPTIONS, [1])
    for network in (model.unet, model.encoders[0][1], model.vae):
        assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.unet.state_dict().items())


def test_an_instance_does_not_depend_on_its_neighbours(model) -> None:
    first, second = instance("dog"), instance("chess queen", pairs=2, seed=5)
    options = replace(OPTIONS, vectors=2)
    both = invert(model, [first, second], options, [1, 2])
    (alone,) = invert(model, [second], options, [2])
    torch.testing.assert_close(both[1].embedding, alone.embedding)
    assert both[1].losses[-1] == pytest.approx(alone.losses[-1], rel=1e-4)
    assert not torch.allclose(both[0].embedding, both[1].embedding)


def test_the_same_seed_gives_the_same_bytes(model) -> None:
    one, two, other = (invert(model, [instance("dog")], OPTIONS, [seed])[0] for seed in (1, 1, 2))
    assert torch.equal(one.embedding, two.embedding)
    assert one.losses == two.losses
    assert not torch.equal(one.embedding, other.embedding)


def test_it_starts_from_the_initialiser(model) -> None:
    still = replace(OPTIONS, learning_rate=0.0, weight_decay=0.0, initializer="saxo", steps=1)
    (found,) = invert(model, [instance("dog")], still, [1])
    torch.testing.assert_close(found.embedding, model.word_embedding("saxo").mean(0, keepdim=True))
    assert found.initial == found.final


def test_encoded_insertion_starts_from_the_encoded_word(model) -> None:
    from aligndiff_cli.method.prompts import Prompt

    still = replace(OPTIONS, learning_rate=0.0, weight_decay=0.0, insertion="encoded", steps=1)
    (found,) = invert(model, [instance("dog")], still, [1])
    written = model.encode_prompts([Prompt("a photo of a good {class}", "dog")]).hidden[0, 5]
    torch.testing.assert_close(found.embedding[0], written)


def test_images_and_mirror_images_are_encoded_once(model, monkeypatch) -> None:
    seen = []
    encode = type(model).encode_images
    monkeypatch.setattr(type(model), "encode_images", lambda self, images: seen.append(images) or encode(self, images))
    pair = instance("dog")
    invert(model, [pair], replace(OPTIONS, size=(20, 30)), [1])
    ((image, mirrored),) = seen
    np.testing.assert_array_equal(image, pair.images[0])
    np.testing.assert_array_equal(mirrored, pair.images[0][:, ::-1])


def test_the_mask_decides_what_is_learned(model) -> None:
    everything = replace(OPTIONS, loss="plain")
    of_mask = replace(OPTIONS, loss="foreground")
    inverted = replace(instance("dog"), masks=(~instance("dog").masks[0],))
    plain = [invert(model, [i], everything, [1])[0].embedding for i in (instance("dog"), inverted)]
    assert torch.equal(*plain)
    masked = [invert(model, [i], of_mask, [1])[0].embedding for i in (instance("dog"), inverted)]
    assert not torch.allclose(*masked)


@pytest.mark.parametrize("fill", [False, True])
def test_an_empty_or_full_mask_gives_numbers(model, fill) -> None:
    pair = replace(instance("dog"), masks=(np.full((20, 30), fill),))
    (found,) = invert(model, [pair], OPTIONS, [1])
    assert bool(torch.isfinite(found.embedding).all())
    assert (found.final.foreground == 0) is not fill
    assert (found.final.background == 0) is fill


def test_progress_is_told_each_step(model) -> None:
    told: list[tuple[int, int, float]] = []
    invert(model, [instance("dog")], OPTIONS, [1], lambda *now: told.append(now))
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert all(loss > 0 for *_, loss in told)


def test_accumulation_averages_passes(model) -> None:
    """Three passes are one step, whose size AdamW makes the learning rate at first."""
    options = replace(OPTIONS, steps=1, batch=1, accumulation=3, learning_rate=0.01, weight_decay=0.0)
    (found,) = invert(model, [instance("dog")], options, [1])
    moved = (found.embedding - model.word_embedding("good")).abs()
    assert float(moved.max()) == pytest.approx(0.01, rel=1e-3)
    assert len(found.losses) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_learns_the_same(model, tiny_sd, dtype) -> None:
    full, half = (
        invert(m, [instance("dog")], replace(OPTIONS, steps=5), [1])[0]
        for m in (model, load_diffusion(tiny_sd, device="cpu", dtype=dtype))
    )
    assert half.embedding.dtype == torch.float32
    moved, alike = (full.embedding - model.word_embedding("good")), (full.embedding - half.embedding)
    assert float(alike.norm()) < 0.3 * float(moved.norm())


@pytest.mark.parametrize(("templates", "times"), [(OPTIONS.templates, 1), (("a {v*} {class}", "a big {v*}"), 2)])
def test_prompts_are_encoded_once_a_step_unless_they_differ(model, monkeypatch, templates, times) -> None:
    from aligndiff_cli.models.diffusion import inversion as module

    # with two templates and one sample, the passes take turns
    turns = iter([0, 1] * 20)
    monkeypatch.setattr(
        module.draw_samples.__module__ + "._templates",
        lambda known, count, g: [0] * count if known == 1 else [next(turns) for _ in range(count)],
    )
    asked: list[int] = []
    encode = type(model).encode_prompts
    monkeypatch.setattr(type(model), "encode_prompts", lambda *args: asked.append(0) or encode(*args))
    options = replace(OPTIONS, batch=1, accumulation=2, templates=templates)
    invert(model, [instance("dog")], options, [1])
    assert len(asked) == 2 * 4 + 3 * times  # of the held-out draws, and of three steps


def overflow_first(monkeypatch: pytest.MonkeyPatch, passes: set[int]) -> None:
    """Have the gradient of the first instance overflow in some of the passes."""
    from aligndiff_cli.models.diffusion import inversion as module

    losses, seen = module._losses, []

    def spoilt(*args):
        found = losses(*args)
        if not torch.is_grad_enabled():
            return found
        seen.append(0)
        factor = torch.ones(len(found.total))
        factor[0] = float("inf") if len(seen) - 1 in passes else 1.0
        return found._replace(total=found.total * factor)

    monkeypatch.setattr(module, "_losses", spoilt)


def test_what_overflows_costs_its_neighbours_nothing(tiny_sd, monkeypatch) -> None:
    half = load_diffusion(tiny_sd, device="cpu", dtype=torch.float16)
    pairs, options = [instance("dog"), instance("chess queen", seed=5)], replace(OPTIONS, steps=4, accumulation=2)
    sound = invert(half, pairs, options, [1, 2])
    (alone,) = invert(half, pairs[1:], options, [2])
    overflow_first(monkeypatch, {0, 5})
    spoilt = invert(half, pairs, options, [1, 2])
    assert torch.equal(spoilt[1].embedding, sound[1].embedding)
    assert torch.equal(spoilt[1].embedding, alone.embedding)
    assert spoilt[1].losses == sound[1].losses
    assert not torch.equal(spoilt[0].embedding, sound[0].embedding)
    assert bool(torch.isfinite(spoilt[0].embedding).all())


def test_an_overflow_leaves_its_own_step_out_and_halves_its_own_scale(tiny_sd, monkeypatch) -> None:
    half = load_diffusion(tiny_sd, device="cpu", dtype=torch.float16)
    from aligndiff_cli.models.diffusion import inversion as module

    scalers = []

    class Seen(module.GradScaler):
        def __init__(self, *args, **settings) -> None:
            super().__init__(*args, **settings)
            scalers.append(self)

    monkeypatch.setattr(module, "GradScaler", Seen)
    overflow_first(monkeypatch, {0})
    found = invert(half, [instance("dog"), instance("cat")], replace(OPTIONS, steps=1), [1, 2])
    start = half.word_embedding("good")
    assert torch.equal(found[0].embedding, start)  # nor has it decayed
    assert not torch.equal(found[1].embedding, start)
    assert [scaler.get_scale() for scaler in scalers] == [2.0**15, 2.0**16]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"flip": 1.5}, "flip must be between 0 and 1"),
        ({"loss": "l1"}, "normalized, plain, foreground"),
        ({"insertion": "middle"}, "input, encoded"),
        ({"templates": ("a photo of a {class}",)}, r"no \{v\*\}"),
    ],
)
def test_impossible_options_are_refused(change, message) -> None:
    with pytest.raises(UsageError, match=message):
        replace(OPTIONS, **change)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(20, 30\).*\(30, 20\)"):
        Instance("dog", instance("dog").images, (np.zeros((30, 20), bool),))
    with pytest.raises(InputError, match="1 images and 0 masks"):
        Instance("dog", instance("dog").images, ())


TEMPLATES = ("a photo of a {v*} {class}", "a big {v*} {class}", "a {v*}")


def test_each_noised_sample_has_a_template_of_its_own(model, monkeypatch) -> None:
    """In two passes of eight samples of two instances; every sample's row is its own instance's prompt."""
    from aligndiff_cli.models.diffusion import inversion as module

    draws = []
    losses = module._losses

    def seen(*args):
        draws.append(args[3])
        return losses(*args)

    monkeypatch.setattr(module, "_losses", seen)
    options = replace(OPTIONS, templates=TEMPLATES, batch=8, steps=2)
    invert(model, [instance("dog"), instance("cat")], options, [1, 2])
    learning = draws[4:6]  # held-out draws before and after them
    assert [len(draw.rows) for draw in learning] == [16, 16]
    for draw in learning:
        given = [draw.prompts[row] for row in draw.rows]
        assert [i for i, _ in given] == [0] * 8 + [1] * 8
        assert len({template for _, template in given}) == 3
    assert learning[0].rows != learning[1].rows
    held_out = [draw.prompts[row][1] for draw in draws[:4] for row in draw.rows[:4]]
    assert held_out == [n % 3 for n in range(16)]


def test_several_templates_do_not_disturb_neighbours_and_repeat(model) -> None:
    options = replace(OPTIONS, templates=TEMPLATES)
    both = invert(model, [instance("dog"), instance("chess queen", seed=5)], options, [1, 2])
    (alone,) = invert(model, [instance("chess queen", seed=5)], options, [2])
    (again,) = invert(model, [instance("chess queen", seed=5)], options, [2])
    torch.testing.assert_close(both[1].embedding, alone.embedding)
    assert torch.equal(again.embedding, alone.embedding)
    (one,) = invert(model, [instance("chess queen", seed=5)], OPTIONS, [2])
    assert not torch.allclose(one.embedding, alone.embedding)


@pytest.mark.parametrize(
    ("templates", "reason"), [((), "there is no template"), (("a {v*}", "a {class}"), "has no {v")]
)
def test_every_template_needs_its_v(templates, reason) -> None:
    with pytest.raises(UsageError, match=reason):
        InversionOptions(templates=templates)


@pytest.mark.parametrize("family", ["sd1", "sdxl", "sd3", "flux-dev"])
def test_checkpointing_computes_twice_and_finds_the_same(family: str, family_model) -> None:
    model = family_model(family)
    blocks = [module for module in model.denoiser.modules() if type(module).__name__.endswith("TransformerBlock")]
    calls = []
    # before, not after: what is computed again stops where all is there that the backward pass needs
    hook = blocks[0].register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    options = replace(OPTIONS, size=None)
    try:
        (kept,) = invert(model, [instance("dog")], options, [1])
        once = sum(calls)
        calls.clear()
        (twice,) = invert(model, [instance("dog")], replace(options, checkpointing=True), [1])
    finally:
        hook.remove()
    assert (once, sum(calls)) == (OPTIONS.steps, 2 * OPTIONS.steps)
    torch.testing.assert_close(twice.embedding, kept.embedding)
    assert twice.final == pytest.approx(kept.final, rel=1e-4)
    assert not model.denoiser.is_gradient_checkpointing
