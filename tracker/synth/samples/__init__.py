"""Training samples: pictures of synthetic people with exact truth, as many as wanted, each from its number alone."""

from __future__ import annotations

from tracker.synth.samples.assets import AssetFolder
from tracker.synth.samples.factory import SampleFactory
from tracker.synth.samples.sample import PoseSource, Sample, SampleConfig
from tracker.synth.samples.sample_stream import stream

__all__ = ["AssetFolder", "PoseSource", "Sample", "SampleConfig", "SampleFactory", "stream"]
