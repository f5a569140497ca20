"""The focal length that a picture or video says it was taken with.

Phones and cameras write it as that of a lens which would show the same on 35 mm film, 36 × 24 mm: its ratio to the
picture's diagonal is that of the lens to the film's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from tracker.core.camera import CameraConfig
from tracker.source.source import SourceInfo

_FILM_DIAGONAL = math.hypot(36.0, 24.0)
"""mm"""
_PLAUSIBLE = (8.0, 1200.0)
"""mm of a lens on 35 mm film; what lies outside is a writer's mistake, 0 above all."""
_MM_PER_UNIT = {2: 25.4, 3: 10.0}
"""Of EXIF's FocalPlaneResolutionUnit."""
_QUICKTIME = "com.apple.quicktime.camera.focal_length.35mm_equivalent"


def focal_of_image(path: Path, width: int, height: int) -> float | None:
    """px of the upright picture of this size, from its EXIF tags; None where they do not say."""
    tags: Mapping[int, Any] = {}
    with suppress(OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError), Image.open(path) as image:
        tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
    on_film = _number(tags.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if on_film is not None and _is_plausible(on_film):
        return _in_pixels(on_film, width, height)
    return _from_sensor(tags, width, height)


def focal_of_video(metadata: Mapping[str, str], width: int, height: int) -> float | None:
    """px of the upright picture of this size, from a container's metadata; None where it does not say."""
    length = re.match(r"\s*(\d+(\.\d+)?)", metadata.get(_QUICKTIME, ""))
    if length is None or not _is_plausible(float(length.group(1))):
        return None
    return _in_pixels(float(length.group(1)), width, height)


def guessed_focal(cameras: CameraConfig, info: SourceInfo) -> list[str]:
    """The warning of a source of which neither the user nor its files say the focal length."""
    guess = cameras.or_focal(info.focal).guess(info.width, info.height)
    return [] if guess is None else [f"{info.location}: {guess}"]


def _from_sensor(tags: Mapping[int, Any], width: int, height: int) -> float | None:
    """From the lens's own focal length and the pixels of the sensor."""
    focal = _number(tags.get(ExifTags.Base.FocalLength))
    density = _number(tags.get(ExifTags.Base.FocalPlaneXResolution))
    stored = _number(tags.get(ExifTags.Base.ExifImageWidth))
    unit = _MM_PER_UNIT.get(int(tags.get(ExifTags.Base.FocalPlaneResolutionUnit, 2)))
    if focal is None or density is None or stored is None or unit is None:
        return None
    shown = max(width, height) if stored >= min(width, height) else width
    pixels = focal * density / unit * shown / stored
    return pixels if _is_plausible(pixels * _FILM_DIAGONAL / math.hypot(width, height)) else None


def _in_pixels(on_film: float, width: int, height: int) -> float:
    return on_film / _FILM_DIAGONAL * math.hypot(width, height)


def _is_plausible(on_film: float) -> bool:
    return _PLAUSIBLE[0] <= on_film <= _PLAUSIBLE[1]


def _number(value: Any) -> float | None:
    """A positive number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None
