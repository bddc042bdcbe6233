"""Pack configs/ and tools/ into the wheel, in the package's folder .mim as MMDetection does.

Everything else about the package is in setup.cfg.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithConfigs(build_py):
    """`build_py`, which also copies the folders that a checkout has next to the package."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # it uses the checkout's own
            return
        for name in ('configs', 'tools'):
            shutil.copytree(
                ROOT / name,
                Path(self.build_lib, 'mmdet_multigrain', '.mim', name),
                ignore=shutil.ignore_patterns('__pycache__'),
                dirs_exist_ok=True,
            )


setup(cmdclass={'build_py': BuildWithConfigs})
