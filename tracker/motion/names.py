"""Which joint of a foreign skeleton is which: names as CMU, Mixamo, Daz, Xsens, VRM, Biped, Rigify and SMPL have them.

Only the joints that cannot be found by topology need names: the four-joint limbs and the head. Pelvis, spine, neck,
collars, toes and fingers follow from what connects them.
"""

from __future__ import annotations

import re

from tracker.core.errors import InputError
from tracker.motion.source_motion import SourceSkeleton

_ALIASES: dict[str, tuple[str, ...]] = {
    "hip": ("thigh", "upleg", "upperleg", "femur", "hip"),
    "knee": ("shin", "calf", "knee", "lowerleg", "lowleg", "tibia", "leg"),
    "ankle": ("ankle", "foot"),
    "shoulder": ("upperarm", "uparm", "shldr", "humerus", "arm", "shoulder"),
    "elbow": ("forearm", "elbow", "lowerarm", "lowarm", "radius"),
    "wrist": ("wrist", "hand"),
}
"""In order of preference: where a skeleton has both `arm` and `shoulder`, the latter is its collar."""
LIMB_ROLES = tuple(_ALIASES)
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_KNOWN = frozenset(alias for aliases in _ALIASES.values() for alias in aliases)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def limb_joints(name: str, skeleton: SourceSkeleton) -> dict[str, int]:
    """Indices of `head` and of `left_hip` … `right_wrist`.

    Raises InputError that names the joints not found and the names that the file uses.
    """
    joints: dict[str, int] = {}
    rank: dict[str, int] = {}
    for joint, label in enumerate(skeleton.names):
        role, order = _role_of(label)
        if role and order < rank.get(role, len(_KNOWN)):
            joints[role], rank[role] = joint, order
    wanted = ["head"] + [f"{side}_{role}" for side in ("left", "right") for role in LIMB_ROLES]
    missing = [role for role in wanted if role not in joints]
    if missing:
        raise InputError(
            f"{name}: no joint found for {', '.join(missing)} among {', '.join(filter(None, skeleton.names))}; "
            "expected names as CMU, Mixamo or SMPL skeletons have them (LeftUpLeg, lShin, left_wrist): rename them"
        )
    return joints


def _role_of(label: str) -> tuple[str, int]:
    """('left_knee', 2) for 'mixamorig:LeftLeg': the role and the alias's place in its list; ('', 0) for no role."""
    words = [word.lower() for word in _WORD.findall(label.rpartition(":")[2])]
    if words == ["head"] or (words[-1:] == ["head"] and not set(words) & _SIDES.keys()):
        return "head", 0
    sides = [word for word in words if word in _SIDES]
    if len(words) == 1 and words[0][:1] in _SIDES and words[0][1:] in _KNOWN:
        sides, words = [words[0][0]], [words[0][1:]]
    if len(sides) != 1:
        return "", 0
    rest = [word for word in words if word not in _SIDES]
    for start in range(len(rest)):
        alias = "".join(rest[start:])
        for role, aliases in _ALIASES.items():
            if alias in aliases:
                return f"{_SIDES[sides[0]]}_{role}", aliases.index(alias)
    return "", 0
