"""Configuration files: strict about keys, clear about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker.config import CONFIG_FOLDER, load_config
from tracker.core.errors import InputError
from tracker.pipeline import TrackerConfig


def test_the_default_is_what_the_classes_say() -> None:
    assert load_config() == TrackerConfig()


@pytest.mark.parametrize("path", sorted(CONFIG_FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_loads(path: Path) -> None:
    assert isinstance(load_config(path.stem), TrackerConfig)


def test_a_file_holds_differences_and_options_come_on_top(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("fit: {iterations: 9}\ndetect: {max_people: 3}\n")
    config = load_config(str(path), {"detect": {"max_people": 2}, "camera": {"focal": 900.0}})
    assert config.fit.iterations == 9
    assert config.detect.max_people == 2
    assert config.camera.focal == 900.0
    assert config.fit.pixel_spread == TrackerConfig().fit.pixel_spread


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fit: {iteration: 9}", r"unknown key 'fit\.iteration'.*iterations"),
        ("fitt: {}", "unknown key 'fitt'"),
        ("fit: {iterations: many}", r"fit\.iterations"),
        ("- a\n- b", "expected a mapping"),
        ("fit: {", "not a YAML file"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=named) as caught:
        load_config(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="accurate, fast, live"):
        load_config("lively")
