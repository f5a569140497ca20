"""Several processes train as one: two of them, on this machine's CPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from tests import ROOT, ranks_script
from tests.programs import run_program
from tracker.core.errors import InputError
from tracker.core.tensor_file import load_tensors
from tracker.training import TrainingJob, run_training
from tracker.training.parallel import Ranks, chosen_device, joined


@pytest.mark.slow
def test_two_processes_have_one_state_and_go_on_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = run_program([*command, "-m", ranks_script.__name__, tmp_path], environment=environment)
    (one, told), (other, others) = (load_tensors(tmp_path / f"rank_{i}.safetensors", "a rank's state") for i in (0, 1))

    assert (told["seeds"], others["seeds"]) == ([6, 8, 10], [7, 9, 11])
    assert told["agreed"] == others["agreed"] == 0.5
    assert not torch.allclose(one["own"], other["own"])
    for state in (one, other):
        torch.testing.assert_close(state["mean"], (one["own"] + other["own"]) / 2)
    for name, value in one.items():
        if name != "own":
            torch.testing.assert_close(other[name], value, rtol=0, atol=0, msg=name)
        if name.startswith("whole."):
            torch.testing.assert_close(one[f"resumed.{name.removeprefix('whole.')}"], value, rtol=0, atol=0, msg=name)
    assert done.stderr.count("going on after step 2") <= 1


def test_alone_nothing_is_exchanged() -> None:
    alone = Ranks("cpu")
    values = torch.ones(3)
    alone.average([values])
    with alone.in_turn():
        assert values.tolist() == [1, 1, 1] and alone.agreed(2.5) == 2.5 and alone.first
    with joined("cpu") as found:
        assert found == alone


def test_what_several_processes_cannot_do_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="more processes than GPUs; start --nproc-per-node 2"):
        chosen_device("cuda", 2)
    with pytest.raises(InputError, match="--device cuda:1: torchrun gives each process a GPU of its own"):
        chosen_device("cuda:1", 0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="task 'prior' is trained by one process; start it without torchrun"):
        run_training(TrainingJob("prior", "prior", {}, tmp_path))
