"""TensorRT's plans on disk: a plan is good for one GPU model, one TensorRT and one network, so it says which.

Kept apart from the engine so that any machine can list and judge plans, with TensorRT or without.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from engines.convert import write_whole
from engines.engine import EngineOptions, ModelError

SUFFIX = ".plan"
_NOTE = ".json"


@dataclass(frozen=True)
class PlanNote:
    """What a plan was built from and for; written beside it."""

    tensorrt: str
    gpu: str
    precision: str
    max_batch: int
    model: str
    """SHA-256 of the ONNX file, weights included."""
    plan: str = ""
    """SHA-256 of the plan itself: a copy that was cut off is found before TensorRT reads it."""

    def difference(self, wanted: PlanNote) -> str:
        """What keeps a plan with this note from serving where `wanted` is needed; empty when nothing does."""
        mine, theirs = ({key: str(value) for key, value in asdict(note).items()} for note in (self, wanted))
        names = [name for name in mine if name != "plan" and mine[name] != theirs[name]]
        return ", ".join(f"{name} {mine[name][:40]}, here {theirs[name][:40]}" for name in names)


def plan_path(model: Path, options: EngineOptions) -> Path:
    """Where a model's plan lies: beside its ONNX file."""
    outputs = "" if options.outputs is None else "-" + digest_of(",".join(options.outputs).encode())[:8]
    return model.with_name(f"{model.stem}-{options.precision}{outputs}{SUFFIX}")


def write_plan(path: Path, plan: bytes, note: PlanNote) -> None:
    """The note goes last: a plan without one is refused, so an interrupted writer leaves nothing that runs."""
    note_path(path).unlink(missing_ok=True)
    write_whole(path, lambda target: _write(target, plan))
    text = json.dumps({**asdict(note), "plan": digest_of(plan)}, indent=1)
    write_whole(note_path(path), lambda target: _write(target, text.encode()))


def read_plan(path: Path, wanted: PlanNote, rebuild: str) -> bytes:
    """The plan's bytes. Raises ModelError with the command `rebuild` unless it is whole and fits `wanted`."""
    if not path.is_file():
        raise ModelError(f"{path}: TensorRT has no engine for this network yet; build it with: {rebuild}")
    difference = read_note(path, rebuild).difference(wanted)
    if difference:
        raise ModelError(f"{path}: built for something else ({difference}); build it anew with: {rebuild}")
    content = path.read_bytes()
    if digest_of(content) != read_note(path, rebuild).plan:
        raise ModelError(f"{path}: damaged; build it anew with: {rebuild}")
    return content


def read_note(path: Path, rebuild: str) -> PlanNote:
    """The note of a plan. Raises ModelError where it is missing or damaged."""
    try:
        values = json.loads(note_path(path).read_text(encoding="utf-8"))
        return PlanNote(**{field.name: values[field.name] for field in fields(PlanNote)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: nothing says what it was built for; build it anew with: {rebuild}") from error


def note_path(plan: Path) -> Path:
    return plan.with_name(plan.name + _NOTE)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
