"""What is read from strangers is bounded, and what is wrong with it is said in one line."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from tracker.core.camera import CameraConfig, read_intrinsics
from tracker.core.errors import InputError
from tracker.core.input_file import read_bytes, reading
from tracker.core.npz_file import read_npy, read_npz
from tracker.core.strict_yaml import read_yaml


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("poses"), "lacks 'poses'"),
        (FileNotFoundError(2, "x"), "no such file"),
        (PermissionError(13, "Permission denied"), r"cannot be read \(Permission denied\)"),
        (MemoryError(), "needs more memory"),
        (RecursionError("maximum"), "is nested too deeply"),
        (RuntimeError("File 'a' is encrypted, password required"), "is encrypted"),
        (ZeroDivisionError("integer\nmodulo   by zero"), "integer modulo by zero"),
        (ValueError(""), "is broken"),
        (ValueError("x" * 10_000), "x{150};"),
    ],
)
def test_every_fault_becomes_one_short_line(error: Exception, words: str) -> None:
    with pytest.raises(InputError, match=rf"^clip\.bvh: {words}.*expected motion$") as caught:
        with reading("clip.bvh", "expected motion"):
            raise error
    assert len(str(caught.value)) < 250


def test_an_input_error_inside_keeps_its_words() -> None:
    with pytest.raises(InputError, match=r"^mine$"), reading("a", "b"):
        raise InputError("mine")


def test_a_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    assert read_bytes(path, 100) == bytes(100)
    with pytest.raises(ValueError, match="larger"):
        read_bytes(path, 99)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device without an end")
def test_a_device_without_an_end_ends() -> None:
    with pytest.raises(ValueError, match="larger"):
        read_bytes(Path("/dev/zero"), 1 << 20)


def archive(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_an_archive_comes_back_as_numpy_wrote_it() -> None:
    objects = np.empty((), dtype=object)
    objects[()] = {"a": np.arange(3), "b": "text"}
    arrays = {
        "plain": np.arange(6, dtype=">i2").reshape(2, 3),
        "column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 5)),
        "scalar": np.float64(1.5),
        "text": np.array("neutral"),
    }
    content = read_npz(archive(**arrays, objects=objects))
    for name, array in arrays.items():
        np.testing.assert_array_equal(content[name], array)
        assert content[name].dtype == np.asarray(array).dtype
    assert content["objects"]["a"].tolist() == [0, 1, 2]
    assert set(read_npz(archive(**arrays), ("text", "scalar", "absent"))) == {"text", "scalar"}


def test_a_header_may_not_promise_more_than_there_is() -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(80)
    tracemalloc.start()
    with pytest.raises(ValueError, match="in 157 bytes"):
        read_npy(data)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_an_archive_may_not_grow_without_bounds() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb, bomb.open("a.npy", "w") as entry:
        for _ in range(200):
            entry.write(bytes(1 << 20))
    assert len(buffer.getvalue()) < 300_000
    with pytest.raises(ValueError, match="more than is read"):
        read_npz(buffer.getvalue())


def test_compressed_zeros_are_no_bomb() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, zeros=np.zeros(1_000_000))
    assert not read_npz(buffer.getvalue())["zeros"].any()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [1, 2]\nb: *a", "alias"),
        ("[" * 200, "deep"),
        ("a: " + "x" * (1 << 20), "larger"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
    ],
)
def test_yaml_stays_plain(text: str, words: str) -> None:
    with pytest.raises(yaml.YAMLError, match=words):
        read_yaml(text)


def test_yaml_gives_plain_values() -> None:
    assert read_yaml("a: [1, 2.5, yes, null]\nb: {c: text}") == {"a": [1, 2.5, True, None], "b": {"c": "text"}}


@pytest.mark.parametrize("focal", [1e-300, 0.0, -1.0, 1e300, float("nan"), float("inf")])
def test_a_focal_length_that_no_camera_has(focal: float) -> None:
    with pytest.raises(InputError, match="--focal"):
        CameraConfig(focal=focal)


@pytest.mark.parametrize("fov", [1e-300, 0.0, 180.0, float("nan")])
def test_a_field_of_view_that_no_camera_has(fov: float) -> None:
    with pytest.raises(InputError, match="--fov"):
        CameraConfig(fov=fov)


@pytest.mark.parametrize(
    "values", [{"fx": 1e-300}, {"cx": 1e300}, {"width": 1e300}, {"width": 0}, {"fx": None}, {"cy": [1]}]
)
def test_intrinsics_that_no_camera_has(tmp_path: Path, values: dict[str, object]) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"fx": 500, "fy": 500, "cx": 320, "cy": 240, "width": 640, "height": 480} | values))
    with pytest.raises(InputError, match=r"camera\.json"):
        read_intrinsics(path)
