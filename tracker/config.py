"""Reads a configuration: a name in `configs/` or a YAML file, strictly, over the defaults of the stages' classes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import dacite
import yaml

from tracker.errors import InputError
from tracker.pipeline import TrackerConfig

CONFIG_FOLDER = Path(__file__).parent.parent / "configs"
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


def load_config(name: str = DEFAULT_CONFIG, changes: dict[str, Any] | None = None) -> TrackerConfig:
    """The configuration `name`, with `changes` (nested like the YAML) on top.

    Raises InputError for a file that is not YAML, an unknown key (naming it and the known ones) or a value of the
    wrong type.
    """
    path = config_path(name)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"--config {path}: expected a mapping of keys to values, got {type(values).__name__}")
    values = _merged(values, changes or {})
    _refuse_unknown(str(path), TrackerConfig, values, "")
    try:
        return dacite.from_dict(TrackerConfig, values, dacite.Config(strict=True, cast=[Path, tuple]))
    except dacite.DaciteError as error:
        raise InputError(f"--config {path}: {error}") from error


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _refuse_unknown(path: str, config_class: type, values: dict[str, Any], prefix: str) -> None:
    """Raises InputError at the first key that the configuration class does not have."""
    known = {f.name for f in fields(config_class)}
    hints = get_type_hints(config_class)
    for key, value in values.items():
        if key not in known:
            raise InputError(f"--config {path}: unknown key '{prefix}{key}'; known here: {', '.join(sorted(known))}")
        if is_dataclass(hints[key]) and isinstance(value, dict):
            _refuse_unknown(path, hints[key], value, f"{prefix}{key}.")  # type: ignore[arg-type]
