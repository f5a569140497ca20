"""What the joints are called in the tools that motion is taken to; the skeleton itself stays SMPL's."""

from __future__ import annotations

from typing import Literal

from tracker.body.smpl_joints import SMPL_JOINTS

SkeletonNames = Literal["smpl", "mixamo", "vrm", "unreal"]

_SIDED = {
    "mixamo": ("UpLeg", "Leg", "Foot", "ToeBase", "Shoulder", "Arm", "ForeArm", "Hand", "HandMiddle1"),
    "vrm": ("UpperLeg", "LowerLeg", "Foot", "Toes", "Shoulder", "UpperArm", "LowerArm", "Hand", "MiddleProximal"),
    "unreal": ("thigh", "calf", "foot", "ball", "clavicle", "upperarm", "lowerarm", "hand", "middle_01"),
}
_MIDDLE = {
    "mixamo": ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"),
    "vrm": ("hips", "spine", "chest", "upperChest", "neck", "head"),
    "unreal": ("pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head"),
}
_SMPL_SIDED = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand")
_SMPL_MIDDLE = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")


def joint_names(skeleton: SkeletonNames) -> tuple[str, ...]:
    """(24,) in SMPL's order."""
    return SMPL_JOINTS if skeleton == "smpl" else tuple(_name(skeleton, joint) for joint in SMPL_JOINTS)


def _name(skeleton: str, joint: str) -> str:
    prefix = "mixamorig:" if skeleton == "mixamo" else ""
    if joint in _SMPL_MIDDLE:
        return prefix + _MIDDLE[skeleton][_SMPL_MIDDLE.index(joint)]
    side, part = joint.split("_")
    name = _SIDED[skeleton][_SMPL_SIDED.index(part)]
    if skeleton == "unreal":
        return f"{name}_{side[0]}"
    return f"{prefix}{side.capitalize() if skeleton == 'mixamo' else side}{name}"
