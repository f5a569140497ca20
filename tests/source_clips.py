"""Small videos made on the spot for the tests of what reads and writes videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

NTSC = Fraction(30000, 1001)


def grey_level(index: int) -> int:
    """What the whole of frame `index` shows, so that a decoded frame says which one it is."""
    return 30 + 8 * (index % 24)


def level_of(image: NDArray[np.uint8]) -> int:
    """The index that `grey_level` was given for this picture."""
    return round((float(image.mean()) - 30) / 8)


@dataclass(frozen=True)
class ClipSpec:
    """A video of uniform grey frames."""

    size: tuple[int, int] = (64, 48)
    rate: Fraction = Fraction(25)
    count: int = 12
    times: Sequence[float] | None = None
    """Seconds of each frame; None spaces `count` of them by the rate."""
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = ()
    container_options: tuple[tuple[str, str], ...] = ()
    sound: str | None = None
    """Codec of a 440 Hz tone beside the pictures."""


def make_clip(path: Path, spec: ClipSpec = ClipSpec()) -> Path:
    """Writes the clip in the format that the suffix says."""
    count = spec.count if spec.times is None else len(spec.times)
    time_base = 1 / spec.rate if spec.times is None else Fraction(1, 90000)
    with av.open(str(path), "w", options=dict(spec.container_options)) as container:
        stream = container.add_stream(spec.codec, rate=spec.rate, options=dict(spec.options))
        stream.width, stream.height = spec.size
        stream.pix_fmt = spec.pix_fmt
        stream.codec_context.time_base = time_base
        audio = container.add_stream(spec.sound, rate=48000) if spec.sound else None
        if audio is not None:
            audio.layout = "mono"
        container.start_encoding()
        for index in range(count):
            image = np.full((spec.size[1], spec.size[0], 3), grey_level(index), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = index if spec.times is None else round(spec.times[index] / time_base)
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            seconds = float(count / spec.rate) if spec.times is None else max(spec.times)
            container.mux(tone_packets(audio, seconds))
    return path


def tone_packets(stream: av.AudioStream, seconds: float) -> list[av.Packet]:
    """A 440 Hz tone, encoded."""
    samples = (8000 * np.sin(2 * np.pi * 440 * np.arange(int(48000 * seconds)) / 48000)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    return stream.encode(frame) + stream.encode(None)


def make_picture_clip(path: Path, image: NDArray[np.uint8], rotation: tuple[float, bool] | None = None) -> Path:
    """Three frames of one picture, lossless; rotation: the tag's counter-clockwise degrees, and whether mirrored."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv444p"
        if rotation is not None:
            stream.set_display_rotation(rotation[0], hflip=rotation[1])
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_flat_clip(
    path: Path, planes: Sequence[int], pix_fmt: str, size: tuple[int, int], tags: tuple[int, int]
) -> Path:
    """Two lossless frames whose planes hold these code values; tags: (colour matrix, range) by FFmpeg's numbers."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = tags
        for index in range(2):
            frame = av.VideoFrame(*size, pix_fmt)
            frame.colorspace, frame.color_range = tags
            for plane, value in zip(frame.planes, planes, strict=True):
                dtype = np.uint16 if pix_fmt.endswith("10le") else np.uint8
                items = plane.buffer_size // np.dtype(dtype).itemsize
                plane.update(np.full(items, value, dtype).tobytes())
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
