"""Lines of text over the live picture. Imports little: it is what shows first, while the networks are loading."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT = (240, 240, 240)


def draw_hud(image: NDArray[np.uint8], lines: Sequence[str]) -> NDArray[np.uint8]:
    """The picture with lines of (ASCII) text on a dim panel in its upper left corner, as large as its width allows."""
    picture = np.array(image, order="C")
    height, width = picture.shape[:2]
    if not lines:
        return picture
    scale = float(np.clip(height / 1300, 0.4, 1.4))
    widest = max(cv2.getTextSize(line, _FONT, 1.0, 1)[0][0] for line in lines)
    scale = min(scale, 0.94 * width / max(widest, 1))
    line_height = int(np.ceil(34 * scale))
    margin = max(line_height // 3, 1)
    panel = picture[: len(lines) * line_height + 2 * margin, : int(widest * scale) + 3 * margin]
    panel[:] = cv2.convertScaleAbs(panel, alpha=0.35)
    thickness = 2 if scale > 0.9 else 1
    for row, line in enumerate(lines, start=1):
        place = (margin, margin + row * line_height - line_height // 3)
        cv2.putText(picture, line, place, _FONT, scale, _TEXT, thickness, cv2.LINE_AA)
    return picture
