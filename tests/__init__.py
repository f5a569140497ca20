"""The tests, in folders like the packages that they are of."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
SHARED = ROOT.parent / "shared"
"""Real clips, motion and pictures beside the checkout: where they are missing, the tests that need them are skipped."""
