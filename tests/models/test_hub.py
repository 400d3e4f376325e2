"""Downloads: what is fetched, what is said before, and what is said when it cannot be had. No network: a faked hub."""

from __future__ import annotations

import errno
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models import hub
from aligndiff_cli.models.diffusion import load as loading

REPO = "owner/name"
GB = 1_000_000_000


@dataclass
class FakeHub:
    """A repository with files of given sizes, and what was asked of it."""

    root: Path
    sizes: dict[str, int]
    index: dict = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    fetched: list[str] = field(default_factory=list)
    refusal: Exception | None = None
    silence: Exception | None = None

    def model_info(self, repo: str, files_metadata: bool) -> SimpleNamespace:
        assert (repo, files_metadata) == (REPO, True)
        if self.silence:
            raise self.silence
        files = [SimpleNamespace(rfilename=name, size=size) for name, size in self.sizes.items()]
        return SimpleNamespace(sha="abc", siblings=files)

    def hf_hub_download(self, repo: str, name: str) -> str:
        path = self.root / name
        path.write_text(json.dumps(self.index))
        return str(path)

    def snapshot_download(self, repo: str, **told: object) -> str:
        if told.get("local_files_only"):
            assert told["allow_patterns"], "the client would miss the files that were never asked for"
            if not self.cached:
                raise errors.LocalEntryNotFoundError("not there")
            for name in self.cached:
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                (self.root / name).write_text(json.dumps(self.index))
        else:
            if self.refusal:
                raise self.refusal
            self.fetched += told["allow_patterns"]  # type: ignore[arg-type]
        return str(self.root)


def refused(kind: type[Exception], status: int = 403) -> Exception:
    response = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind("no", response=response)  # type: ignore[call-arg]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path, {})
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    for name in ("hf_hub_download", "snapshot_download"):
        monkeypatch.setattr(huggingface_hub, name, getattr(fake, name))
    cache = lambda repo, name, revision: str(tmp_path / name) if name in fake.cached else None  # noqa: E731
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cache)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return fake


SD = {
    "README.md": 9,
    "model_index.json": 500,
    "safety_checker/model.safetensors": GB,
    "scheduler/scheduler_config.json": 300,
    "text_encoder/config.json": 600,
    "text_encoder/model.fp16.safetensors": GB // 4,
    "text_encoder/model.safetensors": GB // 2,
    "text_encoder/pytorch_model.bin": GB // 2,
    "tokenizer/merges.txt": 5000,
    "tokenizer/vocab.json": 9000,
    "unet/config.json": 700,
    "unet/diffusion_pytorch_model.fp16.safetensors": 2 * GB,
    "unet/diffusion_pytorch_model.non_ema.safetensors": 4 * GB,
    "unet/diffusion_pytorch_model.safetensors": 4 * GB,
    "v1-5-pruned.ckpt": 8 * GB,
    "vae/config.json": 550,
    "vae/diffusion_pytorch_model.safetensors": GB // 3,
}
INDEX = {"_class_name": "StableDiffusionPipeline"} | {
    part: ["library", "Class"] for part in ("safety_checker", "scheduler", "text_encoder", "tokenizer", "unet", "vae")
}


@pytest.mark.parametrize("half", [False, True])
def test_only_what_is_needed_is_fetched_and_announced(fake: FakeHub, caplog, half) -> None:
    fake.sizes, fake.index = dict(SD), INDEX
    with caplog.at_level(logging.INFO):
        assert loading._download(REPO, half=half) == fake.root
    variant = ".fp16" if half else ""
    assert sorted(fake.fetched) == sorted(
        [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            f"text_encoder/model{variant}.safetensors",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            f"unet/diffusion_pytorch_model{variant}.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ]
    )
    total = "2.6 GB" if half else "4.8 GB"
    assert caplog.messages == [f"Downloading {REPO} ({total}) to {fake.root}/hf/hub"]


@pytest.mark.parametrize("half", [False, True])
def test_a_variant_that_is_there_is_not_fetched_again_in_the_other(fake: FakeHub, caplog, half) -> None:
    """Else what was inverted on a GPU could not be used without one: two variants make another model."""
    fake.sizes, fake.index = dict(SD), INDEX
    loading._download(REPO, half=not half)
    fake.cached = set(fake.fetched)
    fake.fetched.clear()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        loading._download(REPO, half=half)
    assert (set(fake.fetched), caplog.messages) == (fake.cached, [])


@pytest.mark.parametrize("shard", ["model.fp16-00001-of-00002", "model-00001-of-00002.fp16"])
def test_both_orders_of_variant_and_shard(shard: str) -> None:
    names = [f"text_encoder_3/{shard}.safetensors", "text_encoder_3/model-00001-of-00002.safetensors"]
    sizes = dict.fromkeys(names, 1)
    assert hub.part_files(REPO, sizes, "text_encoder_3", half=True) == names[:1]
    assert hub.part_files(REPO, sizes, "text_encoder_3") == names[1:]


def test_sharded_weights_and_an_absent_optional_part(fake: FakeHub) -> None:
    parts = ("transformer", "text_encoder", "text_encoder_2", "vae", "tokenizer", "tokenizer_2", "scheduler")
    fake.index = {"_class_name": "StableDiffusion3Pipeline", "text_encoder_3": [None, None]}
    fake.index |= {part: ["library", "Class"] for part in parts}
    shards = [f"transformer/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    halves = [f"transformer/diffusion_pytorch_model.fp16-0000{n}-of-00002.safetensors" for n in (1, 2)]
    listing = "transformer/diffusion_pytorch_model.safetensors.index.json"
    fake.sizes = dict.fromkeys([*shards, *halves, listing, "model_index.json", "text_encoder_3/model.safetensors"], 1)
    loading._download(REPO, half=False)
    assert sorted(fake.fetched) == sorted([*shards, listing, "model_index.json"])
    fake.fetched.clear()
    loading._download(REPO, half=True)
    assert sorted(fake.fetched) == sorted([*halves, listing, "model_index.json"])


def test_what_is_there_is_not_counted_and_a_whole_model_is_not_announced(fake: FakeHub, caplog) -> None:
    fake.sizes = {"config.json": 10, "model.safetensors": 40_000_000, "preprocessor_config.json": 10, "x.onnx": 7}
    fake.cached = {"config.json", "preprocessor_config.json"}
    with caplog.at_level(logging.INFO):
        assert hub.network_folder(REPO) == fake.root
        assert [message.split(" to ")[0] for message in caplog.messages] == [f"Downloading {REPO} (40 MB)"]
        fake.cached.add("model.safetensors")
        hub.network_folder(REPO)
    assert len(caplog.messages) == 1
    assert sorted(set(fake.fetched)) == ["config.json", "model.safetensors", "preprocessor_config.json"]


def test_weights_that_could_run_code_are_refused(fake: FakeHub) -> None:
    fake.sizes = {"config.json": 10, "pytorch_model.bin": 40}
    with pytest.raises(ModelError, match="no safetensors weights for the model"):
        hub.network_folder(REPO)
    assert not fake.fetched


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (
            refused(errors.GatedRepoError),
            r"owner/name: its licence must be accepted first\. Accept the licence at "
            r"https://huggingface\.co/owner/name and set HF_TOKEN",
        ),
        (refused(errors.RepositoryNotFoundError), "neither a folder nor a model on the hub.*HF_TOKEN"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full.*HF_HOME"),
        (ConnectionError("reset by peer"), r"cannot be downloaded \(reset by peer\)"),
    ],
)
def test_refusals_come_with_a_remedy(fake: FakeHub, refusal, message) -> None:
    fake.sizes, fake.refusal = {"config.json": 10, "model.safetensors": 40}, refusal
    with pytest.raises(ModelError, match=message):
        hub.network_folder(REPO)


def test_a_name_the_hub_does_not_know(fake: FakeHub) -> None:
    fake.silence = refused(errors.RepositoryNotFoundError)
    with pytest.raises(ModelError, match="neither a folder nor a model on the hub"):
        hub.network_folder(REPO)


def test_too_little_room_is_seen_before(fake: FakeHub, monkeypatch, caplog) -> None:
    fake.sizes = {"model.safetensors": 5 * GB}
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: SimpleNamespace(free=GB))
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(ModelError, match=r"needs 5\.0 GB, and 1\.0 GB are .*HF_HOME"),
    ):
        hub.network_folder(REPO)
    assert not fake.fetched
    assert not caplog.messages


@pytest.mark.parametrize("offline", [True, False])
def test_without_the_hub_an_earlier_download_is_used(fake: FakeHub, monkeypatch, offline) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    fake.silence = AssertionError("asked while offline") if offline else ConnectionError("no route")
    why = "HF_HUB_OFFLINE is set. Unset" if offline else "the hub cannot be reached. Check the network"
    with pytest.raises(ModelError, match=f"neither a folder nor in the cache, and {why}"):
        loading._download(REPO, half=False)
    fake.cached, fake.index = set(SD), INDEX
    assert loading._download(REPO, half=False) == fake.root


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_does_not_keep_from_an_earlier_download(fake: FakeHub, status) -> None:
    fake.silence = refused(errors.HfHubHTTPError, status)
    fake.cached, fake.index = set(SD), INDEX
    assert loading._download(REPO, half=False) == fake.root
    fake.silence = refused(errors.HfHubHTTPError, 401)
    with pytest.raises(ModelError, match="cannot be downloaded"):
        loading._download(REPO, half=False)


@pytest.mark.parametrize("index", [{"_class_name": "DDPMPipeline"}, {"a": 1}, []])
def test_other_repositories_are_named_before_anything_is_fetched(fake: FakeHub, index) -> None:
    fake.sizes, fake.index = {"model_index.json": 1, "unet/diffusion_pytorch_model.safetensors": GB}, index
    with pytest.raises(ModelError, match=r"DDPMPipeline is not supported|not a diffusers pipeline"):
        loading._download(REPO, half=False)
    fake.sizes = {"config.json": 3}
    with pytest.raises(ModelError, match="not a diffusers pipeline"):
        loading._download(REPO, half=False)
    assert not fake.fetched


@pytest.mark.parametrize(("name", "is_one"), [(REPO, True), ("./a/b", False), ("a", False), ("a/b/c", False)])
def test_what_can_be_a_repository(name, is_one) -> None:
    assert hub.is_repo_id(name) is is_one


@pytest.mark.parametrize(
    ("size", "text"), [(999, "999 bytes"), (1000, "1 kB"), (42_000_000, "42 MB"), (4_265_000_000, "4.3 GB")]
)
def test_readable_sizes(size, text) -> None:
    assert hub.readable(size) == text


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert hub.network_folder(tmp_path) == tmp_path
    with pytest.raises(ModelError, match="no such model folder"):
        hub.network_folder(tmp_path / "missing")
