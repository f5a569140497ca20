"""What the volume is trained on: synthetic people, the tracker's own fits on footage, people in annotated pictures."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

from tracker.body import BodyModel
from tracker.core.errors import InputError
from tracker.extract.feature_extractor import ExtractConfig
from tracker.motion import MotionLibrary, PoseSampler
from tracker.pipeline import TrackerConfig
from tracker.runtime.cache import cache_folder
from tracker.synth.samples import AssetFolder, SampleConfig, SampleFactory, stream
from tracker.training.annotated import AnnotatedData, read_people
from tracker.training.job import TrainingJob
from tracker.training.parallel import Ranks
from tracker.training.people import Example, ExampleMaker, Guided, Mixed, PosedPicture, RealPeople, Synthetic
from tracker.training.real_clips import find_clips, label_footage, split_clips
from tracker.training.volume_config import VolumeTraining

log = logging.getLogger("tracker")

_FITTED = 0.5
"""What the tracker's own fits count, against exact poses and shapes."""


class Material:
    """Examples to learn from and to look at, by their numbers."""

    def __init__(self, job: TrainingJob, settings: VolumeTraining, body: BodyModel, ranks: Ranks) -> None:
        self._job, self._settings, self._body, self._ranks = job, settings, body, ranks
        given = tuple(AnnotatedData(file, images) for file, images in job.data)
        self._data = (*settings.data, *given)

    @property
    def provenance(self) -> str:
        """What weights are made from that are trained on it, for their metadata."""
        job = self._job
        dressed = "" if job.assets is None else " with CC0 skins, clothes and light (MakeHuman, HDRIs)"
        people = [] if job.assets is None else AssetFolder.open(job.assets).rigged_people("train")
        if people and self._settings.samples.rigged:
            dressed += " and rigged people out of avatars/, whose licences hold for these weights"
        motion = "joint-limit poses" if job.motion is None else "CMU and DeepMimic motion clips (free use; MIT)"
        real = "" if job.footage is None else "; the tracker's own fits on MIT-licensed webcam clips"
        names = ", ".join(data.file.name for data in self._data)
        owned = f"; pictures annotated in {names}, whose owners' licences hold for these weights" if names else ""
        return f"synthetic people{dressed}; {motion}{real}{owned}"

    def held_out(self) -> list[Example]:
        """People for the validation: other looks, shapes and clips than those to learn from."""
        number, settings = self._settings.validation, self._settings
        factory = sample_factory(replace(settings.samples, split="held_out"), self._job, self._body)
        made = Guided(Synthetic(factory))
        people = [made.sample(i) for i in range(number)]
        if self._job.footage is not None and number:
            _, clips = split_clips(find_clips(self._job.footage), settings.footage)
            real = Guided(RealPeople(self._labelled(clips), self._body))
            people += [real.sample(i) for i in range(number)]
        return people

    def batches(self, source: ExampleMaker, step: int) -> Iterator[list[Example]]:
        """New examples and ones used before, for this step and those after it. Which, depends on its number alone."""
        settings = self._settings
        fresh = stream(source, self._ranks.seeds(_first_needed(step, settings)), self._job.workers)
        reservoir: deque[Example] = deque(maxlen=settings.reservoir)
        for _ in range(step * _fresh(settings) - _first_needed(step, settings)):
            reservoir.append(next(fresh))
        for number in count(step):
            new = [next(fresh) for _ in range(_fresh(settings))]
            reservoir.extend(new)
            rng = np.random.default_rng([settings.seed, number, 1])
            again = rng.integers(len(reservoir), size=settings.batch - len(new))
            yield new + [reservoir[i] for i in again]

    def source(self) -> ExampleMaker:
        """The maker of examples to learn from; on a GPU without their guides, which are then made there."""
        mixed = self._mixed()
        return mixed if self._ranks.on_gpu else Guided(mixed)

    def _mixed(self) -> Mixed:
        real: list[tuple[ExampleMaker, float]] = []
        if self._job.footage is not None:
            clips, _ = split_clips(find_clips(self._job.footage), self._settings.footage)
            crops = self._labelled(clips)
            log.info("%d crops of real people", len(crops))
            real.append((RealPeople(crops, self._body), self._settings.real_share))
        weights = sum(data.weight for data in self._data)
        for data in self._data:
            share = self._settings.data_share * data.weight / weights
            real.append((RealPeople(read_people(data, self._body), self._body), share))
        shares = sum(share for _, share in real)
        if shares > 1 + 1e-6:
            raise InputError(f"{self._job.name}: real_share and data_share add up to {shares:g}; expected 1 at most")
        return Mixed(Synthetic(sample_factory(self._settings.samples, self._job, self._body)), real)

    def _labelled(self, clips: Sequence[Path]) -> list[PosedPicture]:
        """The crops of real clips that can be learned from. Raises InputError when there are none."""
        # labelled by the landmark fit alone: what is trained must not be taught by itself
        alone = TrackerConfig(extract=ExtractConfig(enabled=False))
        crops = label_footage(clips, self._settings.footage, alone, cache_folder() / "footage")
        pictures = [PosedPicture(c.image, c.mask, c.camera, c.pose, _FITTED, _FITTED) for c in crops]
        if not pictures:
            raise InputError(f"--footage {self._job.footage}: no frame in which landmarks, mask and mesh agree")
        return pictures


def sample_factory(config: SampleConfig, job: TrainingJob, body: BodyModel) -> SampleFactory:
    """The maker of synthetic samples for one split: its motion clips, its looks."""
    library = None
    if job.motion is not None:
        halves = MotionLibrary.open(job.motion).split()
        library = halves[config.split == "held_out"]
    assets = None if job.assets is None else AssetFolder.open(job.assets)
    return SampleFactory(config, body, PoseSampler(library), assets)


def _fresh(settings: VolumeTraining) -> int:
    """New examples for each step; the others of the batch come from the reservoir."""
    return max(settings.batch // settings.reuse, 1)


def _first_needed(step: int, settings: VolumeTraining) -> int:
    return max(step * _fresh(settings) - settings.reservoir, 0)
