"""A user's SMPL file: equal to smplx where it is good, one clear line where it is not, and never executed."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tracemalloc
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from tracker.body import LANDMARK_NAMES, PARENTS, import_body, load_body
from tracker.core.errors import InputError

V, F = 60, 40
Arrays = dict[str, Any]


@pytest.fixture
def arrays() -> Arrays:
    """A random body with the keys, shapes and types of an SMPL file."""
    rng = np.random.default_rng(3)
    weights = rng.random((V, 24)) ** 8
    regressor = rng.random((24, V)) * (rng.random((24, V)) < 0.2)
    regressor[:, 0] += 0.01
    return {
        "v_template": rng.normal(size=(V, 3)),
        "shapedirs": rng.normal(size=(V, 3, 10)) * 0.05,
        "posedirs": rng.normal(size=(V, 3, 207)) * 0.01,
        "J_regressor": sparse.csc_matrix(regressor / regressor.sum(axis=1, keepdims=True)),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "f": rng.integers(0, V, (F, 3)).astype(np.uint32),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(24)], dtype=np.uint32),
        "bs_style": "lbs",
    }


def write_pickle(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def test_text_is_said_to_be_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n")
    with pytest.raises(InputError, match=r"passwd: is no pickle, or a broken one; expected an SMPL body"):
        import_body(path, tmp_path / "body.npz")


def write_npz(path: Path, arrays: Arrays) -> Path:
    dense = {key: value.toarray() if sparse.issparse(value) else value for key, value in arrays.items()}
    np.savez(path, **dense)
    return path


@pytest.fixture
def chumpy_modules() -> Iterator[dict[str, type]]:
    """Modules with chumpy's names for the pickler to write down; gone again before anything is read."""
    classes: dict[str, type] = {}
    for module_name, names in {"chumpy": (), "chumpy.ch": ("Ch",), "chumpy.reordering": ("Select",)}.items():
        module = types.ModuleType(module_name)
        for name in names:
            classes[name] = type(name, (), {"__module__": module_name})
            setattr(module, name, classes[name])
        sys.modules[module_name] = module
    yield classes
    for module_name in [name for name in sys.modules if name.split(".")[0] == "chumpy"]:
        del sys.modules[module_name]


def expression(kind: type, **attributes: object) -> object:
    made = kind()
    made.__dict__.update(attributes, _dirty_vars=set(), _itr=None, _depends_on_deps={})
    return made


def test_equals_smplx(tmp_path: Path, arrays: Arrays) -> None:
    smplx = pytest.importorskip("smplx")
    file = write_pickle(tmp_path / "SMPL_NEUTRAL.pkl", arrays)
    from smplx.vertex_ids import vertex_ids

    few = dict.fromkeys(vertex_ids["smplh"], 0)  # smplx picks face and hand points by SMPL's vertex numbers
    theirs = smplx.SMPL(str(file), batch_size=4, vertex_ids=few)
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(4, 10, generator=generator)
    theta = torch.randn(4, 24, 3, generator=generator)
    transl = torch.randn(4, 3, generator=generator)
    expected = theirs(
        betas=betas, global_orient=theta[:, 0], body_pose=theta[:, 1:].reshape(4, 69), transl=transl, return_verts=True
    )
    ours = load_body(file).with_shape(betas).with_pose(theta, transl)
    assert (ours.vertices() - expected.vertices).abs().max() < 1e-5
    assert (ours.joints - expected.joints[:, :24]).abs().max() < 1e-5


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_pickle_protocol_gives_the_arrays(tmp_path: Path, arrays: Arrays, protocol: int) -> None:
    body = load_body(write_pickle(tmp_path / "body.pkl", arrays, protocol))
    assert body.name == "smpl:body"
    np.testing.assert_allclose(body.v_template, arrays["v_template"], atol=1e-6)
    np.testing.assert_allclose(body.joint_regressor, arrays["J_regressor"].toarray(), atol=1e-6)
    np.testing.assert_array_equal(body.faces, arrays["f"])


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_matrix, sparse.csc_array])
def test_sparse_kinds_agree(tmp_path: Path, arrays: Arrays, kind: Callable[..., Any]) -> None:
    expected = arrays["J_regressor"].toarray()
    file = write_pickle(tmp_path / "body.pkl", {**arrays, "J_regressor": kind(expected)})
    np.testing.assert_allclose(load_body(file).joint_regressor, expected, atol=1e-6)


@pytest.mark.parametrize("protocol", [0, 2])
def test_chumpy_expressions_are_reduced(
    tmp_path: Path, arrays: Arrays, chumpy_modules: dict[str, type], protocol: int
) -> None:
    leaf = expression(chumpy_modules["Ch"], x=np.concatenate([arrays["shapedirs"], arrays["shapedirs"] + 1], axis=2))
    order = np.arange(V * 60).reshape(V, 3, 20)[..., :10].ravel()
    select = expression(chumpy_modules["Select"], a=leaf, idxs=order, preferred_shape=(V, 3, 10))
    template = expression(chumpy_modules["Ch"], x=arrays["v_template"])
    content = {**arrays, "shapedirs": select, "v_template": template}
    file = write_pickle(tmp_path / "body.pkl", content, protocol)
    for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        del sys.modules[name]
    body = load_body(file)
    assert "chumpy" not in sys.modules
    np.testing.assert_allclose(body.shapedirs, arrays["shapedirs"], atol=1e-6)
    np.testing.assert_allclose(body.v_template, arrays["v_template"], atol=1e-6)


def test_takes_the_first_ten_of_three_hundred_directions(tmp_path: Path, arrays: Arrays) -> None:
    many = np.random.default_rng(0).normal(size=(V, 3, 300))
    body = load_body(write_npz(tmp_path / "body.npz", {**arrays, "shapedirs": many}))
    np.testing.assert_allclose(body.shapedirs, many[..., :10], rtol=1e-6)


def test_npz_with_a_pickled_sparse_regressor(tmp_path: Path, arrays: Arrays) -> None:
    regressor = np.empty((), dtype=object)
    regressor[()] = arrays["J_regressor"]
    np.savez(tmp_path / "body.npz", **{**arrays, "J_regressor": regressor})
    body = load_body(tmp_path / "body.npz")
    np.testing.assert_allclose(body.joint_regressor, arrays["J_regressor"].toarray(), atol=1e-6)


def test_import_round_trip(tmp_path: Path, arrays: Arrays) -> None:
    source = write_pickle(tmp_path / "basicModel_f.pkl", arrays)
    target = tmp_path / "mine.npz"
    import_body(source, target)
    with np.load(target, allow_pickle=False) as safe:
        assert all(safe[key].dtype.kind in "fiuU" for key in safe.files)
    first, second = load_body(source), load_body(target)
    assert second.name == first.name == "smpl:basicModel_f"
    for field in ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights", "faces", "landmark_weights"):
        assert torch.equal(getattr(first, field), getattr(second, field)), field
    assert list(tmp_path.iterdir()) and not list(tmp_path.glob("*.part"))
    with pytest.raises(InputError, match="--overwrite"):
        import_body(source, target)
    import_body(source, target, overwrite=True)


def test_import_to_a_place_that_cannot_be_written(tmp_path: Path, arrays: Arrays) -> None:
    source = write_pickle(tmp_path / "body.pkl", arrays)
    with pytest.raises(InputError, match="cannot be written"):
        import_body(source, tmp_path / "nowhere" / "mine.npz")


class Runs:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("inside", ["alone", "as a value", "in an object array"])
def test_a_pickle_that_would_execute_something_does_not(tmp_path: Path, arrays: Arrays, inside: str) -> None:
    evil = Runs(tmp_path / "made")
    boxed = np.empty(1, dtype=object)
    boxed[0] = evil
    content = {"alone": evil, "as a value": {**arrays, "extra": evil}, "in an object array": {"v_template": boxed}}
    file = write_pickle(tmp_path / "body.pkl", content[inside])
    with pytest.raises(InputError, match=r"mkdir"):
        load_body(file)
    assert not (tmp_path / "made").exists()


def test_an_npz_that_would_execute_something_does_not(tmp_path: Path, arrays: Arrays) -> None:
    boxed = np.empty((), dtype=object)
    boxed[()] = Runs(tmp_path / "made")
    np.savez(tmp_path / "body.npz", **{**arrays, "J_regressor": boxed})
    with pytest.raises(InputError, match=r"mkdir"):
        load_body(tmp_path / "body.npz")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("stream", "named"),
    [
        (b"cbuiltins\neval\n(S'1+1'\ntR.", "builtins.eval"),
        (b"cnumpy.testing._private.utils\nrunstring\n.", "runstring"),
        (b"c_codecs\nencode\n(Vabc\nVzlib\ntR.", "_codecs.encode"),
        (b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.", "_reconstructor"),
        (b"c_codecs\nencode\n(N}Vattribute\nI1\nstb.", "_Latin1.attribute"),
    ],
)
def test_refused_globals_are_named(tmp_path: Path, stream: bytes, named: str) -> None:
    file = tmp_path / "body.pkl"
    file.write_bytes(stream)
    with pytest.raises(InputError, match=named):
        load_body(file)


def test_unknown_chumpy_expression_is_named(tmp_path: Path, arrays: Arrays, chumpy_modules: dict[str, type]) -> None:
    chumpy_modules["Ch"].__qualname__ = chumpy_modules["Ch"].__name__ = "matmul"
    sys.modules["chumpy.ch"].matmul = chumpy_modules["Ch"]  # type: ignore[attr-defined]
    content = {**arrays, "shapedirs": expression(chumpy_modules["Ch"], a=1, b=2)}
    file = write_pickle(tmp_path / "body.pkl", content)
    with pytest.raises(InputError, match=r"shapedirs.*chumpy\.ch\.matmul"):
        load_body(file)


def test_sparse_indices_outside_the_matrix_are_refused(tmp_path: Path, arrays: Arrays) -> None:
    regressor = arrays["J_regressor"].copy()
    regressor.indices[0] = 10_000_000
    with pytest.raises(InputError, match="J_regressor"):
        load_body(write_pickle(tmp_path / "body.pkl", {**arrays, "J_regressor": regressor}))


def entries_that_are_texts(matrix: sparse.csc_matrix) -> None:
    matrix.data = np.array([None] * len(matrix.data), dtype=object)


def columns_that_are_texts(matrix: sparse.csc_matrix) -> None:
    matrix.indptr = np.array([None] * len(matrix.indptr), dtype=object)


def a_column_of_a_thousand_million(matrix: sparse.csc_matrix) -> None:
    matrix.indptr[1:] = 1_000_000_000


def columns_that_go_back(matrix: sparse.csc_matrix) -> None:
    matrix.indptr[3] = -5


def too_few_entries(matrix: sparse.csc_matrix) -> None:
    matrix.data = matrix.data[:-1]


@pytest.mark.parametrize(
    "spoil",
    [
        entries_that_are_texts, columns_that_are_texts, a_column_of_a_thousand_million, columns_that_go_back,
        too_few_entries,
    ],
)  # fmt: skip
def test_a_sparse_matrix_that_lies_is_refused(
    tmp_path: Path, arrays: Arrays, spoil: Callable[[sparse.csc_matrix], None]
) -> None:
    regressor = arrays["J_regressor"].copy()
    spoil(regressor)
    file = write_pickle(tmp_path / "body.pkl", {**arrays, "J_regressor": regressor})
    tracemalloc.start()
    with pytest.raises(InputError, match=r"J_regressor: .*sparse matrix"):
        load_body(file)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_lists_of_one_list_are_refused(tmp_path: Path, arrays: Arrays) -> None:
    """Thirty lists of two entries would be a thousand million numbers."""
    lists: list[object] = [0.0, 0.0]
    for _ in range(30):
        lists = [lists, lists]
    with pytest.raises(InputError, match=r"v_template: .*too many entries"):
        load_body(write_pickle(tmp_path / "body.pkl", {**arrays, "v_template": lists}))


def test_a_huge_sparse_matrix_is_refused(tmp_path: Path, arrays: Arrays) -> None:
    huge = sparse.csc_matrix(([1.0], ([0], [0])), shape=(10_000_000, V))
    with pytest.raises(InputError, match=r"J_regressor.*larger"):
        load_body(write_pickle(tmp_path / "body.pkl", {**arrays, "J_regressor": huge}))


def test_an_expression_of_itself_is_refused(tmp_path: Path, arrays: Arrays, chumpy_modules: dict[str, type]) -> None:
    circle = expression(chumpy_modules["Ch"])
    circle.x = circle  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="v_template"):
        load_body(write_pickle(tmp_path / "body.pkl", {**arrays, "v_template": circle}))


def test_expressions_of_expressions_end(tmp_path: Path, arrays: Arrays, chumpy_modules: dict[str, type]) -> None:
    """Forty levels of two would be evaluated 2⁴⁰ times."""
    below: object = np.zeros(1)
    for _ in range(40):
        below = expression(chumpy_modules["Select"], a=below, idxs=below)
    with pytest.raises(InputError, match=r"v_template: .*expressions of expressions"):
        load_body(write_pickle(tmp_path / "body.pkl", {**arrays, "v_template": below}))


def broken(key: str, change: Callable[[Any], Any]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, key: change(arrays[key])}


def with_nan(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flat[7] = np.nan
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (broken("v_template", with_nan), "v_template.*NaN"),
        (broken("posedirs", with_nan), "posedirs.*NaN"),
        (broken("v_template", lambda a: a[:-1]), "expected shape"),
        (broken("shapedirs", lambda a: a[..., :9]), "shapedirs: expected shape"),
        (broken("posedirs", lambda a: a[..., :90]), "posedirs: expected shape"),
        (broken("weights", lambda a: np.repeat(a, 2, axis=1)[:, :52]), "24 joints.*SMPL-H"),
        (broken("weights", lambda a: a * 1.01), "sum to 1"),
        (broken("f", lambda a: a + V), "f: expected vertex indices"),
        (broken("f", lambda a: a.astype(float)), "f: expected vertex indices"),
        (broken("kintree_table", lambda a: a[:, ::-1]), "kintree_table"),
        (broken("J_regressor", lambda a: "text"), "J_regressor: expected numbers"),
        (lambda arrays: {k: v for k, v in arrays.items() if k not in ("f", "weights")}, "lacks weights, f"),
        (lambda arrays: [1, 2, 3], "no named arrays"),
    ],
)
def test_wrong_content_is_one_clear_line(
    tmp_path: Path, arrays: Arrays, change: Callable[[Arrays], object], message: str
) -> None:
    file = write_pickle(tmp_path / "body.pkl", change(arrays))
    with pytest.raises(InputError, match=message) as caught:
        load_body(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def whole_npz(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, "J_regressor": arrays["J_regressor"].toarray()})
    return buffer.getvalue()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_truncated_file(tmp_path: Path, arrays: Arrays, suffix: str, kept: float) -> None:
    whole = pickle.dumps(arrays, protocol=2) if suffix == ".pkl" else whole_npz(arrays)
    file = tmp_path / f"body{suffix}"
    file.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match="expected an SMPL body") as caught:
        load_body(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"just a text file\n", b"\x00" * 100, bytes(range(256)), b"{'a': 1}"])
def test_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "body.pkl"
    file.write_bytes(content)
    with pytest.raises(InputError, match="expected an SMPL body"):
        load_body(file)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "missing.pkl", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=words):
            load_body(path)


def test_landmarks_carry_over_to_another_mesh() -> None:
    """A body with other vertices in the same place gets them where the free body has them."""
    from tracker.body.landmark_transfer import with_landmarks
    from tracker.body.model import BodyModel

    free = load_body(None)
    shuffled = torch.randperm(len(free.v_template), generator=torch.Generator().manual_seed(1))
    other = with_landmarks(
        BodyModel(
            name="other",
            v_template=free.v_template[shuffled] * 1.1 + torch.tensor([0.0, 0.3, 0.0]),
            shapedirs=free.shapedirs[shuffled],
            posedirs=None,
            joint_regressor=free.joint_regressor[:, shuffled],
            weights=free.weights[shuffled],
            faces=torch.argsort(shuffled)[free.faces],
        )
    )
    expected = (free.landmark_regressor(LANDMARK_NAMES) @ free.v_template) * 1.1 + torch.tensor([0.0, 0.3, 0.0])
    found = other.landmark_regressor(LANDMARK_NAMES) @ other.v_template
    on_skin = [i for i, name in enumerate(LANDMARK_NAMES) if name.split("_")[-1] not in ("pinky", "index", "thumb")]
    feet = [i for i, name in enumerate(LANDMARK_NAMES) if "foot" in name]
    assert (found - expected)[on_skin + feet].norm(dim=1).max() < 0.004
    assert (found - expected).norm(dim=1).max() < 0.02
