"""An address as a QR code of text, for a phone that looks at the terminal."""

from __future__ import annotations

import io

import segno


def qr_lines(text: str) -> list[str]:
    """Lines of half-block characters, light on dark."""
    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, border=2, compact=True)
    return drawn.getvalue().splitlines()
