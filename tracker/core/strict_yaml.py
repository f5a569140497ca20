"""YAML files that fill configuration dataclasses, strictly: an unknown key or a value of the wrong type is an error."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import dacite
import yaml

from tracker.core.errors import InputError
from tracker.core.input_file import fault, read_bytes

Config = TypeVar("Config")
LARGEST_YAML = 1 << 20
"""Bytes. Reading takes a second for each."""
_DEEPEST = 50


class _BoundedLoader(yaml.SafeLoader):
    """Takes no aliases, by which a few lines stand for thousands of millions of values, and nothing deep."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias (*{self.peek_event().anchor:.40}), which is not read here")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise yaml.YAMLError(f"values nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_BoundedLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
"""Numbers as YAML 1.2 has them: PyYAML's 1.1 takes 1e-4 and 1.0e4 for text."""


def read_yaml(text: str | bytes) -> Any:
    """Plain values. Raises YAMLError or ValueError for what is no YAML, or more than a configuration needs."""
    if len(text) > LARGEST_YAML:
        raise yaml.YAMLError(f"larger than the {LARGEST_YAML >> 10} KiB that are read")
    try:
        return yaml.load(text, _BoundedLoader)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None


def read_mapping(path: Path, label: str) -> dict[str, Any]:
    """The file's keys and values; `label` opens the messages. Raises InputError for what is no YAML mapping."""
    try:
        values = read_yaml(read_bytes(path, LARGEST_YAML)) or {}
    except (yaml.YAMLError, OSError, ValueError, TypeError) as error:
        raise InputError(f"{label}: not a YAML file: {fault(error)}") from error
    if not isinstance(values, dict):
        raise InputError(f"{label}: expected a mapping of keys to values, got {type(values).__name__}")
    return values


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """Nested values of `a.b=value` texts, the values read as YAML. Raises InputError that names the text at fault."""
    values: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            raise InputError(f"--set {text}: expected KEY=VALUE, as in fit.iterations=10")
        try:
            read = read_yaml(value)
        except (yaml.YAMLError, ValueError, TypeError) as error:
            raise InputError(f"--set {text}: the value is no YAML: {fault(error)}") from error
        nested: Any = read
        for part in reversed(key.split(".")):
            nested = {part: nested}
        values = merged(values, nested)
    return values


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` on top, key by key through nested mappings."""
    result = dict(base)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return result


def filled(config_class: type[Config], values: dict[str, Any], label: str) -> Config:
    """An instance with these values over its defaults. Raises InputError that names the key at fault."""
    _refuse_unknown(label, config_class, values, "")
    _refuse_nan(label, values, "")
    try:
        return dacite.from_dict(config_class, values, dacite.Config(strict=True, cast=[Path, tuple]))  # type: ignore[type-var]
    except dacite.DaciteError as error:
        raise InputError(f"{label}: {error}") from error


def _refuse_nan(label: str, value: Any, key: str) -> None:
    """Raises InputError at the first NaN: it is neither below nor above any limit, so that no check would tell."""
    if isinstance(value, dict):
        for name, below in value.items():
            _refuse_nan(label, below, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for below in value:
            _refuse_nan(label, below, key)
    elif isinstance(value, float) and math.isnan(value):
        raise InputError(f"{label}: {key}: expected a number, got NaN")


def _refuse_unknown(label: str, config_class: type, values: dict[str, Any], prefix: str) -> None:
    """Raises InputError at the first key that the configuration class does not have."""
    known = {f.name for f in fields(config_class)}
    hints = get_type_hints(config_class)
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            hint = f"did you mean '{prefix}{near[0]}'? " if near else ""
            raise InputError(f"{label}: unknown key '{prefix}{key}'; {hint}known here: {', '.join(sorted(known))}")
        if is_dataclass(hints[key]) and not isinstance(value, dict):
            raise InputError(f"{label}: {prefix}{key}: expected keys below it, got {value!r}")
        if is_dataclass(hints[key]) and isinstance(value, dict):
            _refuse_unknown(label, hints[key], value, f"{prefix}{key}.")  # type: ignore[arg-type]
