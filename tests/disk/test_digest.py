"""Digests of two kinds, and files that need not be read again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from aligndiff_cli.disk.digest import KnownFiles, Stamp, as_in, file_digest, has_digest, joint_digest, using
from aligndiff_cli.errors import InputError

SHA = hashlib.sha256(b"abc").hexdigest()
FORMER = hashlib.blake2b(b"abc", digest_size=16).hexdigest()
SECOND = 1_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"abc")
    return tmp_path / "a"


def test_digests_are_sha_256_and_those_of_former_versions_are_still_compared(file: Path) -> None:
    assert file_digest(file) == SHA
    assert file_digest(file, former=True) == FORMER
    assert has_digest(file, SHA)
    assert has_digest(file, FORMER)
    assert not has_digest(file, None)
    file.write_bytes(b"abd")
    assert not has_digest(file, SHA)
    assert not has_digest(file, FORMER)


def test_a_joint_digest_is_of_the_kind_that_is_asked_for_in_any_order() -> None:
    names = {"b": "2", "a": "1"}
    assert joint_digest(names) == joint_digest({"a": "1", "b": "2"}) == hashlib.sha256(b"a 1\nb 2").hexdigest()
    with as_in(FORMER):
        assert len(joint_digest(names)) == 32
        with as_in(SHA):
            assert len(joint_digest(names)) == 64
        assert joint_digest(names) == joint_digest(names, former=True)


def test_a_file_whose_size_and_times_are_known_is_not_read(file: Path) -> None:
    known = {str(file): (Stamp.of(file.stat()), ("f" * 64, "e" * 32))}
    with using(KnownFiles(known=known)) as _:
        assert file_digest(file) == "f" * 64
        assert file_digest(file, former=True) == "e" * 32
    assert file_digest(file) == SHA


def test_a_change_is_seen_by_its_size_its_time_or_where_its_time_was_set_back(file: Path) -> None:
    stamp = Stamp.of(file.stat())
    with using(KnownFiles(known={str(file): (stamp, ("f" * 64,))})):
        file.write_bytes(b"abd")
        os.utime(file, ns=(stamp.mtime, stamp.mtime))
        assert file.stat().st_mtime_ns == stamp.mtime
        assert file.stat().st_size == stamp.size
        assert file_digest(file) == hashlib.sha256(b"abd").hexdigest()


def test_what_is_not_regular_or_not_there_is_refused_whatever_is_known(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    known = {str(tmp_path / "pipe"): (Stamp.of((tmp_path / "pipe").stat()), ("f" * 64,))}
    with using(KnownFiles(known=known)):
        with pytest.raises(InputError, match="a pipe"):
            file_digest(tmp_path / "pipe")
        with pytest.raises(InputError, match="cannot be read"):
            file_digest(tmp_path / "missing")


def test_a_file_read_within_the_tick_of_a_coarse_clock_is_not_kept(file: Path) -> None:
    files = KnownFiles()
    with using(files):
        file_digest(file)
    assert list(files.read) == [str(file)]
    whole = Stamp(3, 5 * SECOND, 5 * SECOND)
    assert whole.coarse
    assert whole.is_new_at(6 * SECOND)
    assert not whole.is_new_at(7 * SECOND)
    fine = Stamp(3, 5 * SECOND + 1, 4 * SECOND)
    assert not fine.coarse
    assert fine.is_new_at(5 * SECOND + 2)
    assert not fine.is_new_at(6 * SECOND)
