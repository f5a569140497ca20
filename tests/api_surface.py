"""The public surface as a listing: `python -m tests.api_surface` writes api_surface.json anew after a wanted change."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import tracker

LISTING = Path(__file__).with_name("api_surface.json")


def surface() -> dict[str, Any]:
    """Public name → its kind, and what can be reached through it."""
    return {name: described(getattr(tracker, name)) for name in sorted(tracker.__all__) if name != "__version__"}


def described(thing: Any) -> Any:
    if not inspect.isclass(thing):
        return str(inspect.signature(thing)) if callable(thing) else type(thing).__name__
    members: dict[str, str] = {}
    if is_dataclass(thing):
        members |= {each.name: str(each.type) for each in fields(thing)}
    if issubclass(thing, BaseException):
        return [base.__name__ for base in thing.__mro__[1:-1]]
    for name, value in inspect.getmembers(thing):
        if name.startswith("_") or name in members:
            continue
        if isinstance(value, property):
            members[name] = "property"
        elif callable(value):
            members[name] = str(inspect.signature(value))
        elif hasattr(value, "func"):  # functools.cached_property
            members[name] = "property"
    return members


if __name__ == "__main__":
    LISTING.write_text(json.dumps(surface(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
