"""Data sets in the formats that their owners publish, as recordings with truth.

None of them may be passed on, so none is here: what is missing on the disk is said in one line with where to get it.
"""

from __future__ import annotations

from tracker.evaluation.datasets.recording import JOINT_SETS, JointSet, Recording, SmplTruth
from tracker.evaluation.datasets.registry import DATASETS, read_dataset

__all__ = ["DATASETS", "JOINT_SETS", "JointSet", "Recording", "SmplTruth", "read_dataset"]
