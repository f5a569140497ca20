"""Configuration files: strict about keys, clear about mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tracker.app.config_commands import shown
from tracker.cli.entry import cli
from tracker.config import CONFIG_FOLDER, load_config
from tracker.core.errors import InputError
from tracker.core.field_docs import field_docs
from tracker.core.strict_yaml import assigned, read_yaml
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
        ("fit: {prior_weight: .nan}", r"bad\.yaml: fit\.prior_weight: expected a number, got NaN"),
        ("fit: {little_seen: [0.8, .nan]}", r"fit\.little_seen: expected a number, got NaN"),
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


@pytest.mark.parametrize("seconds", ["inf", "nan", "3601", "3"])
@pytest.mark.parametrize("command", [["demo"], ["evaluate", "synthetic"]])
def test_a_clip_lasts_for_a_finite_time(command: list[str], seconds: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, [*command, "--seconds", seconds, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and seconds in done.output and not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--out", " "], ["--out", "out", "--jobs", "0"]])
def test_a_wrong_option_is_told_before_anything_is_tracked(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    done = CliRunner().invoke(cli, ["track", str(tmp_path / "film.mp4"), *options])
    assert isinstance(done.exception, InputError) and options[-2] in str(done.exception)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="accurate, fast, live"):
        load_config("lively")


def keys(config: Any, prefix: str = "") -> Iterator[tuple[str, type, str]]:
    """Dotted key, class and field of every value."""
    for each in fields(config):
        value = getattr(config, each.name)
        if is_dataclass(value):
            yield from keys(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}", type(config), each.name


def test_every_key_says_what_it_means() -> None:
    assert [key for key, config_class, name in keys(TrackerConfig()) if not field_docs(config_class).get(name)] == []


@pytest.mark.parametrize("name", ["live", "accurate"])
def test_what_config_show_prints_is_a_configuration(name: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text("\n".join(shown(name, {}, 100)))
    assert load_config(str(path)) == load_config(name)


def test_config_show_marks_what_differs() -> None:
    text = "\n".join(shown("live", assigned(["fit.iterations=11"]), 100))
    assert "# * (default 6) At most so many" in text and "iterations: 11" in text


def test_any_key_can_be_set() -> None:
    values = assigned(["fit.iterations=10", "smooth.mode=none", "detect.max_people=2", "fit.move_rate=[1, 2, 3]"])
    config = load_config("live", values)
    assert (config.fit.iterations, config.smooth.mode, config.detect.max_people) == (10, "none", 2)
    assert config.fit.move_rate == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fit.iteration=9", r"unknown key 'fit\.iteration'; did you mean 'fit\.iterations'"),
        ("fit.iterations=many", r"fit\.iterations"),
        ("fit=3", "^settings: fit: expected keys below it, got 3"),
        ("fit.iterations=-1", r"fit\.iterations: expected 1 to 1000, got -1"),
        ("smooth.offline.seconds=0", r"offline\.seconds: expected a positive number, got 0"),
        ("smooth.causal.position_beta=-1", r"causal\.position_beta: expected 0 to 100000, got -1"),
        ("fit.iterations=1000000000", r"^fit\.iterations: expected 1 to 1000, got 1000000000"),
        ("volume.steps=1000000000", r"^volume\.steps: expected 0 to 1000, got 1000000000"),
        ("volume.likelihood_weight=1e300", r"^volume\.likelihood_weight: expected 0 to 10000, got 1e\+300"),
        ("detect.max_people=1000000000", r"^detect\.max_people: expected 1 to 1000, got"),
        ("detect.second_looks=1000000000", r"^detect\.second_looks: expected 0 to 1000, got"),
        ("engine.threads=1000000000", r"^engine\.threads: expected 1 to 1024, got"),
        ("engine.streams=0", r"^engine\.streams: expected 1 to 1024, got 0"),
        ("identity.place_spread=1e-300", r"^identity\.place_spread: expected 0\.0001 to 10000, got 1e-300"),
        ("smooth.offline.seconds=1e9", r"^offline\.seconds: expected 0 to 60, got"),
        ("track.shape_seconds=0", r"^track\.shape_seconds: expected a positive number, got 0"),
        ("volume.rate=.nan", r"^settings: volume\.rate: expected a number, got NaN"),
        ("smooth.mode=later", r"smooth\.mode"),
        ("fit.iterations", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("fit..iterations=3", "expected KEY=VALUE"),
        ("fit.iterations={", "no YAML"),
    ],
)
def test_a_mistake_in_set_is_named(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        load_config("live", assigned([text]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "0.1e-3", "+1e-4", ".1e-3", "1.0e-4", "0.0001"])
def test_powers_of_ten_are_numbers_however_they_are_written(text: str, tmp_path: Path) -> None:
    """YAML 1.1 takes those without a dot or a sign for text."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"fit:\n  tolerance: {text}\n")
    for config in (load_config("live", assigned([f"fit.tolerance={text}"])), load_config(str(file)), load_config(file)):
        assert config.fit.tolerance == pytest.approx(1e-4)


def test_what_only_looks_like_a_power_of_ten_is_text() -> None:
    assert read_yaml("[1e, e4, 1e4x, e-4, 12e3.5]") == ["1e", "e4", "1e4x", "e-4", "12e3.5"]


def test_set_and_show_on_the_command_line() -> None:
    done = CliRunner().invoke(cli, ["config", "show", "fast", "--set", "engine.threads=2"])
    assert done.exit_code == 0 and "threads: 2" in done.output and "max_people: 1" in done.output
    assert "accurate" in CliRunner().invoke(cli, ["config", "list"]).output
    assert CliRunner().invoke(cli, ["config", "show", "nope"]).output == "", "a file that it is kept in stays empty"
    done = CliRunner().invoke(cli, ["info", "--set", "fit.iterations=3"])
    assert done.exit_code == 0 and "fit.iterations" in done.output and "TrackerConfig" not in done.output
