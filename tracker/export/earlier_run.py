"""What an earlier run says of itself in its run.json: whether it finished, with which settings, and how it went."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracker.core.errors import InputError
from tracker.export.files import RUN_NAME

_ANY_MACHINE = "engine"
"""The part of a configuration that may differ from machine to machine in one batch."""


@dataclass(frozen=True)
class EarlierRun:
    """A folder's run.json."""

    document: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> EarlierRun | None:
        """None where a run has left none, or none that can be read: then it has not finished."""
        try:
            return cls.parsed((folder / RUN_NAME).read_bytes())
        except OSError:
            return None

    @classmethod
    def parsed(cls, content: bytes) -> EarlierRun | None:
        """None where it is not a run.json."""
        try:
            document = json.loads(content)
        except ValueError:
            return None
        return cls(document) if isinstance(document, dict) else None

    @property
    def finished(self) -> bool:
        """Whether its input was tracked to the end and every file is there."""
        return self.document.get("finished") is True

    def require_same(self, source: str, settings: Mapping[str, Any]) -> None:
        """Raises InputError unless the run was of a source that is called like this path or address, with settings
        (`config` and `job`, as run.json has them) that are the same but for the engine."""
        location = str(self.document.get("source", {}).get("location", ""))
        if Path(location).name != Path(source).name:
            raise InputError(f"{source}: its place holds the result of {location}; give another --out")
        earlier = {key: self.document.get(key) for key in settings}
        changed = next(_differences(json.loads(json.dumps(settings)), earlier), None)
        if changed is not None:
            raise InputError(
                f"{source}: finished before with another {changed}; pass --overwrite to track it anew, or another --out"
            )


def _differences(wanted: Any, earlier: Any, name: str = "") -> Iterator[str]:
    """The dotted names of values that are not the same."""
    if isinstance(wanted, dict) and isinstance(earlier, dict):
        for key in [*wanted, *(key for key in earlier if key not in wanted)]:
            if key != _ANY_MACHINE:
                yield from _differences(wanted.get(key), earlier.get(key), f"{name}.{key}" if name else key)
    elif wanted != earlier:
        yield name
