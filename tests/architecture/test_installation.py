"""The code that runs is the code of this checkout: nothing of ours lies in site-packages as a copy that grows stale."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["cli", "db", "egress", "errors", "piccolo_conf", "schema", "settings", "tests", "web"])
def test_our_modules_come_from_the_checkout(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)
    assert "site-packages" not in module.__file__
