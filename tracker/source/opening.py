"""Opens whatever can be named: a camera, a file, a folder, an address."""

from __future__ import annotations

from pathlib import Path

from tracker.core.errors import InputError
from tracker.core.shown_text import is_address, shown_address
from tracker.source.animation import AnimationSource, picture_count
from tracker.source.images import IMAGE_SUFFIXES, ImageSource
from tracker.source.inputs import existing_path, is_camera, spec_of
from tracker.source.network_stream import StreamSource, is_recorded
from tracker.source.playback import paced
from tracker.source.retimed import RetimedSource
from tracker.source.source import Clip, LiveConfig, Source
from tracker.source.video import VideoSource
from tracker.source.webcam import CameraSource

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtmp", "srt")


def open_source(
    spec: str | Path | int,
    clip: Clip = Clip(),  # noqa: B008 (frozen)
    config: LiveConfig = LiveConfig(),  # noqa: B008 (frozen)
) -> Source:
    """Opens a webcam (0, "0", "/dev/video0"), video file, image, folder of images, or address (rtsp://, http://,
    udp://).

    A file whose name is a number is meant by "./0" or a Path. Raises InputError, one line, when it cannot give
    pictures.
    """
    spec = spec_of(spec)
    if clip.fps is not None:
        return RetimedSource(open_source(spec, Clip(), config), clip.fps, clip)
    if is_camera(spec):
        return CameraSource(int(spec) if spec.isdecimal() else spec, clip, config)
    if is_address(spec):
        return _open_address(spec, clip, config)
    path = existing_path(spec)
    limit = config.trust.max_pixels
    if path.is_dir():
        return ImageSource(path, clip, limit)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return AnimationSource(path, clip, limit) if picture_count(path) > 1 else ImageSource(path, clip, limit)
    return VideoSource(spec, clip, trust=config.trust)


def open_live_source(spec: str, config: LiveConfig = LiveConfig()) -> Source:  # noqa: B008 (frozen)
    """As `open_source`, with recorded input played in real time in the place of a camera."""
    return paced(open_source(spec, Clip(), config))


def _open_address(address: str, clip: Clip, config: LiveConfig) -> Source:
    scheme = address.split("://", 1)[0].lower()
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise InputError(f"{shown_address(address)}: {scheme}:// is not supported; expected one of {known}")
    if scheme in ("http", "https") and is_recorded(address, config):
        return VideoSource(address, clip, config.timeout_seconds, config.trust)
    return StreamSource(address, clip, config)
