"""`config`: what can be set, what it means, and what it is set to."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from tracker.config import CONFIG_FOLDER, load_config
from tracker.core.field_docs import field_docs
from tracker.pipeline import TrackerConfig

_INDENT = "  "
_CHANGED = "*"


def names() -> Iterator[str]:
    """A line on each configuration that comes with the tracker: its name and its first comment."""
    for path in sorted(CONFIG_FOLDER.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        yield f"{path.stem:10} {first.removeprefix('#').strip()}"


def shown(name: str, changes: dict[str, Any], width: int) -> Iterator[str]:
    """A configuration as YAML that can be used as it is, with a comment on every key.

    Values that differ from the default are marked. Raises InputError as `load_config`.
    """
    yield f"# {name}: every key with its meaning; {_CHANGED} marks what differs from the default"
    yield from _section(load_config(name, changes), TrackerConfig(), "", width)


def _section(config: Any, default: Any, indent: str, width: int) -> Iterator[str]:
    config_class: type = type(config)
    docs = field_docs(config_class)
    for each in fields(config):
        value, usual = getattr(config, each.name), getattr(default, each.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield ""
            yield from _comment(docs.get(each.name, _first_line(type(value))), indent, width)
            yield f"{indent}{each.name}:"
            yield from _section(value, usual, indent + _INDENT, width)
        else:
            mark = f"{_CHANGED} (default {_plain(usual)}) " if value != usual else ""
            yield from _comment(mark + docs.get(each.name, ""), indent, width)
            yield f"{indent}{each.name}: {_plain(value)}"


def _comment(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, max(width, 40), initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_long_words=False
    )


def _plain(value: Any) -> str:
    """The value as YAML writes it in one line."""
    if isinstance(value, Path):
        value = str(value)
    elif isinstance(value, tuple):
        value = list(value)
    return str(yaml.safe_dump(value, default_flow_style=True, width=10_000)).removesuffix("...\n").strip()


def _first_line(config_class: type) -> str:
    return (config_class.__doc__ or "").split("\n\n")[0].replace("\n", " ")
