"""Further processes of ours import nothing from the folder that the user happens to be in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.clips import write_clip
from tests.programs import run_program
from tracker.runtime.helper_process import helper_command, import_places

TRAP = "from pathlib import Path; Path(__file__).with_name('SPRUNG').write_text(__name__); raise SystemExit(3)\n"


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A folder with modules called like those that we import."""
    for name in ("numpy", "queue", "pickle", "torch", "cv2", "av", "tracker", "kernels"):
        (tmp_path / f"{name}.py").write_text(TRAP)
    return tmp_path


def test_a_helper_does_not_import_from_the_current_folder(trapped: Path) -> None:
    command = helper_command("tracker.overlay.overlay_process")
    done = subprocess.run(command, input=b"", capture_output=True, cwd=trapped, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not (trapped / "SPRUNG").exists()


def test_the_current_folder_is_no_place_to_import_from(trapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trapped)
    monkeypatch.setattr(sys, "path", ["", str(trapped), *sys.path])
    assert "" not in import_places() and str(trapped) not in import_places()
    monkeypatch.chdir(ROOT)
    assert str(ROOT) in [*import_places(), str(ROOT)]


@pytest.mark.slow
def test_a_whole_run_in_such_a_folder(trapped: Path) -> None:
    """Long enough for the overlay to be drawn by another process."""
    clip = write_clip(trapped / "clip.mp4", frames=100)
    command = [sys.executable, str(ROOT / "run.py"), "track", str(clip), "--out", "out"]
    run_program(command, trapped)
    assert (trapped / "out" / "clip" / "overlay.mp4").is_file() and not (trapped / "SPRUNG").exists()
