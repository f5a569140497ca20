"""Training: `run.py train CONFIG`. Each task is a module with `train(job)`; this table finds it."""

from __future__ import annotations

import importlib

from tracker.errors import InputError
from tracker.training.job import TrainingJob

TASKS = {
    "volume": "tracker.training.volume",
}
"""What `task:` in a configuration may say, and the module that does it."""


def run_training(job: TrainingJob) -> str:
    """Trains what the job's configuration names and gives back a line for the user.

    Raises InputError for an unknown task or setting, RunError when the training fails.
    """
    if job.task not in TASKS:
        raise InputError(f"{job.config}: unknown task {job.task!r}; known: {', '.join(sorted(TASKS))}")
    module = importlib.import_module(TASKS[job.task])
    summary: str = module.train(job)
    return summary
