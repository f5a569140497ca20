"""What a process keeps of outfits, patterns, backgrounds and lights, each made from its number when it is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tracker.body.model import BodyModel
from tracker.synth.samples.assets import AssetFolder, read_environment
from tracker.synth.samples.background import procedural_background
from tracker.synth.samples.clothes_rack import Rack, dressed_outfit
from tracker.synth.samples.environment import Environment, procedural_environment
from tracker.synth.samples.occluder import Prop
from tracker.synth.samples.outfit import Dresser, Outfit
from tracker.synth.samples.pattern import tile
from tracker.synth.samples.rigged_outfit import rigged_outfit
from tracker.synth.samples.sample import SampleConfig
from tracker.synth.samples.tailored import bare_outfit, tailored_outfit

T = TypeVar("T")
_log = logging.getLogger(__name__)
_BARE_SHARE, _TAILORED_SHARE = 0.10, 0.40
"""Up to where, on a scale from 0 to 1, outfits are bare and made by the tailor; beyond come MakeHuman's, if there,
and at its end whole rigged people."""
_SEEDS_FOR_ONE, _SPARE = 300, 4
"""Seeds after which a new outfit comes to hand, and how many old ones are kept for seeds that come late."""
_TILES, _DRAWN_LIGHTS = 64, 32


class Shelf(Generic[T]):
    """Numbered things that depend on nothing but their number, made when they are needed.

    Of infinitely many, `count` are at hand at a time; which ones moves on slowly with the seeds of the samples, so that
    a long run sees ever new ones and a process still makes each of them once.
    """

    def __init__(self, count: int, seeds_for_one: int | None, make: Callable[[int], T]) -> None:
        """seeds_for_one: seeds after which a new thing takes the place of an old one; None for never."""
        self._count, self._seeds_for_one, self._make = count, seeds_for_one, make
        self._first = 0
        self._made: dict[int, T] = {}

    def turn_to(self, seed: int) -> None:
        """Puts those things at hand that samples around this seed use."""
        self._first = 0 if self._seeds_for_one is None else seed // self._seeds_for_one

    def any(self, rng: np.random.Generator) -> T:
        """One of those at hand."""
        number = self._first + int(rng.integers(self._count))
        if number not in self._made:
            if len(self._made) > self._count + _SPARE:
                del self._made[next(iter(self._made))]
            self._made[number] = self._make(number)
        return self._made[number]


class SamplePool:
    """The shelves of one process. Where there are no assets of a kind, its tuple is empty."""

    def __init__(self, config: SampleConfig, model: BodyModel, assets: AssetFolder | None) -> None:
        self._config, self._assets, self._body = config, assets, model
        self._dresser = Dresser(model)
        self._rack = None if assets is None else Rack.of(assets, config.split)
        self.outfits: Shelf[Outfit] = Shelf(config.outfits, _SEEDS_FOR_ONE, self._outfit)
        self.tiles: Shelf[NDArray[np.uint8]] = Shelf(_TILES, _SEEDS_FOR_ONE, lambda n: tile(config.rng(_TILE, n)))
        self.backgrounds: Shelf[NDArray[np.uint8]] = Shelf(
            config.backgrounds,
            _SEEDS_FOR_ONE // 3,
            lambda n: procedural_background(config.rng(_BACKGROUND, n)),
        )
        maps = [] if assets is None else assets.environments(config.split)
        self.environments: Shelf[Environment] = Shelf(
            len(maps) + (len(maps) // 2 or _DRAWN_LIGHTS),
            None,
            lambda number: (
                read_environment(maps[number])
                if number < len(maps)
                else procedural_environment(config.rng(_LIGHT, number))
            ),
        )

    def turn_to(self, seed: int) -> None:
        """Puts at hand what samples around this seed use."""
        for shelf in (self.outfits, self.tiles, self.backgrounds):
            shelf.turn_to(seed)

    @cached_property
    def rooms(self) -> tuple[NDArray[np.uint8], ...]:
        """Pictures of places without people."""
        return () if self._assets is None else tuple(self._assets.rooms(self._config.split))

    @cached_property
    def props(self) -> tuple[Prop, ...]:
        """Models of things."""
        return () if self._assets is None else tuple(self._assets.props(self._config.split))

    @cached_property
    def textures(self) -> tuple[NDArray[np.uint8], ...]:
        """Pictures of materials."""
        return () if self._assets is None else tuple(self._assets.textures(self._config.split))

    @cached_property
    def _people(self) -> tuple[Path, ...]:
        """Files of whole rigged people."""
        if self._assets is None or not self._config.rigged:
            return ()
        files = self._assets.rigged_people(self._config.split)
        if files and find_spec("pygltflib") is None:
            _log.warning("%s: left out: pip install 'body-tracker[assets]' brings what reads them", files[0].parent)
            return ()
        return tuple(files)

    def _outfit(self, number: int) -> Outfit:
        rng = self._config.rng(_OUTFIT, number)
        kind = rng.random()
        if self._people and kind >= 1 - self._config.rigged:
            return rigged_outfit(self._dresser, self._body, self._people[rng.integers(len(self._people))])
        if kind < _BARE_SHARE:
            return bare_outfit(self._dresser, rng)
        if self._rack is None or kind < _TAILORED_SHARE:
            return tailored_outfit(self._dresser, rng)
        return dressed_outfit(self._dresser, self._rack, rng)


_OUTFIT, _TILE, _BACKGROUND, _LIGHT = range(100, 104)
"""What random numbers are for: the first of the keys of `SampleConfig.rng`."""
