"""The command line. A camera waits for it to be loaded, so what takes long is imported inside the functions."""

from __future__ import annotations

from tracker.cli.entry import cli, main

__all__ = ["cli", "main"]
