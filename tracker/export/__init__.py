"""Everything that a run leaves on disk besides its video: one small writer a format, and the folder that holds them.

Names are loaded when they are first asked for: what a folder holds can be looked up without what writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.core.lazy_names import names_on_demand

if TYPE_CHECKING:
    from tracker.export.files import mirrored_folders, output_folders, prepare_folder
    from tracker.export.formats import FORMATS, PERSON_WRITERS, parse_formats
    from tracker.export.jsonl import load_frames
    from tracker.export.npz import load_person
    from tracker.export.run_json import RunHeader, RunSummary
    from tracker.export.run_writer import ExportConfig, RunResult, RunWriter
    from tracker.export.sequence import PersonSequence, RunContext

_HOMES = {
    "FORMATS": "formats",
    "PERSON_WRITERS": "formats",
    "ExportConfig": "run_writer",
    "PersonSequence": "sequence",
    "RunContext": "sequence",
    "RunHeader": "run_json",
    "RunResult": "run_writer",
    "RunSummary": "run_json",
    "RunWriter": "run_writer",
    "load_frames": "jsonl",
    "load_person": "npz",
    "mirrored_folders": "files",
    "output_folders": "files",
    "parse_formats": "formats",
    "prepare_folder": "files",
}
"""Public name → the module that holds it."""

__all__ = [
    "FORMATS",
    "PERSON_WRITERS",
    "ExportConfig",
    "PersonSequence",
    "RunContext",
    "RunHeader",
    "RunResult",
    "RunSummary",
    "RunWriter",
    "load_frames",
    "load_person",
    "mirrored_folders",
    "output_folders",
    "parse_formats",
    "prepare_folder",
]

__getattr__ = names_on_demand(__name__, _HOMES)
