"""What we import from others, and what they must not bring: a module by one of our names."""

import importlib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.sources import LEAVES, PACKAGES, PRODUCT, ROOT

# An outside system is spoken to in one place.
ONE_PLACE = {
    "aioboto3": {"artifacts/objects.py", "auth/encryption/kms_key.py"},
    "aiosmtplib": {"auth/mailer.py", "cli/checks.py"},  # the doctor knocks at the mail server's door
    "argon2": {"auth/passwords.py"},
    "stripe": set(),
    "openai": set(),
    "anthropic": set(),
    "xllamacpp": {"stack/llama.py"},
}
# What the leaves at the root know of us; import-linter cannot watch single modules.
LEAVES_KNOW = {"settings": set(), "errors": set(), "egress": {"errors"}, "piccolo_conf": set()}
# Piccolo's wheel carries its own tests and configuration by accident.
BY_ACCIDENT = {"tests", "piccolo_conf"}


@pytest.mark.parametrize("library", ONE_PLACE)
def test_an_outside_system_is_spoken_to_in_one_place(library: str) -> None:
    assert {module.name for module in PRODUCT if module.imports_from(library)} == ONE_PLACE[library]


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_knows_hardly_anything_of_us(leaf: str) -> None:
    (module,) = [module for module in PRODUCT if module.name == f"{leaf}.py"]
    assert {name for name in (*PACKAGES, *LEAVES) if module.imports_from(name)} == LEAVES_KNOW[leaf]


def test_no_dependency_brings_a_module_by_one_of_our_names() -> None:
    brought = {name: set(by) - {"penny"} for name, by in packages_distributions().items() if name in {*PACKAGES, *LEAVES, "tests", "bench"}}
    assert {name for name, by in brought.items() if by} <= BY_ACCIDENT


@pytest.mark.parametrize("name", [*PACKAGES, *LEAVES, "tests"])
def test_by_our_names_our_modules_are_found(name: str) -> None:
    found = importlib.import_module(name).__file__
    assert found is not None
    assert Path(found).is_relative_to(ROOT)
    assert ".venv" not in Path(found).parts
