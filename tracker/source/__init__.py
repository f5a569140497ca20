"""Where pictures come from: webcams, files, photos and streams, all as timestamped upright RGB frames.

Everything downstream sees only `Frame`: what is peculiar to a container, a driver or a network stays in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tracker.core.errors import InputError
from tracker.source.animation import AnimationSource, picture_count
from tracker.source.container import NO_PERMISSION, without_password
from tracker.source.images import IMAGE_SUFFIXES, ImageSource, files_in
from tracker.source.network_stream import StreamSource, is_recorded
from tracker.source.playback import PacedSource, paced
from tracker.source.retimed import RetimedSource
from tracker.source.source import Clip, LiveConfig, Source, SourceInfo, SourceKind, is_address
from tracker.source.video import VideoSource
from tracker.source.webcam import CameraSource

__all__ = [
    "Clip",
    "LiveConfig",
    "PacedSource",
    "Source",
    "SourceInfo",
    "SourceKind",
    "expand_inputs",
    "open_live_source",
    "open_source",
    "paced",
]

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

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtmp", "srt")


def open_source(
    spec: str,
    clip: Clip = Clip(),  # noqa: B008 (frozen)
    config: LiveConfig = LiveConfig(),  # noqa: B008 (frozen)
    fps: float | None = None,
) -> Source:
    """Opens a webcam ("0", "/dev/video0"), video file, image, folder of images, or address (rtsp://, http://, udp://).

    A file whose name is a number is meant by "./0". fps: pictures a second of a file or folder, instead of its own
    times. Raises InputError, one line, when it cannot give pictures.
    """
    return _open(spec, clip, config) if fps is None else RetimedSource(_open(spec, Clip(), config), fps, clip)


def _open(spec: str, clip: Clip, config: LiveConfig) -> Source:
    if _is_camera(spec):
        return CameraSource(int(spec) if spec.isdecimal() else spec, clip, config)
    if is_address(spec):
        return _open_address(spec, clip, config)
    path = _existing(spec)
    if path.is_dir():
        return ImageSource(path, clip)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return AnimationSource(path, clip) if picture_count(path) > 1 else ImageSource(path, clip)
    return VideoSource(spec, clip)


def open_live_source(spec: str, config: LiveConfig = LiveConfig()) -> Source:  # noqa: B008 (frozen)
    """As `open_source`, with recorded input played in real time in the place of a camera."""
    return paced(open_source(spec, Clip(), config))


def expand_inputs(specs: Sequence[str]) -> list[str]:
    """Replaces each folder that holds videos by these, in natural order; everything else stays as it is.

    A folder with both videos and images counts as one of videos (the images are taken for their thumbnails).
    Raises InputError for paths that do not exist and folders with neither.
    """
    expanded: list[str] = []
    for spec in specs:
        if _is_camera(spec) or is_address(spec) or not _existing(spec).is_dir():
            expanded.append(spec)
            continue
        videos = files_in(Path(spec), VIDEO_SUFFIXES)
        if not videos and not files_in(Path(spec), IMAGE_SUFFIXES):
            raise InputError(f"{spec}: this folder holds neither videos nor images; give a folder that does, or a file")
        expanded.extend([str(path) for path in videos] or [spec])
    return expanded


def _is_camera(spec: str) -> bool:
    return spec.isdecimal() or spec.startswith("/dev/video")


def _open_address(address: str, clip: Clip, config: LiveConfig) -> Source:
    scheme = address.split("://", 1)[0].lower()
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise InputError(f"{without_password(address)}: {scheme}:// is not supported; expected one of {known}")
    if scheme in ("http", "https") and is_recorded(address, config):
        return VideoSource(address, clip, config.timeout_seconds)
    return StreamSource(address, clip, config)


def _existing(spec: str) -> Path:
    path = Path(spec)
    try:
        path.stat()
    except PermissionError:
        raise InputError(f"{spec}: {NO_PERMISSION}") from None
    except (OSError, ValueError):
        raise InputError(f"{spec}: no such file or folder; check the path") from None
    return path
