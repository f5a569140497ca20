"""What a process keeps of outfits, patterns, backgrounds and lights, each made from its number when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tracker.body.model import BodyModel
from tracker.synth.samples.assets import AssetFolder, read_environment
from tracker.synth.samples.background import procedural_background
from tracker.synth.samples.light import Environment, procedural_environment
from tracker.synth.samples.occluder import Prop
from tracker.synth.samples.outfit import Dresser, Outfit
from tracker.synth.samples.pattern import tile
from tracker.synth.samples.rack import Rack, dressed_outfit
from tracker.synth.samples.sample import SampleConfig
from tracker.synth.samples.tailored import bare_outfit, tailored_outfit

T = TypeVar("T")
_BARE_SHARE, _TAILORED_SHARE = 0.10, 0.40
"""Up to where, on a scale from 0 to 1, outfits are bare and made by the tailor; beyond come MakeHuman's, if there."""
_TILES, _DRAWN_LIGHTS = 64, 32


class Shelf(Generic[T]):
    """Numbered things that depend on nothing but their number, made at first use and kept."""

    def __init__(self, count: int, make: Callable[[int], T]) -> None:
        self._count, self._make = count, make
        self._made: dict[int, T] = {}

    def any(self, rng: np.random.Generator) -> T:
        """One of them."""
        number = int(rng.integers(self._count))
        if number not in self._made:
            self._made[number] = self._make(number)
        return self._made[number]


class Stock:
    """The shelves of one process. Where there are no assets of a kind, its tuple is empty."""

    def __init__(self, config: SampleConfig, model: BodyModel, assets: AssetFolder | None) -> None:
        self._config, self._assets = config, assets
        self._dresser = Dresser(model)
        self._rack = None if assets is None else Rack.of(assets, config.split)
        self.outfits: Shelf[Outfit] = Shelf(config.outfits, self._outfit)
        self.tiles: Shelf[NDArray[np.uint8]] = Shelf(_TILES, lambda number: tile(config.rng(_TILE, number)))
        self.backgrounds: Shelf[NDArray[np.uint8]] = Shelf(
            config.backgrounds, lambda number: procedural_background(config.rng(_BACKGROUND, number))
        )
        maps = [] if assets is None else assets.environments(config.split)
        self.environments: Shelf[Environment] = Shelf(
            len(maps) + (len(maps) // 2 or _DRAWN_LIGHTS),
            lambda number: (
                read_environment(maps[number])
                if number < len(maps)
                else procedural_environment(config.rng(_LIGHT, number))
            ),
        )

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

    def _outfit(self, number: int) -> Outfit:
        rng = self._config.rng(_OUTFIT, number)
        kind = rng.random()
        if kind < _BARE_SHARE:
            return bare_outfit(self._dresser, rng)
        if self._rack is None or kind < _TAILORED_SHARE:
            return tailored_outfit(self._dresser, rng)
        return dressed_outfit(self._dresser, self._rack, rng)


_OUTFIT, _TILE, _BACKGROUND, _LIGHT = range(100, 104)
"""What random numbers are for: the first of the keys of `SampleConfig.rng`."""
