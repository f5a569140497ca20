"""Features that are local: what lies elsewhere in the crop, and what the decoder believes, does not change them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tracker.body import load_body
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.core.errors import InputError
from tracker.extract.feature_network import FeatureNetwork, input_sizes
from tracker.networks.body_network import BodyNetwork, NetworkConfig
from tracker.networks.extractor import ExtractorConfig
from tracker.networks.guide import GUIDE_CHANNELS
from tracker.networks.local_extractor import LocalExtractor, LocalExtractorConfig
from tracker.networks.part_attention import PartAttentionConfig

CONTEXT = ExtractorConfig(width=(8, 8, 8, 8), stem=4, features=8)
CONFIG = LocalExtractorConfig(CONTEXT, stem=8, width=(8, 12, 16), out=12, features=8)
HEAD = PartAttentionConfig(channels=8, whole=16)


def guide(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(1, size, side, side, generator=generator) for name, (size, side) in GUIDE_CHANNELS.items()
    }


def network(config: ExtractorConfig | LocalExtractorConfig, seed: int = 0, orientations: int = 2) -> BodyNetwork:
    torch.manual_seed(seed)
    volume = VolumeConfig(kernels=60, orientations=orientations, clutter=4)
    return BodyNetwork(NetworkConfig(config, HEAD), BodyVolume.on(load_body(None), volume)).eval()


def test_features_depend_on_crop_and_encoder_alone() -> None:
    extractor, crop = LocalExtractor(CONFIG).eval(), torch.rand(1, 3, 256, 256)
    one = guide()
    believed = one | {name: values for name, values in guide(1).items() if not name.startswith("encoder")}
    with torch.no_grad():
        plain, other = extractor(crop, one), extractor(crop, believed)
        encoded = extractor(crop, one | {"encoder_16": guide(2)["encoder_16"]})
    assert torch.equal(plain.features, other.features)
    assert not torch.equal(plain.trunk, other.trunk)
    assert not torch.equal(plain.features, encoded.features)
    torch.testing.assert_close(plain.features.norm(dim=1), torch.ones(1, 64, 64))


def test_a_patch_changes_what_is_near_and_not_what_is_far() -> None:
    extractor, crop = LocalExtractor(CONFIG).eval(), torch.rand(1, 3, 256, 256)
    patched = crop.clone()
    patched[..., :16, :16] = 0
    with torch.no_grad():
        change = (extractor(crop, guide()).features - extractor(patched, guide()).features).norm(dim=1)[0]
    assert change[:4, :4].max() > 1e-3
    assert change[48:, 48:].max() == 0


def test_it_begins_with_what_another_has_learned_of_head_and_volume() -> None:
    old, new = network(CONTEXT, 1), network(CONFIG, 2)
    new.start_from(old)
    assert isinstance(new.extractor, LocalExtractor)
    crop, camera = torch.rand(1, 3, 256, 256), torch.tensor([[300.0, 300.0, 128.0, 128.0]])
    known = {**guide(), **landmarks()}
    with torch.no_grad():
        one, other = (each.head(each.extractor(crop, guide()).trunk, known, camera) for each in (old, new))
    torch.testing.assert_close(one.rotations, other.rotations)
    assert torch.equal(old.bank, new.bank)
    with pytest.raises(InputError, match="start_from: weights of another kind"):
        new.start_from(network(CONTEXT, orientations=3))


def landmarks() -> dict[str, torch.Tensor]:
    return {"landmarks": torch.zeros(1, 39, 5), "metric": torch.zeros(1, 39, 3)}


def test_it_is_saved_read_and_run_as_one_network(tmp_path: Path) -> None:
    made = network(CONFIG)
    made.save(tmp_path / "local.safetensors", {})
    read = BodyNetwork.load(tmp_path / "local.safetensors", load_body(None))
    assert read.config == made.config
    running = FeatureNetwork(read).eval()
    inputs = [torch.rand(1, *size) for size in input_sizes(read).values()]
    inputs[0] = (255 * inputs[0]).byte()
    with torch.no_grad():
        features, rotations, *_ = running(*inputs)
    assert features.shape == (1, 64, 64, 8) and rotations.shape == (1, 24, 3, 3)
