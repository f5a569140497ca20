"""Reads a configuration: a name in `configs/` or a YAML file, strictly, over the defaults of the stages' classes."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Any

from tracker.core.errors import InputError, require_kind
from tracker.core.strict_yaml import filled, merged, read_mapping
from tracker.pipeline import TrackerConfig
from tracker.runtime.config_folder import config_folder

CONFIG_FOLDER = config_folder()
DEFAULT_CONFIG = "live"


def config_path(name: str) -> Path:
    """The file of a config: a name in `configs/`, or a path. Raises InputError listing the names that exist."""
    named = CONFIG_FOLDER / f"{name}.yaml"
    if named.is_file():
        return named
    if Path(name).is_file():
        return Path(name)
    names = ", ".join(sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml")))
    raise InputError(f"--config {name}: no such config; the built-in ones are {names}, or give a YAML file")


def load_config(name: str | Path = DEFAULT_CONFIG, changes: dict[str, Any] | None = None) -> TrackerConfig:
    """The configuration `name`, or of a file, with `changes` (nested like the YAML) on top.

    Raises InputError for a file that is not YAML, an unknown key (naming it and the known ones) or a value of the
    wrong type.
    """
    require_kind("config", name, str, Path)
    require_kind("changes", changes, dict, NoneType)
    path = config_path(str(name))
    values = read_mapping(path, f"--config {path}")
    config = filled(TrackerConfig, values, f"--config {path}")
    return filled(TrackerConfig, merged(values, changes), "settings") if changes else config
