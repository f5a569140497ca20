"""Training of the project's networks: `run.py train CONFIG`."""

from __future__ import annotations

import os
from importlib import import_module

from tracker.core.errors import InputError
from tracker.training.job import TrainingJob

__all__ = ["TASKS", "TrainingJob", "run_training"]

TASKS: dict[str, str] = {
    "dense_maps": "tracker.training.train_dense_maps",
    "head": "tracker.training.train_head",
    "inverse_kinematics": "tracker.training.train_inverse_kinematics",
    "predictor": "tracker.training.train_motion_predictor",
    "prior": "tracker.training.train_pose_prior",
    "uv_inpainting": "tracker.training.train_uv_inpainting",
    "volume": "tracker.training.train_volume",
}
"""What a configuration's `task` may be, and the module whose `train(job)` does it and returns a line of report."""


def run_training(job: TrainingJob) -> str:
    """Trains what the job says and returns what to tell the user, if anything.

    Raises InputError for an unknown task, and for several processes where one does it all.
    """
    if job.task not in TASKS:
        raise InputError(f"{job.name}: task {job.task!r}; expected one of {', '.join(TASKS)}")
    if job.task != "volume" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(f"{job.name}: task {job.task!r} is trained by one process; start it without torchrun")
    report: str = import_module(TASKS[job.task]).train(job)
    return report
