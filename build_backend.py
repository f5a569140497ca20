"""setuptools, given a C++ compiler where it builds a wheel: zig, as a package. An editable install needs none."""

from importlib.util import find_spec

from setuptools.build_meta import *  # noqa: F403
from setuptools.build_meta import get_requires_for_build_wheel as _requires


def get_requires_for_build_wheel(config_settings=None):  # type: ignore[no-untyped-def]
    """What pip installs before it builds."""
    return [*_requires(config_settings), *([] if find_spec("ziglang") else ["ziglang>=0.13"])]
