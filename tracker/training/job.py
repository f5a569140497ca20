"""One training run as the user asked for it."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tracker import __version__
from tracker.core.errors import InputError
from tracker.core.strict_yaml import filled, read_mapping
from tracker.runtime.config_folder import config_folder

CONFIG_FOLDER = config_folder() / "train"
Config = TypeVar("Config")


@dataclass(frozen=True)
class TrainingJob:
    """What to train, on what, and where the weights go."""

    name: str
    """Of the configuration."""
    task: str
    values: dict[str, Any]
    """The configuration's other keys."""
    out: Path
    """A folder; the task writes `<task>.safetensors` there."""
    device: str = "auto"
    motion: Path | None = None
    assets: Path | None = None
    footage: Path | None = None
    data: tuple[tuple[Path, Path], ...] = ()
    """Annotation files, each with the folder of its pictures."""
    minutes: float | None = None
    """Stop after so long."""
    workers: int = 2
    """Processes that make samples."""
    overwrite: bool = False

    @classmethod
    def read(cls, config: str, device: str, out: Path | None = None, **given: Any) -> TrainingJob:
        """config: a name in `configs/train/` or a YAML file; given: this class's other fields, but `data` and `images`,
        which belong together one by one. Raises InputError that names what is wrong."""
        path = _config_file(config)
        values = read_mapping(path, str(path))
        task = values.pop("task", None)
        if not isinstance(task, str):
            raise InputError(f"{path}: expected a key 'task' that says what to train")
        data, images = given.pop("data", ()), given.pop("images", ())
        if len(data) != len(images):
            raise InputError(f"--data is given {len(data)} times and --images {len(images)} times; expected pairs")
        pairs = tuple(zip(data, images, strict=True))
        return cls(path.stem, task, values, out or Path("out/train") / path.stem, device, data=pairs, **given)

    @property
    def weights(self) -> Path:
        """Where the result goes. Raises InputError when something is there and --overwrite was not said."""
        path = self.out / f"{self.task}.safetensors"
        if path.exists() and not self.overwrite:
            raise InputError(f"{path}: exists already; add --overwrite to replace it, or choose another --out")
        return path

    def settings(self, config_class: type[Config]) -> Config:
        """The task's own configuration. Raises InputError for unknown keys."""
        return filled(config_class, self.values, self.name)

    def needed(self, option: str) -> Path:
        """The folder given with --`option`. Raises InputError when it was not given or does not exist."""
        path: Path | None = getattr(self, option)
        if path is None or not path.exists():
            reason = "it was not given" if path is None else f"{path} does not exist"
            raise InputError(f"training {self.task} needs --{option} FOLDER: {reason}")
        return path

    def provenance(self, data: str) -> dict[str, str]:
        """What the weights' metadata says of their making. data: what they were trained on, and its licence."""
        return {
            "task": self.task,
            "data": data,
            "made": time.strftime("%Y-%m-%d", time.gmtime()),
            "version": __version__,
            "commit": _commit(),
        }


def _config_file(name: str) -> Path:
    named = CONFIG_FOLDER / f"{name}.yaml"
    if named.is_file():
        return named
    if Path(name).is_file():
        return Path(name)
    names = ", ".join(sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml")))
    raise InputError(f"{name}: no such training configuration; the built-in ones are {names}, or give a YAML file")


def _commit() -> str:
    """The checked-out commit, or 'unknown' outside of a repository."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
