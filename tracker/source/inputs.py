"""What a command is given to work on: files, addresses, and everything that lies in folders, at any depth."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tracker.core.errors import InputError
from tracker.core.shown_text import is_address, shown_address
from tracker.runtime.storage import is_stored, stored_files
from tracker.source.container import NO_PERMISSION
from tracker.source.images import IMAGE_SUFFIXES, files_in
from tracker.source.source import natural_key

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".mov",
        ".m4v",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".gif",
    }
)


@dataclass(frozen=True)
class Input:
    """One source to be opened."""

    spec: str
    """As `open_source` takes it."""
    within: Path = Path()
    """Where it lies in the folder that was asked for: empty for one that lies directly in it or was named itself."""


def spec_of(source: str | Path | int) -> str:
    """A source as the command line names it. Raises InputError for what names none."""
    if isinstance(source, bool) or not isinstance(source, str | Path | int):
        raise InputError(
            f"source: expected a path, an address or a camera's number, got {source!r:.80} of {type(source).__name__}"
        )
    if isinstance(source, Path) and str(source).isdecimal():
        return f"./{source}"  # else it would be a camera
    return str(source)


def find_inputs(specs: Sequence[str], is_result: Callable[[Path], bool] = lambda folder: False) -> list[Input]:
    """Replaces each folder by the videos in it and in its subfolders, in natural order; all else stays as it is.

    A folder without any video stands for itself, if it holds images, and for the subfolders that do. (Beside videos
    images are taken for their thumbnails.) Hidden folders and those that `is_result` knows are left out. Raises
    InputError for paths that do not exist and folders with neither; of several such a one stands for itself, and says
    so when it is opened.
    """
    inputs: list[Input] = []
    for spec in specs:
        if not spec.strip():
            raise InputError("an input is empty: expected a file, a folder or an address (is a variable not set?)")
        try:
            inputs.extend(_inputs_of(spec, is_result))
        except InputError:
            if len(specs) == 1:
                raise
            inputs.append(Input(spec))
    return inputs


def _inputs_of(spec: str, is_result: Callable[[Path], bool]) -> list[Input]:
    if is_stored(spec):
        return _on_storage(spec)
    if is_camera(spec) or is_address(spec) or not existing_path(spec).is_dir():
        return [Input(spec)]
    inside = _in_tree(Path(spec), is_result)
    if not inside:
        raise InputError(f"{spec}: this folder holds neither videos nor images; give a folder that does, or a file")
    return inside


def _on_storage(address: str) -> list[Input]:
    files = stored_files(address)
    if files == [PurePosixPath(".")]:
        return [Input(address)]
    shown = [each for each in files if not any(part.startswith(".") for part in each.parts)]
    videos = [each for each in shown if each.suffix.lower() in VIDEO_SUFFIXES and each.name != "overlay.mp4"]
    if not videos:
        raise InputError(f"{shown_address(address)}: this folder holds no videos; give a folder that does, or a file")
    videos.sort(key=lambda each: [natural_key(Path(part)) for part in each.parts])
    return [Input(f"{address.rstrip('/')}/{each}", Path(each.parent)) for each in videos]


def _in_tree(top: Path, is_result: Callable[[Path], bool]) -> list[Input]:
    contents = {folder: _content(folder) for folder in _folders(top, is_result)}
    videos = [
        Input(str(path), folder.relative_to(top))
        for folder, files in contents.items()
        for path in files or []
        if path.suffix.lower() in VIDEO_SUFFIXES
    ]
    pictures = [folder for folder, files in contents.items() if files and not videos]
    locked = [folder for folder, files in contents.items() if files is None]
    # one that cannot be read says so when it is opened
    whole = [*pictures, *locked]
    return videos + [Input(str(each), (each if each == top else each.parent).relative_to(top)) for each in whole]


def _content(folder: Path) -> list[Path] | None:
    """Its videos and images; None where it cannot be looked into."""
    try:
        return files_in(folder, VIDEO_SUFFIXES | IMAGE_SUFFIXES) if _is_readable(folder) else None
    except InputError:
        return None


def _is_readable(folder: Path) -> bool:
    """By looking into it, too: root, and file systems over a network, are refused what the mode allows."""
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
            return os.access(folder, os.R_OK | os.X_OK)
    except OSError:
        return False


def _folders(top: Path, is_result: Callable[[Path], bool]) -> Iterator[Path]:
    """The folder and those below it, each before its own, in natural order; links to folders are not followed."""
    yield top
    if not _is_readable(top):
        return
    with os.scandir(top) as entries:
        below = [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False) and each.name[0] != "."]
    for folder in sorted(below, key=natural_key):
        if not (_is_readable(folder) and is_result(folder)):
            yield from _folders(folder, is_result)


def is_camera(spec: str) -> bool:
    """Whether this is a webcam's number or device."""
    return spec.isdecimal() or spec.startswith("/dev/video")


def existing_path(spec: str) -> Path:
    """Raises InputError where nothing is there."""
    path = Path(spec)
    try:
        path.stat()
    except PermissionError:
        raise InputError(f"{spec}: {NO_PERMISSION}") from None
    except (OSError, ValueError):
        raise InputError(f"{spec}: no such file or folder; check the path") from None
    return path
