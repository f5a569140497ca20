"""YAML files that fill configuration dataclasses, strictly: an unknown key or a value of the wrong type is an error."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import dacite
import yaml

from tracker.core.errors import InputError

Config = TypeVar("Config")


def read_mapping(path: Path, label: str) -> dict[str, Any]:
    """The file's keys and values; `label` opens the messages. Raises InputError for what is no YAML mapping."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{label}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{label}: expected a mapping of keys to values, got {type(values).__name__}")
    return values


def filled(config_class: type[Config], values: dict[str, Any], label: str) -> Config:
    """An instance with these values over its defaults. Raises InputError that names the key at fault."""
    _refuse_unknown(label, config_class, values, "")
    try:
        return dacite.from_dict(config_class, values, dacite.Config(strict=True, cast=[Path, tuple]))  # type: ignore[type-var]
    except dacite.DaciteError as error:
        raise InputError(f"{label}: {error}") from error


def _refuse_unknown(label: str, config_class: type, values: dict[str, Any], prefix: str) -> None:
    """Raises InputError at the first key that the configuration class does not have."""
    known = {f.name for f in fields(config_class)}
    hints = get_type_hints(config_class)
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{label}: unknown key '{prefix}{key}'; known here: {', '.join(sorted(known))}")
        if is_dataclass(hints[key]) and isinstance(value, dict):
            _refuse_unknown(label, hints[key], value, f"{prefix}{key}.")  # type: ignore[arg-type]
