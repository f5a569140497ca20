"""Imports that are put off."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tracker.runtime.lazy_imports import lazy_imports

USER = "import slow_parent.slow_child as child\ndef answer():\n    return child.ANSWER\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package, a module of it, and another one that imports both."""
    (tmp_path / "slow_parent").mkdir()
    (tmp_path / "slow_parent" / "__init__.py").write_text("")
    (tmp_path / "slow_parent" / "slow_child.py").write_text("ANSWER = 42\n")
    (tmp_path / "uses_slow.py").write_text(USER)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("slow_parent", "slow_parent.slow_child", "uses_slow"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("packages")
def test_a_deferred_module_is_imported_when_it_is_used() -> None:
    with lazy_imports("slow_parent", "slow_parent.slow_child"):
        import uses_slow  # type: ignore[import-not-found]
    assert not {"slow_parent", "slow_parent.slow_child"} & sys.modules.keys()
    assert uses_slow.answer() == 42
    assert "slow_parent.slow_child" in sys.modules


@pytest.mark.usefixtures("packages")
def test_others_import_the_module_itself_afterwards() -> None:
    with lazy_imports("slow_parent", "slow_parent.slow_child"):
        import uses_slow  # noqa: F401
    import slow_parent.slow_child  # type: ignore[import-not-found]

    assert slow_parent.slow_child.__file__ is not None and slow_parent.slow_child.ANSWER == 42


@pytest.mark.usefixtures("packages")
def test_a_module_that_is_loaded_already_stays() -> None:
    import slow_parent

    with lazy_imports("slow_parent"):
        assert sys.modules["slow_parent"] is slow_parent
    assert sys.modules["slow_parent"] is slow_parent
