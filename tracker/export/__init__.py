"""Everything that a run leaves on disk besides its video: one small writer a format, and the folder that holds them."""

from tracker.core.person import FrameRecord
from tracker.export.files import mirrored_folders, output_folders, prepare_folder
from tracker.export.formats import FORMATS, PERSON_WRITERS, parse_formats
from tracker.export.jsonl import load_frames
from tracker.export.npz import load_person
from tracker.export.run_json import RunHeader, RunSummary
from tracker.export.run_writer import ExportConfig, RunResult, RunWriter
from tracker.export.sequence import PersonSequence, RunContext

__all__ = [
    "FORMATS",
    "PERSON_WRITERS",
    "ExportConfig",
    "FrameRecord",
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
