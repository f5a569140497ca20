"""scene.usdc: everybody and the camera for USD's tools (usdview, Omniverse, Houdini, Blender); needs usd-core.

y up, metres, one time code a frame of the video, from the run's first. Skinning is linear; the body's pose correctives
are left out. A person is invisible while they are not tracked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.export.sequence import PersonSequence, SkeletonMotion, shape_body, to_numpy
from tracker.export.skeletons import SkeletonNames, joint_names
from tracker.world.world_frame import T_YUP_CAMERA

_APERTURE = 36.0
"""mm of a full-frame sensor's width."""
_INFLUENCES = 8
"""Joints that move a vertex at most."""
_COLOUR = (0.55, 0.65, 0.80)


def write(
    stream: BinaryIO, people: Sequence[PersonSequence], body: BodyModel, skeleton: SkeletonNames = "smpl"
) -> None:
    """One binary stage."""
    from pxr import Usd, UsdGeom

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.usdc"
        stage = Usd.Stage.CreateNew(str(path))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        rate = people[0].timeline.frame_rate
        stage.SetTimeCodesPerSecond(rate)
        stage.SetFramesPerSecond(rate)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(max(float(_codes(person)[-1]) for person in people))
        stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/scene").GetPrim())
        _add_camera(stage, max(people, key=lambda person: len(person.timestamps)))
        for person in people:
            _add_person(stage, person, body, joint_names(skeleton))
        stage.GetRootLayer().Save()
        stream.write(path.read_bytes())


def _codes(person: PersonSequence) -> Array:
    """(T,) time codes of the rows."""
    return np.round(person.seconds * person.timeline.frame_rate)


def _add_camera(stage: Any, person: PersonSequence) -> None:
    """The camera as it was held and zoomed while this person was there."""
    from pxr import Gf, UsdGeom

    camera, T_scene_camera = person.camera, person.T_yup_camera @ T_YUP_CAMERA
    lens = UsdGeom.Camera.Define(stage, "/scene/camera")
    lens.CreateHorizontalApertureAttr(_APERTURE)
    pixel = _APERTURE / camera.width
    tall = pixel * camera.fx / camera.fy
    lens.CreateVerticalApertureAttr(tall * camera.height)
    lens.CreateFocalLengthAttr(pixel * camera.fx)
    lens.CreateHorizontalApertureOffsetAttr(pixel * (camera.width / 2 - camera.cx))
    lens.CreateVerticalApertureOffsetAttr(tall * (camera.cy - camera.height / 2))
    lens.CreateClippingRangeAttr(Gf.Vec2f(0.05, 1000.0))
    place = lens.AddTransformOp()
    if person.path is None:
        place.Set(Gf.Matrix4d(T_scene_camera.T.tolist()))
        return
    zoom = person.path.zoom_at(person.timestamps)
    for code, transform, focal in zip(_codes(person), T_scene_camera, pixel * camera.fx * zoom, strict=True):
        place.Set(Gf.Matrix4d(transform.T.tolist()), float(code))
        lens.GetFocalLengthAttr().Set(float(focal), float(code))


def _add_person(stage: Any, person: PersonSequence, body: BodyModel, names: Sequence[str]) -> None:
    from pxr import UsdSkel

    path = f"/scene/person_{person.person_id:03d}"
    root = UsdSkel.Root.Define(stage, path)
    shaped = shape_body(body, person.betas)
    vertices, joints = to_numpy(shaped.rest_vertices), to_numpy(shaped.rest_joints)
    tokens = _joint_paths(names, body.parents)
    skeleton = _skeleton(stage, f"{path}/skeleton", tokens, joints, body.parents)
    animation = _animation(stage, f"{path}/skeleton/animation", person, tokens, joints, body.parents)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    mesh = _mesh(stage, f"{path}/body", vertices, body)
    UsdSkel.BindingAPI(mesh.GetPrim()).CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    _set_extent(root, person)
    _show_and_hide(root, person)


def _joint_paths(names: Sequence[str], parents: Sequence[int]) -> list[str]:
    """USD names a joint by its ancestors; a colon is no letter of theirs."""
    paths: list[str] = []
    for name, parent in zip(names, parents, strict=True):
        own = name.replace(":", "_")
        paths.append(own if parent < 0 else f"{paths[parent]}/{own}")
    return paths


def _skeleton(stage: Any, path: str, tokens: Sequence[str], joints: Array, parents: Sequence[int]) -> Any:
    from pxr import Gf, UsdSkel, Vt

    skeleton = UsdSkel.Skeleton.Define(stage, path)
    skeleton.CreateJointsAttr(list(tokens))
    world = [Gf.Matrix4d(1).SetTranslateOnly(Gf.Vec3d(*place)) for place in joints.tolist()]
    local = [Gf.Matrix4d(1).SetTranslateOnly(Gf.Vec3d(*place)) for place in _offsets(joints, parents).tolist()]
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray(world))
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray(local))
    return skeleton


def _offsets(joints: Array, parents: Sequence[int]) -> Array:
    """(24, 3) m of each joint from its parent."""
    offsets = joints - joints[np.maximum(parents, 0)]
    offsets[0] = joints[0]
    return offsets


def _animation(
    stage: Any, path: str, person: PersonSequence, tokens: Sequence[str], joints: Array, parents: Sequence[int]
) -> Any:
    """Translations, rotations and scales, each of all joints, as the schema asks."""
    from pxr import Gf, UsdSkel, Vt

    motion, offsets = SkeletonMotion.of(person), _offsets(joints, parents)
    animation = UsdSkel.Animation.Define(stage, path)
    animation.CreateJointsAttr(list(tokens))
    animation.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1, 1, 1)] * NUM_JOINTS))
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    for code, pelvis, quaternions in zip(_codes(person), motion.pelvis, motion.quaternions, strict=True):
        places = np.concatenate([pelvis[None], offsets[1:]]).astype(np.float32)
        translations.Set(Vt.Vec3fArray.FromNumpy(places), float(code))
        turns = [Gf.Quatf(float(w), Gf.Vec3f(float(x), float(y), float(z))) for x, y, z, w in quaternions]
        rotations.Set(Vt.QuatfArray(turns), float(code))
    return animation


def _mesh(stage: Any, path: str, vertices: Array, body: BodyModel) -> Any:
    from pxr import Gf, UsdGeom, UsdSkel, Vt

    faces = body.faces.cpu().numpy().astype(np.int32)
    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(vertices.astype(np.float32)))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.reshape(-1)))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr([Gf.Vec3f(*vertices.min(axis=0).tolist()), Gf.Vec3f(*vertices.max(axis=0).tolist())])
    mesh.CreateDisplayColorAttr([Gf.Vec3f(*_COLOUR)])
    weights = to_numpy(body.weights)
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :_INFLUENCES]
    shares = np.take_along_axis(weights, strongest, axis=1)
    shares /= shares.sum(axis=1, keepdims=True)
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateJointIndicesPrimvar(False, _INFLUENCES).Set(
        Vt.IntArray.FromNumpy(strongest.astype(np.int32).reshape(-1))
    )
    binding.CreateJointWeightsPrimvar(False, _INFLUENCES).Set(
        Vt.FloatArray.FromNumpy(shares.astype(np.float32).reshape(-1))
    )
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    return mesh


def _set_extent(root: Any, person: PersonSequence) -> None:
    """Where the person is over the whole run."""
    from pxr import Gf

    places = person.joints_y_up.reshape(-1, 3).astype(float)
    low, high = places.min(axis=0) - 0.3, places.max(axis=0) + 0.3
    root.CreateExtentAttr([Gf.Vec3f(*low.tolist()), Gf.Vec3f(*high.tolist())])


def _show_and_hide(root: Any, person: PersonSequence) -> None:
    from pxr import UsdGeom

    visibility, codes = root.CreateVisibilityAttr(), _codes(person)
    shown = np.concatenate([[False], person.tracked])
    if codes[0] > 0:
        visibility.Set(UsdGeom.Tokens.invisible, 0.0)
    for row in np.flatnonzero(shown[1:] != shown[:-1]):
        visibility.Set(UsdGeom.Tokens.inherited if person.tracked[row] else UsdGeom.Tokens.invisible, float(codes[row]))
    if not person.tracked.all() or codes[0] > 0:
        visibility.Set(UsdGeom.Tokens.invisible, float(codes[-1]) + 1)
