"""Downloads: said beforehand, made once, and refused in plain words. No network: the hub's client is replaced."""

from __future__ import annotations

import errno
import fnmatch
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models import hub
from aligndiff_cli.models.hub import fetch, readable_size

FILES = {"config.json": 500, "model.safetensors": 97_800_000, "pytorch_model.bin": 98_000_000}
ALLOW = ("*.json", "*.safetensors")


class FakeHub:
    """A hub with one repository, owner/net, and a cache folder."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.on_info: Exception | None = None
        self.on_download: Exception | None = None
        self.downloads = 0

    def model_info(self, source: str, files_metadata: bool) -> SimpleNamespace:
        assert files_metadata
        if self.on_info is not None:
            raise self.on_info
        files = [SimpleNamespace(rfilename=name, size=size) for name, size in FILES.items()]
        return SimpleNamespace(sha="1" * 40, siblings=files)

    def try_to_load_from_cache(self, source: str, name: str, revision: str) -> str | None:
        path = self.cache / "net" / name
        return str(path) if path.exists() else None

    def snapshot_download(self, source: str, allow_patterns: list[str], local_files_only: bool = False) -> str:
        folder = self.cache / "net"
        if local_files_only:
            if not folder.is_dir():
                raise LocalEntryNotFoundError("nothing there")
            return str(folder)
        if self.on_download is not None:
            raise self.on_download
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if any(fnmatch.fnmatch(name, rule) for rule in allow_patterns):
                (folder / name).touch()
        self.downloads += 1
        return str(folder)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    made = FakeHub(tmp_path / "not" / "made" / "yet")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", made.try_to_load_from_cache)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(made.cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return made


def http(kind: type[HfHubHTTPError], status: int = 403) -> HfHubHTTPError:
    request = SimpleNamespace(url="https://huggingface.co/owner/net", method="GET")
    return kind("no\nmore", response=SimpleNamespace(status_code=status, headers={}, request=request))


def test_a_folder_is_taken_as_it_is(tmp_path: Path, fake: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(str(tmp_path), allow=ALLOW) == tmp_path
    assert fake.downloads == 0
    assert capsys.readouterr() == ("", "")


def test_a_download_is_one_line_with_its_size_and_made_once(fake: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fetch("owner/net", allow=ALLOW)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"Downloading owner/net: 2 files, 97.8 MB, to {fake.cache}\n"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert fetch("owner/net", allow=ALLOW) == folder
    assert capsys.readouterr() == ("", "")


def test_only_what_is_missing_counts(fake: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    fetch("owner/net", allow=["*.safetensors"])
    capsys.readouterr()
    fetch("owner/net", allow=ALLOW)
    assert capsys.readouterr().err == f"Downloading owner/net: 1 file, 500 bytes, to {fake.cache}\n"


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (http(GatedRepoError), "gated on the hub", r"/owner/net, then run `hf auth login` or set HF_TOKEN"),
        (http(RepositoryNotFoundError, 404), "nor a repository of the hub", "Check the name"),
        (http(HfHubHTTPError, 503), r"the hub refused it \(no\)", "Try again later, or run `hf download owner/net`"),
        (ConnectionError("no route"), r"cannot be reached \(ConnectionError\)", "Check the network"),
    ],
)
def test_what_the_hub_says_is_said_with_a_remedy(fake: FakeHub, error: Exception, what: str, remedy: str) -> None:
    fake.on_info = error
    with pytest.raises(ModelError, match=what) as raised:
        fetch("owner/net", allow=ALLOW)
    assert raised.value.where == "owner/net"
    with pytest.raises(ModelError, match=remedy):
        fetch("owner/net", allow=ALLOW)


def test_gates_that_only_the_download_meets(fake: FakeHub) -> None:
    fake.on_download = http(GatedRepoError)
    with pytest.raises(ModelError, match="gated"):
        fetch("owner/net", allow=ALLOW)


def test_offline_with_and_without_a_cache(
    fake: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.on_info = ConnectionError("offline")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set. Unset it"):
        fetch("owner/net", allow=ALLOW)
    (fake.cache / "net").mkdir(parents=True)
    assert fetch("owner/net", allow=ALLOW) == fake.cache / "net"
    assert capsys.readouterr() == ("", "")


def test_a_full_disk_is_noticed_before_and_during(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.on_download = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ModelError, match=r"no room on the disk .*No space left.*HF_HOME"):
        fetch("owner/net", allow=ALLOW)
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: SimpleNamespace(free=97_800_499))
    fake.on_download = None
    with pytest.raises(ModelError, match=r"97\.8 MB to download, 97\.8 MB free"):
        fetch("owner/net", allow=ALLOW)
    assert fake.downloads == 0


def test_a_repository_without_what_is_needed(fake: FakeHub) -> None:
    with pytest.raises(ModelError, match=r"none of \*\.msgpack"):
        fetch("owner/net", allow=["*.msgpack"])


@pytest.mark.parametrize("source", ["nowhere", "./a/b", "/a/b", "a/b/c", "~/b", "a\\b", "a/b c", ""])
def test_what_is_no_id_never_reaches_the_hub(fake: FakeHub, source: str) -> None:
    fake.on_info = AssertionError("asked the hub")
    with pytest.raises(ModelError, match="no such model folder"):
        fetch(source, allow=ALLOW)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (97_800_000, "97.8 MB"), (999_960_000, "1.0 GB")],
)
def test_sizes_as_people_write_them(count: int, expected: str) -> None:
    assert readable_size(count) == expected
