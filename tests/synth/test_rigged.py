"""Rigged people: read from their files, and hung on the body so that they take its shapes and poses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests import SHARED
from tracker.body import load_body
from tracker.body.model import vertex_normals
from tracker.body.smpl_joints import SMPL_JOINTS, SMPL_PARENTS
from tracker.core.arrays import NUM_BETAS, Array
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.motion.sampler import PoseSampler
from tracker.synth.samples import AssetFolder, SampleConfig, SampleFactory
from tracker.synth.samples.assets import people_by_name
from tracker.synth.samples.outfit import Dresser
from tracker.synth.samples.rigged_outfit import FittedBody, fitted_body, hung, rigged_outfit
from tracker.synth.samples.rigged_person import NODES, read_rigged
from tracker.synth.samples.skinned import Skeleton

pygltflib = pytest.importorskip("pygltflib")
needs_shared = pytest.mark.skipif(not (SHARED / "avatars").is_dir(), reason="the rigged people are not here")
BODY = load_body(None)
UP = np.array([0.0, 1.2, 0.0])
"""m from the body's origin to the file's, whose floor is at 0."""


def person_blocks(betas: Array, thickness: float) -> list[NDArray[Any]]:
    """What the accessors and the texture of `write_person` are."""
    shaped = BODY.with_shape(torch.tensor(betas, dtype=BODY.v_template.dtype))
    normals = vertex_normals(shaped.rest_vertices, BODY.faces).numpy()
    bare = BODY.weights.numpy()[:, [12, 15, 20, 21, 22, 23]].sum(axis=1, keepdims=True) > 0.1
    vertices = (shaped.rest_vertices.numpy() + np.where(bare, 0.0, thickness) * normals + UP).astype(np.float32)
    places = shaped.rest_joints.numpy() + UP
    joints = np.argsort(-BODY.weights.numpy(), axis=1)[:, :4].astype(np.uint8)
    weights = np.take_along_axis(BODY.weights.numpy(), joints.astype(int), axis=1).astype(np.float32)
    inverse = np.tile(np.eye(4, dtype=np.float32), (24, 1, 1))
    inverse[:, 3, :3] = -places
    uv = np.random.default_rng(0).random((len(vertices), 2)).astype(np.float32)
    _, picture = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))
    faces = BODY.faces.numpy().astype(np.uint32)
    return [vertices, uv, joints, weights, faces.reshape(-1, 1), inverse, picture]


def write_person(path: Path, betas: Array, thickness: float = 0.0) -> Path:
    """The built-in body of a shape as a rigged person in clothes of this thickness, m, but for hands and head."""
    blocks = person_blocks(betas, thickness)
    starts = np.cumsum([0, *(block.nbytes + -block.nbytes % 4 for block in blocks)])
    types = [("VEC3", 5126), ("VEC2", 5126), ("VEC4", 5121), ("VEC4", 5126), ("SCALAR", 5125), ("MAT4", 5126)]
    attributes = pygltflib.Attributes(POSITION=0, TEXCOORD_0=1, JOINTS_0=2, WEIGHTS_0=3)
    colour = pygltflib.PbrMetallicRoughness(baseColorTexture=pygltflib.TextureInfo(index=0))
    children = [[child for child, parent in enumerate(SMPL_PARENTS) if parent == joint] for joint in range(24)]
    model = pygltflib.GLTF2(
        nodes=[
            pygltflib.Node(name=NODES[name], children=each) for name, each in zip(SMPL_JOINTS, children, strict=True)
        ],
        skins=[pygltflib.Skin(joints=list(range(24)), inverseBindMatrices=5)],
        meshes=[pygltflib.Mesh(primitives=[pygltflib.Primitive(attributes=attributes, indices=4, material=0)])],
        materials=[pygltflib.Material(pbrMetallicRoughness=colour)],
        textures=[pygltflib.Texture(source=0)],
        images=[pygltflib.Image(bufferView=6, mimeType="image/png")],
        accessors=[
            pygltflib.Accessor(bufferView=i, count=len(block), type=kind, componentType=number)
            for i, ((kind, number), block) in enumerate(zip(types, blocks, strict=False))
        ],
        bufferViews=[
            pygltflib.BufferView(buffer=0, byteOffset=int(start), byteLength=block.nbytes)
            for start, block in zip(starts, blocks, strict=False)
        ],
        buffers=[pygltflib.Buffer(byteLength=int(starts[-1]))],
    )
    model.set_binary_blob(b"".join(block.tobytes() + bytes(-block.nbytes % 4) for block in blocks))
    model.save_binary(str(path))
    return path


def shape(seed: int) -> Array:
    betas = np.random.default_rng(seed).normal(0.0, 0.8, NUM_BETAS)
    betas[8:] = 0.0
    return betas


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    person = read_rigged(write_person(tmp_path / "one.glb", shape(0)))
    rest = BODY.with_shape(torch.tensor(shape(0), dtype=BODY.v_template.dtype))
    np.testing.assert_allclose(person.joints, rest.rest_joints.numpy() + UP, atol=1e-5)
    np.testing.assert_allclose(person.vertices, rest.rest_vertices.numpy() + UP, atol=1e-5)
    np.testing.assert_array_equal(person.faces, BODY.faces.numpy())
    np.testing.assert_allclose(person.joint_weights.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"glTF\2\0\0\0", b"not one at all" * 10])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.glb").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.glb: not a rigged person"):
        read_rigged(tmp_path / "bad.glb")


@pytest.mark.parametrize("thickness", [0.0, 0.015])
def test_the_body_is_found_inside_of_its_clothes(tmp_path: Path, thickness: float) -> None:
    fitted = fitted_body(read_rigged(write_person(tmp_path / "one.glb", shape(1), thickness)), BODY)
    joints = fitted.posed(BODY).joints.double().numpy()
    true = BODY.with_shape(torch.tensor(shape(1), dtype=BODY.v_template.dtype)).rest_joints.numpy() + UP
    assert np.linalg.norm(joints - true, axis=1).mean() < 0.012


def test_who_hangs_on_the_body_takes_its_poses_and_shapes(tmp_path: Path) -> None:
    person = read_rigged(write_person(tmp_path / "one.glb", shape(2)))
    exact = FittedBody(np.zeros((24, 3)), shape(2), UP)
    (piece,) = hung(Dresser(BODY), BODY, person, exact)
    theta = np.random.default_rng(3).normal(0.0, 0.2, (24, 3))
    betas = shape(4)
    skeleton = Skeleton.of(BODY)
    posed = skeleton.pose(matrix_from_axis_angle(theta), betas)
    vertices = piece.hull.posed(skeleton, posed, betas)
    true = BODY.with_shape(torch.tensor(betas).float()).with_pose(torch.tensor(theta).float()).vertices().numpy()
    error = np.linalg.norm(vertices - true, axis=1)
    assert np.median(error) < 0.004 and np.quantile(error, 0.99) < 0.02


def test_people_in_other_clothes_are_dealt_together(tmp_path: Path) -> None:
    folder = tmp_path / "avatars"
    folder.mkdir()
    for name in "abcdef":
        (folder / f"{name}.glb").touch()
    (folder / "index.csv").write_text("file,person\na.glb,one\nc.glb,one\nb.glb,two\n")
    assert {name: [file.name for file in files] for name, files in people_by_name(folder).items()} == {
        "one": ["a.glb", "c.glb"], "two": ["b.glb"], "d": ["d.glb"], "e": ["e.glb"], "f": ["f.glb"],
    }  # fmt: skip
    assets = AssetFolder.open(tmp_path)
    train, held_out = (set(assets.rigged_people(split)) for split in ("train", "held_out"))
    assert not train & held_out and len(train | held_out) == 6
    (folder / "index.csv").write_text("name\na.glb\n")
    with pytest.raises(InputError, match=r"index\.csv: expected a table with the columns file and person"):
        people_by_name(folder)


def test_samples_show_rigged_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "avatars").mkdir()
    for name in ("one", "two"):
        write_person(tmp_path / "avatars" / f"{name}.glb", shape(5))
    config = SampleConfig(outfits=1, backgrounds=1, rigged=1.0, occluded=0.0, lens=0.0)
    sample = SampleFactory(config, BODY, PoseSampler(None), AssetFolder.open(tmp_path)).sample(0)
    seen = sample.parts > 0
    assert seen.any() and np.ptp(sample.image[seen].astype(int).mean(axis=0)) < 40, "grey all over"
    kept = list((tmp_path / "cache").rglob("*.npz"))
    assert len(kept) == 1, "a body is fitted once"


@needs_shared
def test_real_ones_stand_in_their_own_places() -> None:
    path = sorted((SHARED / "avatars").glob("*.glb"))[0]
    person = read_rigged(path)
    outfit = rigged_outfit(Dresser(BODY), BODY, path)
    fitted = FittedBody.of_file(path, person, BODY)
    hinges = [4, 5, 7, 8, 18, 19, 20, 21]
    apart = np.linalg.norm(fitted.posed(BODY).joints.double().numpy() - person.joints, axis=1)
    assert apart[hinges].max() < 0.04 and np.abs(fitted.betas).max() < 4
    assert len(outfit.faces) > 4000
