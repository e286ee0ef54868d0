"""Copies Models/ into the built package as medseg/_models, so that an installed wheel carries its models."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithModels(build_py):
    """Build the package, then add the bundles; an editable install finds them in the checkout instead."""

    def run(self) -> None:
        """Build and copy."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "medseg" / "_models"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(Path(__file__).parent / "Models", target)


setup(cmdclass={"build_py": BuildWithModels})
