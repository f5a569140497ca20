"""Human motion from files, in SMPL's joints: reading, retargeting, a library of clips, and poses drawn from it."""

from __future__ import annotations

from tracker.motion.motion_clip import MotionClip
from tracker.motion.motion_library import MotionLibrary
from tracker.motion.read import read_motion
from tracker.motion.sampler import PoseSampler, SamplerConfig

__all__ = ["MotionClip", "MotionLibrary", "PoseSampler", "SamplerConfig", "read_motion"]
