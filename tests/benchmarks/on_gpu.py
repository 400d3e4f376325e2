"""What is done for the sake of a GPU, with and without it, as ratios; random weights, no network, under 100 seconds.

    python tests/benchmarks/on_gpu.py [--only a b c d e f]

    a   generate at 512 px by a U-Net of Stable Diffusion 1.5's size: files written beside the next batch, or between
    b   a step of DeepLab's base training on a ResNet-50: float32, TF32, bfloat16 with channels last
    c   SSP and HSNet on a ResNet-50, for each picture: float32, float16; HSNet's queries one by one and together
    d   a step of inversion of that U-Net with and without checkpointing: time and memory
    e   memory that holds half a batch: the batch is halved for real
    f   training batches: stacked and copied in the main thread, or ahead

``--tiny`` runs all of it on the CPU with networks of no size, to see that the script itself works.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aligndiff_cli.disk import bank
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import read_soft
from aligndiff_cli.engine import runner
from aligndiff_cli.engine.manifest import ManifestWriter, Record, read_records
from aligndiff_cli.engine.run_file import RunFile, write_run
from aligndiff_cli.engine.stage import Made
from aligndiff_cli.engine.writer import Writer, to_record, written
from aligndiff_cli.errors import ModelError
from aligndiff_cli.models import precision

CLASSES = ("dog", "owl")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Sizes:
    """What is measured, and for how long."""

    device: torch.device
    dtype: torch.dtype = torch.float16
    side: int = 512
    unet: tuple[int, ...] = (320, 640, 1280, 1280)
    vae: tuple[int, ...] = (128, 256, 512, 512)
    steps: int = 15
    crop: int = 473
    ssp: int = 320
    hsnet: int = 400
    resnet: tuple[int, ...] = (3, 4, 6, 3)
    repeats: int = 10

    @classmethod
    def tiny(cls) -> Sizes:
        small = (32, 32, 32, 32)
        return cls(torch.device("cpu"), torch.float32, 64, small, small, 2, 65, 64, 64, (1, 1, 1, 1), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list("abcdef"), default=list("abcdef"))
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.tiny:
        print("on_gpu.py needs CUDA: nothing measured")
        return
    sizes = Sizes.tiny() if arguments.tiny else Sizes(torch.device("cuda"))
    card = "CPU, no size" if arguments.tiny else torch.cuda.get_device_name()
    print(f"{card}, torch {torch.__version__}", flush=True)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(sizes, Path(folder))
        failed = [name for name in arguments.only if not attempt(name, getattr(parts, name))]
    print(f"{time.perf_counter() - begun:.0f} s in all")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def attempt(name: str, part: Callable[[], None]) -> bool:
    """Run one part; a failure costs the others nothing."""
    begun = time.perf_counter()
    try:
        part()
    except Exception:
        traceback.print_exc(limit=-6, file=sys.stdout)
        return False
    finally:
        print(f"   ({name}: {time.perf_counter() - begun:.0f} s)", flush=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True


def say(name: str, what: str, values: dict[str, float], unit: str) -> None:
    """One line: values, and each after the first as a ratio to it."""
    (first, base), *others = values.items()
    ratios = [f"{other} {value:.3g} {unit} ({value / base:.2f})" for other, value in others]
    print(f"{name}  {what}: {', '.join([f'{first} {base:.3g} {unit}', *ratios])}", flush=True)


class Parts:
    """The measurements; what two of them need is made once."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self.sizes, self.folder = sizes, folder
        self._model: Any = None

    # -- a, d, e: a diffusion model

    @property
    def model(self) -> Any:
        if self._model is None:
            self._model = build_diffusion(self.sizes)
        return self._model

    def a(self) -> None:
        self.generate("warm", per_class=1)
        seconds = {}
        for name, writer in (("between", Between), ("beside", Beside)):
            self.generate(name, per_class=16, writer=writer)
            seconds[name] = writer.seconds / 4
        say("a", f"generate, {self.sizes.steps} steps, a batch of 8", seconds, "s")

    def generate(self, name: str, per_class: int, writer: Any = Writer) -> Path:
        """A generate folder: half inverted and half text samples of two classes (one is of text), in batches of 8."""
        from aligndiff_cli.stages.generate import GenerateStage
        from aligndiff_cli.stages.options.generate import GenerateOptions

        side, out = self.sizes.side, self.folder / name
        options = GenerateOptions(
            bank=self.bank(),
            out=out,
            per_class=per_class,
            steps=self.sizes.steps,
            height=side,
            width=side,
            device=self.sizes.device.type,
        )
        stage = GenerateStage(options)
        stage.__dict__["model"] = self.model  # in the place of the one in the folder, which has no size
        with patched(runner, "Writer", writer):
            outcome = runner.run_stage(stage, Silent())
        assert outcome.made == 2 * per_class, outcome
        return out

    def bank(self) -> Path:
        """A bank of made-up embeddings, and the folder of a small model of the same width."""
        folder, model = self.folder / "bank", self.folder / "model"
        if not folder.is_dir():
            save_small(model, self.model.embedding_dim)
            from aligndiff_cli.models.diffusion.load import describe_diffusion

            about = describe_diffusion(model, device=self.sizes.device.type)
            made_by = {"source": str(model), "fingerprint": about.fingerprint}
            write_run(folder, RunFile("invert", {}, 0, {"images": "../support"}, {"diffusion": made_by}))
            vectors = torch.full((1, self.model.embedding_dim), 0.02)
            with ManifestWriter(folder) as manifest:
                for cls in CLASSES:
                    name = f"{cls}/01{bank.SUFFIX}"
                    header = {"class": cls, "template": "a photo of a {v*} {class}"}
                    own = bank.Embedding(f"<{cls}/01>", vectors, header, self.model.embedding_parts)
                    bank.write_embedding(folder / name, own)
                    losses = dict.fromkeys(("total", "foreground", "background"), 0.5)
                    outputs, measured = {name: file_digest(folder / name)}, {"initial": losses, "final": losses}
                    manifest.commit(Record(f"{cls}/01", cls, {}, outputs, measured=measured))
        return folder

    def d(self) -> None:
        from aligndiff_cli.models.diffusion import Instance, InversionOptions, invert

        sizes = self.sizes
        rng = np.random.default_rng(0)
        image = photograph(rng, sizes.side, sizes.side)
        pairs = [Instance("dog", (image,), (image[..., 0] > 127,))] * 2
        times, peaks = {}, {}
        for name, checkpointing in (("kept", False), ("computed again", True)):
            stamps: list[float] = []

            def note(*_: Any, stamps: list[float] = stamps) -> None:
                wait()
                stamps.append(time.perf_counter())

            how = InversionOptions(
                steps=8, batch=4, accumulation=1, size=(sizes.side, sizes.side), checkpointing=checkpointing
            )
            reset_peak()
            invert(self.model, pairs, how, [0, 1], note)
            times[name] = float(np.median(np.diff(stamps)[1:])) * 1e3
            peaks[name] = peak()
        say("d", "a step of inversion, 8 samples", times, "ms")
        say("d", "its peak memory", peaks, "GiB")

    def e(self) -> None:
        from aligndiff_cli.method.prompts import Prompt
        from aligndiff_cli.models.diffusion import SampleOptions, sample

        sizes = self.sizes
        whole = self.generate("whole", per_class=1)
        held = {}
        for count in (8, 4):
            reset_peak()
            options = SampleOptions(height=sizes.side, width=sizes.side, steps=2)
            sample(self.model, [Prompt("a photo of a {class}", "dog")] * count, list(range(count)), options)
            held[count] = reserved()
        say("e", "memory held for a batch", {"of 8": held[8], "of 4": held[4]}, "GiB")
        with limited(self.model, (held[4] + held[8]) / 2):
            halved = self.generate("halved", per_class=1)
        told = sorted({record.measured.get("at_once", 8) for record in read_records(halved).values()})
        off = max(
            float(np.abs(read_soft(halved / name) - read_soft(whole / name)).max()) * 255
            for record in read_records(whole).values()
            for name in record.outputs
            if name.startswith("coarse/")
        )
        print(
            f"e  with room for half of it: at_once {told}, coarse maps differ by {off:.0f} of 255 at most", flush=True
        )

    # -- b, c, f: networks that look at pictures

    def b(self) -> None:
        images, labels = self.labelled(8)
        modes = {"float32": False, "TF32": True, "bfloat16, channels last": None}
        times = {}
        for name, tf32 in modes.items():
            with nullcontext() if tf32 is None else full_precision(tf32=tf32):
                step = self.deeplab_step()
                times[name] = timed(lambda step=step: step(images, labels), self.sizes.repeats)
        say("b", f"DeepLab, a step of 8 crops of {self.sizes.crop} px", times, "ms")

    def deeplab_step(self) -> Callable[[Tensor, Tensor], Any]:
        """One step of the base stage on a random ResNet-50."""
        from aligndiff_cli.models.parallel import ALONE
        from aligndiff_cli.models.semantic.base_training import batch_loss
        from aligndiff_cli.models.semantic.deeplab import Architecture, DeepLab

        torch.manual_seed(0)
        model = DeepLab(self.resnet_config(), Architecture(), 16, MEAN, STD)
        model = precision.placed(model, self.sizes.device).train()
        optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, weight_decay=1e-4)

        def step(images: Tensor, labels: Tensor) -> None:
            optimizer.zero_grad(set_to_none=True)
            batch_loss(model(images), labels, ALONE).backward()
            optimizer.step()

        return step

    def labelled(self, count: int) -> tuple[Tensor, Tensor]:
        side, device = self.sizes.crop, self.sizes.device
        images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, device=device)
        return images, torch.randint(0, 16, (count, side, side), device=device)

    def c(self) -> None:
        from aligndiff_cli.models.segmenters.hsnet import HSNet, HsnetSegmenter
        from aligndiff_cli.models.segmenters.hsnet_published import PAIRS
        from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings

        sizes, rng = self.sizes, np.random.default_rng(0)
        modes: dict[str, Any] = {"float32": lambda: full_precision(tf32=False), "float16": nullcontext}
        count = 32 if sizes.repeats > 1 else 4
        for height, width in ((sizes.ssp, sizes.ssp), (480, 640)):
            images = [photograph(rng, height, width) for _ in range(count)]
            times = {}
            for name, mode in modes.items():
                with mode():
                    ssp = SspSegmenter(self.backbone(), sizes.ssp, SspSettings(stages=(3, 4)))
                    times[name] = each(ssp, images)
            say("c", f"SSP at {sizes.ssp} px, a picture of {height} x {width}", times, "ms")
        images = [photograph(rng, sizes.hsnet, sizes.hsnet) for _ in range(count // 4)]
        times = {}
        for name, mode, batch in (
            ("float32, one query", modes["float32"], 1),
            ("float16, one query", nullcontext, 1),
            (f"float16, {PAIRS} queries", nullcontext, PAIRS),
        ):
            with mode():
                torch.manual_seed(0)
                hsnet = HsnetSegmenter(self.backbone(), HSNet(sizes.resnet[1:]), sizes.hsnet, batch=batch)
                times[name] = each(hsnet, images)
        say("c", f"HSNet at {sizes.hsnet} px, a picture", times, "ms")

    def f(self) -> None:
        from aligndiff_cli.method.augmentation import augment
        from aligndiff_cli.models.semantic import batches as module

        side, rng = self.sizes.crop, np.random.default_rng(0)
        shown = [(photograph(rng, 375, 500), np.zeros((375, 500), np.uint8)) for _ in range(8)]
        steps = 2 * self.sizes.repeats

        def make(own: np.random.Generator) -> Any:
            return augment(own, *shown[int(own.integers(8))], (side, side))

        times = {}
        for name, ahead in (("main thread", False), ("ahead", True)):
            step = self.deeplab_step()
            device = self.sizes.device if ahead else module.CPU
            begun = 0.0
            for number, (images, labels) in enumerate(module.batches(make, 0, "f", range(steps + 3), 8, device)):
                if number == 3:
                    wait()
                    begun = time.perf_counter()
                step(images, labels.to(self.sizes.device))
            wait()
            times[name] = (time.perf_counter() - begun) / steps * 1e3
        say("f", "DeepLab, a step with its batch, copied", times, "ms")

    def resnet_config(self) -> Any:
        from transformers import ResNetConfig

        return ResNetConfig(depths=list(self.sizes.resnet))

    def backbone(self) -> Any:
        from transformers import ResNetModel

        from aligndiff_cli.models.segmenters.backbone import Backbone

        torch.manual_seed(0)
        return precision.placed(Backbone(ResNetModel(self.resnet_config()), MEAN, STD), self.sizes.device)


class Silent:
    """Progress that nobody looks at."""

    def start(self, total: int, unit: str) -> None: ...
    def advance(self, units: int, note: str = "") -> None: ...


class Beside(Writer):
    """The writer, and how long its block took."""

    seconds = 0.0

    def __enter__(self) -> Beside:
        self._begun = time.perf_counter()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        type(self).seconds = time.perf_counter() - self._begun


class Between(Beside):
    """Writes in the main thread, before it goes on."""

    def put(self, made: Made) -> None:
        self._commit(to_record(self._folder, written(made)))


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """While open, something of a module is another."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def full_precision(*, tf32: bool) -> Iterator[None]:
    """While open, networks are placed and run as if there were no ``models/precision.py``."""

    def placed(net: Any, device: Any) -> Any:
        return net.to(device)

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with (
        patched(precision, "placed", placed),
        patched(precision, "half", lambda device, dtype: nullcontext()),
    ):
        matmul.allow_tf32 = cudnn.allow_tf32 = tf32
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


@contextmanager
def limited(model: Any, gib: float) -> Iterator[None]:
    """While open, a GPU gives no more memory than this; where there is none, no more than 4 samples are encoded."""
    if not torch.cuda.is_available():

        def encode(prompts: Sequence[Any]) -> Any:
            if len(prompts) > 4:
                raise torch.OutOfMemoryError("as if")
            return known(prompts)

        known = model.encode_prompts
        with patched(model, "encode_prompts", encode):
            yield
        return
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory / 2**30
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak() -> float:
    """Most memory in use since it was last reset, GiB."""
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 1.0


def reserved() -> float:
    """Most memory taken from the device since it was last reset, GiB."""
    return torch.cuda.max_memory_reserved() / 2**30 if torch.cuda.is_available() else 1.0


def timed(work: Callable[[], Any], repeats: int) -> float:
    """Milliseconds that it takes, after three times that do not count."""
    for _ in range(min(3, repeats)):
        work()
    wait()
    begun = time.perf_counter()
    for _ in range(repeats):
        work()
    wait()
    return (time.perf_counter() - begun) / repeats * 1e3


def each(segmenter: Any, images: Sequence[np.ndarray]) -> float:
    """Milliseconds for each picture that a segmenter is asked about."""
    mask = np.zeros(images[0].shape[:2], bool)
    mask[10:-20, 20:-20] = True
    state = segmenter.condition([(images[0], mask)])
    return timed(lambda: segmenter.predict(state, images), 3) / len(images)


def photograph(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A picture that costs a PNG what a photograph does: gradients and grain, 1.7 bytes a pixel."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [100 + 60 * np.sin(rows / (30 + 9 * c)) + 40 * np.cos(columns / (41 - 7 * c)) for c in range(3)]
    grain = rng.normal(0, 3, (height, width, 3))
    return np.clip(np.stack(waves, -1) + grain, 0, 255).astype(np.uint8)


def build_diffusion(sizes: Sizes) -> Any:
    """Stable Diffusion 1.5 with random weights; its pictures are made up after the decoder has done its work."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from aligndiff_cli.models.diffusion.defaults import ModelDefaults
    from aligndiff_cli.models.diffusion.sd import StableDiffusion

    tokenizer = small_tokenizer()
    torch.manual_seed(0)
    with sizes.device:
        unet = UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=sizes.unet
        )
        vae = AutoencoderKL(
            block_out_channels=sizes.vae,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        )
        text = text_encoder(tokenizer, 768, layers=12 if len(set(sizes.unet)) > 1 else 1)
    parts = {"unet": unet, "vae": vae, "text_encoder": text}
    pipeline = SimpleNamespace(
        **{name: part.to(sizes.dtype) for name, part in parts.items()}, tokenizer=tokenizer, scheduler=scheduler()
    )
    model = StableDiffusion(pipeline, source="random", fingerprint="", defaults=ModelDefaults(), device=sizes.device)
    decode, rng = model.decode, np.random.default_rng(0)
    drawn = np.stack([photograph(rng, sizes.side, sizes.side) for _ in range(8)])

    def made_up(latents: Tensor) -> np.ndarray:
        with suppress(ModelError):  # random weights may come to no numbers; the work is the same
            decode(latents)
        return drawn[: len(latents)]

    model.decode = made_up  # type: ignore[method-assign]
    return model


def save_small(folder: Path, width: int) -> None:
    """A pipeline of no size, but of that width of text, as a folder: what a stage reads to describe a model."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

    tokenizer = small_tokenizer()
    StableDiffusionPipeline(
        text_encoder=text_encoder(tokenizer, width, layers=1),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=64, cross_attention_dim=width, block_out_channels=(32,) * 4, attention_head_dim=8
        ),
        vae=AutoencoderKL(
            block_out_channels=(32,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
        ),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)


def small_tokenizer() -> Any:
    """The bundled model's, with Stable Diffusion's length."""
    from transformers import CLIPTokenizer

    from aligndiff_cli.stages.common import POCKET_FOLDER

    return CLIPTokenizer.from_pretrained(POCKET_FOLDER / "tokenizer", model_max_length=77)


def text_encoder(tokenizer: Any, width: int, layers: int) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return CLIPTextModel(config)


def scheduler() -> Any:
    from diffusers import DDIMScheduler

    with torch.device("cpu"):
        return DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, steps_offset=1
        )


if __name__ == "__main__":
    main()
