"""Small clips that the tests make for themselves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_clip(path: Path, frames: int = 20, size: tuple[int, int] = (160, 120), rate: int = 20) -> Path:
    """A grey clip with a moving square and nobody in it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, rate)
        for i in range(frames):
            picture = np.full((size[1], size[0], 3), 90, np.uint8)
            left = (3 * i) % (size[0] - 20)
            picture[20:40, left : left + 20] = 220
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
