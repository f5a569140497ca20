"""Puts the configurations and the compiled kernels of one platform into the wheel; the rest is in pyproject.toml.

BODY_TRACKER_PLATFORM names another platform than this machine's, among kernels.compiler.PLATFORMS: zig makes them all.
"""

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))
from kernels.compiler import PLATFORMS, build_all, platform_here  # noqa: E402

PLATFORM = os.environ.get("BODY_TRACKER_PLATFORM") or platform_here()
BY_ZIG = find_spec("ziglang") is not None
if os.environ.get("BODY_TRACKER_PLATFORM") and (PLATFORM not in PLATFORMS or not BY_ZIG):
    raise SystemExit(f"BODY_TRACKER_PLATFORM={PLATFORM}: expected one of {', '.join(PLATFORMS)}, and ziglang installed")


class BuildWithKernels(build_py):
    """Sources, configurations, and for a wheel the compiled kernels."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # a checkout has its configurations, and compiles what it needs
            return
        target = Path(self.build_lib)
        shutil.copytree(ROOT / "configs", target / "tracker" / "configs", dirs_exist_ok=True)
        if PLATFORM in PLATFORMS:
            build_all(target / "kernels" / "prebuilt", PLATFORM, by_zig=BY_ZIG)


class PlatformWheel(bdist_wheel):
    """Good for any Python 3 on the platform whose kernels are inside."""

    def get_tag(self) -> tuple[str, str, str]:
        if PLATFORM not in PLATFORMS:
            return "py3", "none", "any"
        # the system's compiler links to the system's own libraries, which may be newer than others have
        here = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        return "py3", "none", PLATFORMS[PLATFORM].tag if BY_ZIG else here


setup(cmdclass={"build_py": BuildWithKernels, "bdist_wheel": PlatformWheel})
