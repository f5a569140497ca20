"""Asset folders for training samples: what is broken is named, what is missing is done without, clothes fit."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import SHARED
from tracker.body import load_base_mesh, load_body
from tracker.body.model import JOINT_NAMES
from tracker.core.errors import InputError
from tracker.motion.sampler import PoseSampler
from tracker.synth.samples import AssetFolder, SampleConfig, SampleFactory
from tracker.synth.samples.assets import dealt, read_environment
from tracker.synth.samples.environment import light_from_environment, sphere
from tracker.synth.samples.makehuman import drape, read_binding, read_wavefront
from tracker.synth.samples.props import read_prop, read_props

needs_shared = pytest.mark.skipif(not (SHARED / "appearance").is_dir(), reason="the asset folder is not here")


def test_no_folder_and_a_folder_of_other_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*no such folder"):
        AssetFolder.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match="expected hdri/"):
        AssetFolder.open(tmp_path)


def test_an_empty_folder_is_made_up_for(tmp_path: Path) -> None:
    (tmp_path / "hdri").mkdir()
    config = SampleConfig(outfits=1, backgrounds=1)
    sample = SampleFactory(config, load_body(), PoseSampler(None), AssetFolder.open(tmp_path)).sample(0)
    assert sample.image.any()


def test_splits_share_nothing() -> None:
    things = list(range(23))
    train, held_out = dealt(things, "train"), dealt(things, "held_out")
    assert sorted(train + held_out) == things and len(held_out) == 5


def write_hdr(path: Path, picture: np.ndarray) -> None:
    assert cv2.imwrite(str(path), picture[..., ::-1].astype(np.float32))


def test_light_comes_from_where_the_environment_is_bright(tmp_path: Path) -> None:
    directions, _ = sphere(64, 128)
    sun = np.array([0.6, 0.64, -0.48])
    write_hdr(tmp_path / "sun.hdr", 0.2 + 50 * (directions @ sun > 0.98)[..., None] * np.array([1.0, 0.9, 0.7]))
    environment = read_environment(tmp_path / "sun.hdr")
    light = light_from_environment(environment.radiance, 0.5)
    assert light.towards_lamp @ sun > 0.99
    lit, dark = light.falling_on(np.stack([sun, -sun]), 1.0)
    assert lit.mean() > 4 * dark.mean() and lit[0] > lit[2]
    # a quarter turn takes the sun along
    turned = light_from_environment(environment.turned(0.25).radiance, 0.5).towards_lamp
    assert abs(turned @ light.towards_lamp - sun[1] ** 2) < 0.02 and abs(turned[1] - sun[1]) < 0.02


def test_a_file_that_is_no_environment_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.hdr").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.hdr.*environment map"):
        read_environment(tmp_path / "broken.hdr")


SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n"
BINDING = """# a garment
x_scale 100 200 2.0
y_scale 100 200 2.0
z_scale 100 200 2.0
verts 0
material some.mhmat
100
100 200 300 0.5 0.5 0.0 0.0 0.0 0.1
200
300
delete_verts
5 - 8 12
"""


def test_meshes_and_bindings_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(SQUARE)
    (tmp_path / "a.mhclo").write_text(BINDING)
    mesh, binding = read_wavefront(tmp_path / "a.obj"), read_binding(tmp_path / "a.mhclo")
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert binding.hidden.tolist() == [5, 6, 7, 8, 12]
    base = load_base_mesh()
    draped = drape(base, binding, mesh)
    template = base.v_template.numpy()
    np.testing.assert_allclose(draped.rest[[0, 2, 3]], template[[100, 200, 300]], atol=1e-6)
    depth = 0.1 * abs(template[100, 2] - template[200, 2]) / 2
    assert np.linalg.norm(draped.rest[1] - template[[100, 200]].mean(axis=0)) == pytest.approx(depth, abs=1e-6)


@pytest.mark.parametrize("text", ["", "v 0 0 0\nf 1/1 2/2 3/3\n", "v a b c\n", "v 0 0 0\nvt 0 0\nf 1 1 1\n"])
def test_broken_meshes_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.obj").write_text(text)
    with pytest.raises(InputError, match=r"b\.obj"):
        read_wavefront(tmp_path / "b.obj")


@pytest.mark.parametrize("text", ["verts 0\n1 2\n", "verts 0\n1\n", BINDING.replace("100 200 2.0", "x y z")])
def test_broken_bindings_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.mhclo").write_text(text)
    with pytest.raises(InputError, match=r"b\.mhclo"):
        read_binding(tmp_path / "b.mhclo")


def gltf_of_cube(encoded: bytes) -> dict:
    return {
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "translation": [5, 0, 0], "scale": [2, 1, 1]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}],
        "meshes": [{"primitives": [{"material": 0, "extensions": {"KHR_draco_mesh_compression": {"bufferView": 0}}}]}],
        "bufferViews": [{"buffer": 0, "byteLength": len(encoded)}],
        "buffers": [{"uri": "data:application/octet-stream;base64," + base64.b64encode(encoded).decode()}],
    }


def archive_of(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_models_that_are_broken_or_not_free_are_left_out(tmp_path: Path) -> None:
    draco = pytest.importorskip("DracoPy")
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
    encoded = draco.encode(corners, np.array([[0, 1, 2], [1, 3, 2], [4, 6, 5]], np.uint32))
    whole = json.dumps(gltf_of_cube(encoded)).encode()
    prop = read_prop(whole)
    np.testing.assert_allclose(np.ptp(prop.vertices, axis=0), [1.0, 0.5, 0.5], atol=1e-3)
    np.testing.assert_allclose(prop.colours, [[1, 0, 0]] * 3)
    looped = gltf_of_cube(encoded) | {"nodes": [{"children": [0]}]}
    archive_of(
        tmp_path / "models.tar.gz",
        {
            "m/good/model.gltf": whole, "m/good/info.json": b'{"license": 1}',
            "m/unfree/model.gltf": whole, "m/unfree/info.json": b'{"license": 2}',
            "m/unknown/model.gltf": whole,
            "m/cut/model.gltf": whole[:-40], "m/cut/info.json": b'{"license": 1}',
            "m/loop/model.gltf": json.dumps(looped).encode(), "m/loop/info.json": b'{"license": 1}',
        },
    )  # fmt: skip
    assert len(read_props(tmp_path / "models.tar.gz")) == 1
    (tmp_path / "models.tar.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"models\.tar\.gz"):
        read_props(tmp_path / "models.tar.gz")


@needs_shared
@pytest.mark.parametrize("name", ["clothes/male_casualsuit06/male_casualsuit06", "clothes/shoes01/shoes01"])
def test_clothes_lie_on_the_skin(name: str) -> None:
    """Bound in MakeHuman's pose, they are close to the body in the free body's, and as wide on both sides."""
    path = SHARED / "appearance" / name
    draped = drape(load_base_mesh(), read_binding(path.with_suffix(".mhclo")), read_wavefront(path.with_suffix(".obj")))
    skin = load_body().v_template.numpy()
    distance = np.linalg.norm(draped.rest[::7, None] - skin[None], axis=2).min(axis=1)
    assert np.median(distance) < 0.02 and distance.max() < 0.12
    left, right = (JOINT_NAMES.index(f"{side}_knee") for side in ("left", "right"))
    legs = draped.weights[:, [left, right]].sum(axis=0)
    assert legs[0] == pytest.approx(legs[1], rel=0.1)


@needs_shared
@pytest.mark.slow
def test_samples_with_the_whole_folder_are_reproducible() -> None:
    folder = AssetFolder.open(SHARED)
    one, other = (
        SampleFactory(SampleConfig(outfits=4, backgrounds=4), load_body(), PoseSampler(None), folder) for _ in range(2)
    )
    first = [one.sample(seed) for seed in (0, 1, 2, 3)]
    for seed in (3, 1):
        np.testing.assert_array_equal(other.sample(seed).image, first[seed].image)
