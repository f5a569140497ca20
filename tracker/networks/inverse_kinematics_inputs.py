"""What inverse kinematics may be given; apart, so that what runs without torch can say it."""

from __future__ import annotations

from typing import Literal

Inputs = Literal["landmarks", "votes", "both"]
"""A detector's landmarks, the joints that dense maps vote for, or both."""
