"""Rooms without the people in them, out of clips from cameras that stand still."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import InputError

Picture = NDArray[np.uint8]
_WIDTH = 480
_ALIKE = 24.0
"""Mean difference of grey levels below which two clips show one place."""
_CLIPS = 4
"""Of one place that it takes: a person stays where he is for the length of a clip, not of several."""


def empty_rooms(clips: Sequence[Path]) -> list[Picture]:
    """One picture (h, 480, 3) for each place that several clips show: the median of what each mostly shows."""
    places: list[list[Picture]] = []
    for picture in map(_usual_picture, clips):
        alike = [place for place in places if _same_place(place[0], picture)]
        if alike:
            alike[0].append(picture)
        else:
            places.append([picture])
    return [np.median(np.stack(place), axis=0).astype(np.uint8) for place in places if len(place) >= _CLIPS]


def _usual_picture(clip: Path) -> Picture:
    return np.asarray(np.median(np.stack(_key_frames(clip)), axis=0), np.uint8)


def _key_frames(clip: Path) -> list[Picture]:
    """Frames that are cheap to reach, a second or more apart. Raises InputError for what is no video."""
    import av  # samples without real rooms need no library that reads video

    try:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{clip}: not a video that can be read ({error}); leave it out") from error
    if not frames:
        raise InputError(f"{clip}: has no frames; leave it out")
    height = round(_WIDTH * frames[0].shape[0] / frames[0].shape[1])
    return [np.asarray(cv2.resize(f, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8) for f in frames]


def _same_place(one: Picture, other: Picture) -> bool:
    if one.shape != other.shape:
        return False
    return float(np.abs(one.astype(np.int16) - other).mean()) < _ALIKE
