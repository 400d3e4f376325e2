"""Odd models, samplers and weights, and what other programs make of an embedding."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aligndiff_cli.disk.bank import Embedding, write_embedding
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.engine.manifest import ManifestWriter, Record, read_records
from aligndiff_cli.engine.run_file import RunFile, write_run
from tests.cli.conftest import Run
from tests.cli.odd import Case, check, nothing, records, table
from tests.cli.odd.test_inputs import INVERT
from tests.cli.world import World, draw_synth
from tests.nasty import cut_short, good_pair, pipe

pytestmark = pytest.mark.slow

HEADER, NUMBER, PLAIN = (json.dumps({"template": template}) for template in ("a {v*} {class}", 7, "a {class}"))


GENERATE = "generate --bank bank --out synth --per-class 2 --steps 2 --height 24 --width 40"
HUGE = {"aligndiff": json.dumps({"template": "a {v*} {class}", "insertion": "encoded"})}


def draw_bank(world: World) -> None:
    """Embeddings 01 and 02 of the dog, and 01 of the chess queen."""
    run = RunFile("invert", {}, 0, {}, {"diffusion": {"source": str(world.model), "fingerprint": digest(world.model)}})
    write_run(world / "bank", run)
    facts = {"template": "a photo of a {v*} {class}", "insertion": "input"}
    with ManifestWriter(world / "bank") as manifest:
        for number, item in enumerate(("chess_queen/01", "dog/01", "dog/02")):
            name = f"{item}.safetensors"
            vectors = torch.full((1, 32), number / 10)
            write_embedding(world / "bank" / name, Embedding(f"<{item}>", vectors, facts, {"clip_l": 32}))
            outputs = {name: file_digest(world / "bank" / name)}
            measured = {part: {"total": 1.0, "foreground": 1.0, "background": 1.0} for part in ("initial", "final")}
            manifest.commit(Record(item, item.partition("/")[0], {}, outputs, {}, {**measured, "losses": []}))


def digest(folder: Path) -> str:
    from aligndiff_cli.models.diffusion.load import fingerprint
    from aligndiff_cli.models.diffusion.sd import StableDiffusion

    return fingerprint(folder, StableDiffusion.parts)


def bank_and(arrange: Callable[[World], object]) -> Callable[[World], object]:
    """A world with a bank, and then what is odd about it."""

    def arranged(world: World) -> object:
        draw_bank(world)
        return arrange(world)

    return arranged


def half(world: World) -> Path:
    """A model whose U-Net is there as .bin alone."""
    copytree(world.model, world / "model")
    (path,) = (world / "model/unet").glob("*.safetensors")
    return path.rename(path.with_suffix(".bin"))


def single(world: World) -> None:
    save_file({"cond_stage_model.transformer.x": torch.zeros(1)}, world / "v1.safetensors")


def noted(world: World) -> None:
    """A checkpoint with a note beside its weights."""
    torch.save({"state_dict": {"x": torch.zeros(1)}, "best_miou": np.float64(60)}, world / "net.pth")


def tell(world: World) -> None:
    torch.save({"state_dict": {"x": torch.zeros(1)}, "args": Namespace(lr=1)}, world / "net.pth")


@table(
    Case(
        "a damaged embedding",
        bank_and(lambda w: cut_short(w / "bank/dog/02.safetensors")),
        GENERATE.replace("--per-class 2", "--per-class 4 --inverted-share 0.75"),
        ("bank/dog/02.safetensors: cannot be read as an embedding", "7 made, 0 already there, 1 skipped"),
        records(
            "synth",
            *(f"chess_queen/inverted-000{n}" for n in range(3)),
            "chess_queen/text-0000",
            "dog/text-0000",
            "dog/inverted-0000",
            "dog/inverted-0002",
        ),
    ),
    Case(
        "an embedding of another width",
        bank_and(lambda w: save_file({"<x>": torch.ones(1, 8)}, w / "bank/dog/02.safetensors", {"aligndiff": HEADER})),
        GENERATE.replace("--per-class 2", "--per-class 4"),
        "bank/dog/02.safetensors: expected an embedding of width 32, got 8",
        records(
            "synth",
            *(
                f"{c}/{k}-000{n}"
                for c in ("chess_queen", "dog")
                for k in ("inverted", "text")
                for n in (0, 1)
                if (c, k, n) != ("dog", "inverted", 1)
            ),
        ),
    ),
    Case(
        "an embedding of no vector",
        bank_and(lambda w: save_file({"<x>": torch.ones(0, 32)}, w / "bank/dog/01.safetensors", {"aligndiff": HEADER})),
        GENERATE,
        "bank/dog/01.safetensors: expected finite vectors of shape (n, width), got (0, 32)",
        records("synth", "chess_queen/inverted-0000", "chess_queen/text-0000", "dog/text-0000"),
    ),
    Case(
        "an embedding of huge numbers",
        bank_and(lambda w: save_file({"<x>": torch.full((1, 32), 1e30)}, w / "bank/dog/01.safetensors", HUGE)),
        GENERATE,
        "bank: the model produced pixels that are not numbers, with the embeddings dog/01",
        records("synth", "chess_queen/inverted-0000", "chess_queen/text-0000", "dog/text-0000"),
    ),
    Case(
        "an embedding whose template is a number",
        bank_and(lambda w: save_file({"<x>": torch.ones(1, 32)}, w / "bank/dog/01.safetensors", {"aligndiff": NUMBER})),
        GENERATE,
        "bank/dog/01.safetensors: does not say with which prompt it was learnt",
        records("synth", "chess_queen/inverted-0000", "chess_queen/text-0000", "dog/text-0000"),
    ),
    Case(
        "an embedding whose template has no place for it",
        bank_and(lambda w: save_file({"<x>": torch.ones(1, 32)}, w / "bank/dog/01.safetensors", {"aligndiff": PLAIN})),
        GENERATE,
        "bank/dog/01.safetensors: the template 'a {class}' has no {v*}",
        records("synth", "chess_queen/inverted-0000", "chess_queen/text-0000", "dog/text-0000"),
    ),
    Case(
        "an embedding that is a pipe",
        bank_and(lambda w: (w / "bank/dog/01.safetensors").unlink() or pipe(w / "bank/dog/01.safetensors")),
        GENERATE,
        "bank/dog/01.safetensors: is no file, but a pipe",
        records("synth", "chess_queen/inverted-0000", "chess_queen/text-0000", "dog/text-0000"),
    ),
    Case(
        "a prompt too long for one class",
        bank_and(lambda w: None),
        GENERATE + f" --template 'a {'photo ' * 18}of a {{{{class}}}}'",
        ("chess_queen: the prompt", "is 25 tokens long; the text encoder takes 24", "no: Token indices"),
        records("synth", "dog/inverted-0000", "dog/text-0000"),
    ),
    Case(
        "a class name too long",
        lambda w: good_pair(w / "support" / ("pneumonoultra" * 3), "01"),
        INVERT,
        ("tokens long; the text encoder takes 24", "no: Token indices"),
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a learning rate far too high",
        lambda w: None,
        INVERT.replace("--steps 1", "--steps 5 --lr 1000000"),
        ("support: the embedding of chess_queen/01, dog/01 diverged", "no: so what is made together"),
        records("bank"),
    ),
    Case(
        "a sampler of another parametrisation",
        bank_and(lambda w: None),
        GENERATE + " --scheduler EDMEulerScheduler",
        "the scheduler 'EDMEulerScheduler' is for models that predict something else than this one",
        nothing("synth"),
        2,
    ),
    Case(
        "a sampler that is none",
        bank_and(lambda w: None),
        GENERATE + " --scheduler magic",
        ("no scheduler for this model is called 'magic'", "Known: ddim"),
        nothing("synth"),
        2,
    ),
    Case(
        "attention where there is none",
        bank_and(lambda w: None),
        GENERATE + " --attention 9",
        "no cross-attention at levels 9",
        nothing("synth"),
        2,
    ),
    Case(
        "a model in one file",
        single,
        INVERT.replace("{model}", "v1.safetensors"),
        ("v1.safetensors: is a model in one file", 'from_single_file("v1.safetensors").save_pretrained("v1")'),
        nothing("bank"),
    ),
    Case(
        "a model file that is not there",
        lambda w: None,
        INVERT.replace("{model}", "models/v1.safetensors"),
        "models/v1.safetensors: there is no such file",
        nothing("bank"),
    ),
    Case(
        "a model in bin files",
        half,
        INVERT.replace("{model}", "model"),
        ("model: unet has its weights in diffusion_pytorch_model.bin only", "then pass --model model-safetensors"),
        nothing("bank"),
    ),
    Case(
        "a checkpoint with notes",
        lambda w: (draw_synth(w / "synth", w.model), noted(w)),
        "mask --images synth --support support --out masks --segmenter ssp --backbone net.pth",
        "net.pth: this is no ResNet",
        nothing("masks"),
    ),
    Case(
        "a checkpoint with objects",
        lambda w: (draw_synth(w / "synth", w.model), tell(w)),
        "mask --images synth --support support --out masks --segmenter ssp --backbone net.pth",
        "net.pth: holds objects that are not read, since reading them runs code: argparse.Namespace",
        nothing("masks"),
    ),
)
def test_odd_models(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


def test_one_embedding_that_diverges_costs_no_other(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from aligndiff_cli.models.diffusion import inversion

    learn = inversion.invert

    def diverging(*arguments: object) -> list:
        first, second = learn(*arguments)  # type: ignore[arg-type]
        return [replace(first, embedding=first.embedding * float("nan")), second]

    monkeypatch.setattr(inversion, "invert", diverging)
    flags = INVERT.replace("support", str(world / "support")).replace("bank", str(world / "bank"))
    output = " ".join(run(*flags.format(model=world.model).split(), code=1).output.split())
    assert "support: the embedding of chess_queen/01 diverged Use a lower --lr" in output
    assert "1 made, 0 already there, 1 skipped" in output
    assert set(read_records(world / "bank")) == {"dog/01"}
    assert not (world / "bank" / "chess_queen" / "01.safetensors").exists()


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
    output = run(*flags.format(model=folder).split(), "--num-vectors", vectors).output
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
