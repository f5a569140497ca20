"""How files are written for the tools that read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracker.export.skeletons import SkeletonNames

Unit = Literal["m", "cm"]


@dataclass(frozen=True)
class FilesConfig:
    """How files are written for the tools that read them."""

    skeleton: SkeletonNames = "smpl"
    """What joints are called in bvh, glb, scene, usd, fbx and blend: as by SMPL, Mixamo, VRM or Unreal."""
    unit: Unit = "m"
    """Of lengths in bvh, which does not say: m or cm."""
    blender: Path | None = None
    """The Blender that writes fbx and blend; null: the one on PATH."""
    report: bool = True
    """Whether a run leaves report.html."""

    @property
    def scale(self) -> float:
        """Units to a metre."""
        return 100.0 if self.unit == "cm" else 1.0
