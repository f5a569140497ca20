"""A foreign skeleton's motion → SMPL's 24 joints.

Every body part keeps its direction in the world. The two skeletons rest differently (arms out or hanging, feet turned
out, bent elbows), so for each joint there is a constant rotation A_j that takes the part as SMPL rests to the part as
the source rests; then, with the source's world rotation R_j(t) and the axes W of the source's world,

    R_j^SMPL(t) = Wᵀ R_j(t) A_j

For limbs A_j is the smallest turn that lays SMPL's bone along the source's, for feet the turn about the vertical only
(both stand flat), for the trunk and head none. The bend of a source's spine, of however many joints, is spread over
SMPL's three; see `_spine_shares`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.errors import InputError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle, rotation_between
from tracker.motion.joint_axes import settle
from tracker.motion.motion_clip import MotionClip, clip_from_rotations, local_rotations, rest_joints
from tracker.motion.names import limb_joints
from tracker.motion.source_motion import SourceMotion, SourceSkeleton

_J = {name: index for index, name in enumerate(JOINT_NAMES)}
_CHILD = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}
_SPINE = ("spine1", "spine2", "spine3")
_NECK_SHARE = 0.5
"""Of the head's turn against the chest, however the source divides it."""
_EVEN_SHARE, _EVEN = 0.5, np.array([0.40, 0.35, 0.25])
"""Part of a back's bend that is dealt out to the three spine joints evenly, falling off upwards, wherever it sits."""
_LARGEST_TILT = np.radians(20.0)
"""A source whose rest pose leans more than this from its axes is taken at its lean, a smaller lean is its build."""
_SIDES = ("left", "right")


@dataclass(frozen=True)
class Correspondence:
    """The source's joints by what they are, and its axes."""

    skeleton: SourceSkeleton
    joints: dict[str, int]
    """`head`, `pelvis`, `chest`, and `left_hip` … `right_wrist`; where there are any `left_toe`, `left_finger`,
    `left_collar` and so on."""
    spine: tuple[int, ...]
    """From the pelvis (included) to the chest (included)."""
    neck: tuple[int, ...]
    """Between chest and head, both excluded."""
    axes: Array
    """W (3, 3): columns are SMPL's x (left), y (up), z (front) in the source's world."""
    lean: Array
    """(3, 3): from SMPL's axes to the source's trunk at rest; W unless the rest pose leans."""
    scale: float
    """Metres per unit: the built-in body's legs over the source's."""

    @classmethod
    def of(cls, name: str, skeleton: SourceSkeleton) -> Correspondence:
        """Raises InputError for unknown joint names and for a rest pose that does not stand."""
        joints = limb_joints(name, skeleton)
        joints["pelvis"] = skeleton.fork(joints["left_hip"], joints["right_hip"])
        joints["chest"] = skeleton.fork(joints["left_shoulder"], joints["right_shoulder"])
        down = skeleton.path(joints["chest"])
        spine = tuple(down[down.index(joints["pelvis"]) :]) if joints["pelvis"] in down else (joints["pelvis"],)
        head = skeleton.path(joints["head"])
        neck = tuple(head[head.index(joints["chest"]) + 1 : -1]) if joints["chest"] in head else ()
        for side in _SIDES:
            joints.update(_ends(skeleton, joints, side))
        lean = _rest_frame(name, skeleton.rest(), joints)
        axes = _nearest_axes(lean)
        angle = float(np.linalg.norm(axis_angle_from_matrix(axes.T @ lean)))
        lean = lean if angle > _LARGEST_TILT else axes
        return cls(skeleton, joints, spine, neck, axes, lean, _leg(rest_joints(), _J) / _leg(skeleton.rest(), joints))


def retarget(motion: SourceMotion) -> MotionClip:
    """The motion on SMPL's joints, scaled by the length of the legs. Raises InputError as `Correspondence.of`."""
    match = Correspondence.of(motion.name, motion.skeleton)
    turned, places = motion.world()
    world = match.axes.T @ _smpl_world(match, turned)
    joints, rest = match.joints, rest_joints()
    hips = (places[:, joints["left_hip"]] + places[:, joints["right_hip"]]) / 2 @ match.axes * match.scale
    rest_hips = (rest[_J["left_hip"]] + rest[_J["right_hip"]]) / 2
    transl = hips - world[:, 0] @ (rest_hips - rest[0]) - rest[0]
    return clip_from_rotations(motion.name, settle(local_rotations(world), motion.rate), transl, motion.rate)


def _smpl_world(match: Correspondence, turned: Array) -> Array:
    """(T, 24, 3, 3): SMPL's world rotations, in the source's axes."""
    world = np.empty((len(turned), NUM_JOINTS, 3, 3))
    for name, turn in _spine(match, turned).items():
        world[:, _J[name]] = turn
    chest, head = turned[:, match.joints["chest"]], turned[:, match.joints["head"]]
    world[:, _J["neck"]] = _between(chest, head, _NECK_SHARE) @ match.lean
    world[:, _J["head"]] = head @ match.lean
    for side in _SIDES:
        collar = match.joints.get(f"{side}_collar", match.joints["chest"])
        world[:, _J[f"{side}_collar"]] = turned[:, collar] @ match.lean
        for name, turn in rest_turns(match, side).items():
            world[:, _J[f"{side}_{name}"]] = turned[:, match.joints[f"{side}_{name}"]] @ turn
        toe = match.joints.get(f"{side}_toe")
        bends = toe is not None and bool(match.skeleton.children(toe))
        ankle = match.joints[f"{side}_ankle"]
        foot_turn = rest_turns(match, side)["ankle"]
        world[:, _J[f"{side}_foot"]] = turned[:, toe if bends and toe is not None else ankle] @ foot_turn
        world[:, _J[f"{side}_hand"]] = world[:, _J[f"{side}_wrist"]]
    return world


def rest_turns(match: Correspondence, side: str) -> dict[str, Array]:
    """A_j of a side's limb joints `hip` … `wrist`: from SMPL's rest to the source's, (3, 3) each."""
    source, target = match.skeleton.rest(), rest_joints()
    turns = {}
    for name, child in _CHILD.items():
        bone = match.lean @ (target[_J[f"{side}_{child}"]] - target[_J[f"{side}_{name}"]])
        other = source[match.joints[f"{side}_{child}"]] - source[match.joints[f"{side}_{name}"]]
        turns[name] = rotation_between(bone, other) @ match.lean
    turns["wrist"], turns["ankle"] = turns["elbow"], match.lean
    finger, toe = match.joints.get(f"{side}_finger"), match.joints.get(f"{side}_toe")
    if finger is not None:
        bone = turns["elbow"] @ (target[_J[f"{side}_hand"]] - target[_J[f"{side}_wrist"]])
        other = source[finger] - source[match.joints[f"{side}_wrist"]]
        turns["wrist"] = rotation_between(bone, other) @ turns["elbow"]
    if toe is not None:
        bone = target[_J[f"{side}_foot"]] - target[_J[f"{side}_ankle"]]
        other = match.lean.T @ (source[toe] - source[match.joints[f"{side}_ankle"]])
        yaw = np.arctan2(other[0], other[2]) - np.arctan2(bone[0], bone[2])
        turns["ankle"] = match.lean @ matrix_from_axis_angle(np.array([0.0, yaw, 0.0]))
    return turns


def _spine(match: Correspondence, turned: Array) -> dict[str, Array]:
    """World rotations of pelvis and spine joints: what a source joint turns is dealt out by `_spine_shares`."""
    result = {"pelvis": turned[:, match.spine[0]] @ match.lean}
    bends = [
        axis_angle_from_matrix(np.swapaxes(turned[:, below], 1, 2) @ turned[:, above])
        for below, above in zip(match.spine, match.spine[1:], strict=False)
    ]
    shares = _spine_shares(match)
    for k, name in enumerate(_SPINE):
        world = turned[:, match.spine[0]]
        for bend, share in zip(bends, shares[:, : k + 1].sum(axis=1), strict=True):
            world = world @ matrix_from_axis_angle(share * bend)
        result[name] = world @ match.lean
    return result


def _spine_shares(match: Correspondence) -> Array:
    """(source joints above the pelvis, 3), rows sum to 1: how much of a joint's bend each SMPL spine joint takes.

    A joint stands for the stretch of the back that is nearer to it than to its neighbours, between hips (0) and neck
    (1); it bends that stretch evenly, and an SMPL joint takes what falls on its own stretch. Sources put nearly all of
    the bend into one joint where a back bends everywhere, so part of it is spread over all three.
    """
    source, target = match.skeleton.rest(), rest_joints()
    up = match.lean[:, 1]
    hips = (source[match.joints["left_hip"]] + source[match.joints["right_hip"]]) / 2
    top = source[match.neck[0] if match.neck else match.joints["head"]]
    heights = (source[list(match.spine[1:])] - hips) @ up / ((top - hips) @ up)
    smpl_hips = (target[_J["left_hip"]] + target[_J["right_hip"]]) / 2
    smpl = np.array([target[_J[name]] - smpl_hips for name in _SPINE])[:, 1] / (target[_J["neck"]] - smpl_hips)[1]
    mine, theirs = _stretches(heights), _stretches(smpl)
    overlap = np.minimum(mine[:, None, 1], theirs[:, 1]) - np.maximum(mine[:, None, 0], theirs[:, 0])
    near = np.maximum(overlap, 0.0) / np.maximum(mine[:, 1] - mine[:, 0], 1e-9)[:, None]
    return (1 - _EVEN_SHARE) * near + _EVEN_SHARE * _EVEN


def _stretches(heights: Array) -> Array:
    """(n,) rising in 0..1 → (n, 2): each one's part of 0..1, split half-way to its neighbours."""
    middles = (heights[1:] + heights[:-1]) / 2
    edges = np.concatenate([[0.0], middles, [1.0]])
    return np.stack([edges[: len(heights)], edges[1 : len(heights) + 1]], axis=1)


def _between(first: Array, second: Array, share: float) -> Array:
    turn = axis_angle_from_matrix(np.swapaxes(first, 1, 2) @ second)
    return first @ matrix_from_axis_angle(share * turn)


def _ends(skeleton: SourceSkeleton, joints: dict[str, int], side: str) -> dict[str, int]:
    """Toe, finger and collar of a side, where the skeleton has them."""
    ends = {}
    toes = skeleton.children(joints[f"{side}_ankle"])
    if toes:
        ends[f"{side}_toe"] = toes[0]
    wrist = joints[f"{side}_wrist"]
    fingers = [f for f in skeleton.children(wrist) if "thumb" not in skeleton.names[f].lower()]
    if fingers:
        ends[f"{side}_finger"] = fingers[(len(fingers) - 1) // 2]
    arm = skeleton.path(joints[f"{side}_shoulder"])
    between = arm[arm.index(joints["chest"]) + 1 : -1]
    if between:
        ends[f"{side}_collar"] = between[-1]
    return ends


def _rest_frame(name: str, rest: Array, joints: dict[str, int]) -> Array:
    """(3, 3) columns: left, up, front of the source at rest."""
    hips = (rest[joints["left_hip"]] + rest[joints["right_hip"]]) / 2
    ankles = (rest[joints["left_ankle"]] + rest[joints["right_ankle"]]) / 2
    up, left = rest[joints["head"]] - hips, rest[joints["left_hip"]] - rest[joints["right_hip"]]
    legs = hips - ankles
    lengths = [float(np.linalg.norm(v)) for v in (up, left, legs)]
    if min(lengths) <= 0 or up @ legs < 0.7 * lengths[0] * lengths[2]:
        raise InputError(
            f"{name}: its rest pose (all rotations 0) is not a standing person; expected legs below hips below head: "
            "export it with a T-pose or an A-pose at rest"
        )
    left = left / lengths[1]
    up = up - (up @ left) * left
    up /= np.linalg.norm(up)
    return np.stack([left, up, np.cross(left, up)], axis=1)


def _nearest_axes(frame: Array) -> Array:
    """The proper rotation of signed unit axes nearest to a frame."""
    axes = np.zeros((3, 3))
    for column in (1, 0):
        free = np.where(axes.any(axis=1), 0.0, frame[:, column])
        row = int(np.argmax(np.abs(free)))
        axes[row, column] = np.sign(frame[row, column])
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    return axes


def _leg(places: Array, joints: dict[str, int]) -> float:
    lengths = [
        np.linalg.norm(places[joints[f"{side}_{a}"]] - places[joints[f"{side}_{b}"]])
        for side in _SIDES
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    return float(np.sum(lengths)) / 2
