"""The focal length that files say, in pixels of the picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tracker.core.camera import CameraConfig
from tracker.source import open_source
from tracker.source.focal_length import focal_of_video

SIZE = (400, 300)
DIAGONAL = 500.0
QUICKTIME = "com.apple.quicktime.camera.focal_length.35mm_equivalent"


def photo(path: Path, orientation: int = 1, **tags: float) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base[name]: value for name, value in tags.items()})
    Image.fromarray(np.zeros((SIZE[1], SIZE[0], 3), np.uint8)).save(path, exif=exif)
    return path


def focal(path: Path) -> float | None:
    with open_source(str(path)) as source:
        return source.info.focal


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photo_says_it_as_of_35_mm_film(tmp_path: Path, orientation: int) -> None:
    path = photo(tmp_path / "phone.jpg", orientation, FocalLengthIn35mmFilm=26)
    assert focal(path) == pytest.approx(26 / math.hypot(36, 24) * DIAGONAL)


def test_a_photo_says_it_as_of_its_sensor(tmp_path: Path) -> None:
    """50 mm on a sensor of 100 pixels a millimetre, of which the picture keeps one in ten."""
    tags = {"FocalLength": 50.0, "FocalPlaneXResolution": 2540.0, "FocalPlaneResolutionUnit": 2}
    path = photo(tmp_path / "camera.jpg", ExifImageWidth=4000, **tags)
    assert focal(path) == pytest.approx(50 * 100 / 10)


@pytest.mark.parametrize("tags", [{}, {"FocalLengthIn35mmFilm": 0}, {"FocalLength": 4.2}])
def test_a_photo_that_does_not_say(tmp_path: Path, tags: dict[str, float]) -> None:
    assert focal(photo(tmp_path / "photo.jpg", **tags)) is None


def test_a_video_says_it_in_quicktimes_words() -> None:
    assert focal_of_video({QUICKTIME: "26"}, *SIZE) == pytest.approx(26 / math.hypot(36, 24) * DIAGONAL)
    assert focal_of_video({QUICKTIME: "0"}, *SIZE) is None
    assert focal_of_video({"title": "26"}, *SIZE) is None


def test_what_the_user_says_goes_first() -> None:
    assert CameraConfig().or_focal(700.0).for_size(400, 300).fx == 700.0
    assert CameraConfig().or_focal(None).for_size(400, 300).fx == DIAGONAL
    assert CameraConfig(focal=900.0).or_focal(700.0).for_size(400, 300).fx == 900.0
