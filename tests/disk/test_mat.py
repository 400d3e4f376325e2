from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk.mat import read_mat
from aligndiff_cli.errors import InputError
from tests.datasets.lookalikes import mat_file

LABELS = np.array([[0, 0, 7], [255, 3, 0]], np.uint8)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_field_of_a_struct(tmp_path: Path, compressed: bool, order: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(mat_file(LABELS, compressed=compressed, order=order))
    found = read_mat(path, "GTcls", "Segmentation")
    np.testing.assert_array_equal(found, LABELS)
    assert found.dtype == np.uint8
    # small enough to be packed into its head
    np.testing.assert_array_equal(read_mat(path, "GTcls", "CategoriesPresent"), [[3], [7], [255]])


def test_scipy_writes_what_is_read(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    for compressed in (False, True):
        content = {"other": np.ones(3), "GTcls": {"Boundaries": np.empty((2, 1), object), "Segmentation": LABELS}}
        scipy.savemat(tmp_path / "a.mat", content, do_compression=compressed)
        np.testing.assert_array_equal(read_mat(tmp_path / "a.mat", "GTcls", "Segmentation"), LABELS)


@pytest.mark.parametrize(("variable", "field"), [("GTinst", "Segmentation"), ("GTcls", "Instances")])
def test_what_is_not_there_is_named(tmp_path: Path, variable: str, field: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(mat_file(LABELS, compressed=True))
    with pytest.raises(InputError, match=rf"a\.mat: holds no {variable}\.{field}"):
        read_mat(path, variable, field)


def test_every_cut_is_told(tmp_path: Path) -> None:
    whole = mat_file(LABELS, compressed=False)
    path = tmp_path / "a.mat"
    for length in (0, 60, 127, 200, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="level 5"):
            read_mat(path, "GTcls", "Segmentation")
    path.write_bytes(b"\x89HDF\r\n\x1a\n".ljust(600, b"\0"))
    with pytest.raises(InputError, match=r"files of MATLAB 7\.3"):
        read_mat(path, "GTcls", "Segmentation")
    with pytest.raises(InputError, match="cannot be read"):
        read_mat(tmp_path / "none.mat", "GTcls", "Segmentation")
