"""What `test_training_parallel` has two processes do together: `torchrun -m tests.ranks_script FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from tests.training.test_volume import VALUES
from tracker.body import load_body
from tracker.core.tensor_file import save_tensors
from tracker.training.job import TrainingJob
from tracker.training.parallel import Ranks, joined
from tracker.training.people import Batch
from tracker.training.train_volume import VolumeTrainer
from tracker.training.volume_config import VolumeTraining


@dataclass(frozen=True)
class Watching(Ranks):
    """Remembers the first gradients that it averaged, before and after."""

    seen: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def average(self, tensors: Sequence[Tensor]) -> None:
        before = torch.cat([t.flatten() for t in tensors])
        super().average(tensors)
        if len(tensors) > 1:
            self.seen.append((before, torch.cat([t.flatten() for t in tensors])))


class Killed(VolumeTrainer):
    """Dies at the third step."""

    def advance(self, batch: Batch) -> dict[str, float]:
        if self.step == 2:
            raise KeyboardInterrupt
        return super().advance(batch)


def trained(kind: type[VolumeTrainer], out: Path, ranks: Ranks) -> VolumeTrainer:
    job = TrainingJob("tiny", "volume", {**VALUES, "validation": 0}, out, "cpu", workers=0)
    settings = job.settings(VolumeTraining)
    torch.manual_seed(settings.seed)
    trainer = kind(job, settings, load_body(), ranks)
    trainer.go_on()
    return trainer


def main(out: Path) -> None:
    torch.set_num_threads(1)
    with joined("cpu") as plain:
        ranks = Watching(**asdict(plain))
        whole = trained(VolumeTrainer, out / "whole", ranks)
        (own, mean), *_ = ranks.seen
        try:
            trained(Killed, out / "killed", plain)
        except KeyboardInterrupt:
            with plain.in_turn():
                assert (out / "killed" / "checkpoint.safetensors").exists()
        resumed = trained(VolumeTrainer, out / "killed", plain)
        weights = {f"whole.{name}": value for name, value in whole.network.state_dict().items()}
        weights |= {f"resumed.{name}": value for name, value in resumed.network.state_dict().items()}
        told = {"seeds": list(islice(plain.seeds(3), 3)), "agreed": plain.agreed(0.5 + plain.number)}
        save_tensors(out / f"rank_{plain.number}.safetensors", {"own": own, "mean": mean, **weights}, told)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
