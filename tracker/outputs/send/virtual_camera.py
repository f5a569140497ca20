"""The drawn picture as a camera of this computer, through Linux' v4l2loopback: for video calls and OBS.

The kernel's interface is spoken directly: the usual packages for it are under the GPL.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

import cv2
import numpy as np

from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture, PictureFeed
from tracker.outputs.send.address import SendAddress

VIDIOC_S_FMT = 0xC0D05605
"""_IOWR('V', 5, struct v4l2_format), on machines of 64 bits."""
_OUTPUT, _NO_FIELDS, _SRGB = 2, 1, 8
"""V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_FIELD_NONE, V4L2_COLORSPACE_SRGB."""
I420 = int.from_bytes(b"YU12", "little")
_FORMAT = struct.Struct("=I4x8I168x")
"""struct v4l2_format with the first eight numbers of its v4l2_pix_format."""


class VirtualCameraOutput(PictureFeed):
    """Shows what the window shows; a program that has opened the device sees it as a webcam."""

    wants_picture = True

    def __init__(self, address: SendAddress) -> None:
        """Raises InputError where there is no such device."""
        self.name = address.only().text
        self._address, self._size = address, (0, 0)
        try:
            device = os.open(address.file(), os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            address.refuse(f"cannot be opened ({error.strerror}); make one with: sudo modprobe v4l2loopback")
        self._device = os.fdopen(device, "r+b", buffering=0)

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        assert picture is not None
        even = even_size(picture)
        if even != self._size:
            self._set_size(*even)
        self._device.write(i420(picture[: even[1], : even[0]]))  # nothing, where the one before still waits

    def _set_size(self, width: int, height: int) -> None:
        """Raises OSError where the device takes no pictures, or is in use with another size."""
        import fcntl

        try:
            fcntl.ioctl(self._device, VIDIOC_S_FMT, format_request(width, height))
        except OSError as error:
            remedy = "it is in use with another size" if error.errno == errno.EBUSY else "it takes no pictures"
            raise OSError(error.errno, f"{remedy}; expected a device of v4l2loopback") from error
        self._size = (width, height)

    def close(self) -> None:
        self._device.close()


def even_size(picture: Picture) -> tuple[int, int]:
    """(width, height) px without an odd last column or row, which I420 cannot have."""
    return picture.shape[1] & ~1, picture.shape[0] & ~1


def format_request(width: int, height: int) -> bytes:
    """struct v4l2_format for pictures of this size in I420."""
    return _FORMAT.pack(_OUTPUT, width, height, I420, _NO_FIELDS, width, width * height * 3 // 2, _SRGB, 0)


def i420(picture: Picture) -> bytes:
    """(height, width, 3) RGB, both even → all Y, then U and V of every other row and column."""
    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2YUV_I420).tobytes()
