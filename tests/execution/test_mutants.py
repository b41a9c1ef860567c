"""The trials notice a compiler that is broken, in whatever way: a search that finds nothing would prove nothing otherwise."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.execution.mutants import CONTROL, MUTANTS

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)  # thirty compilers, one after the other
async def test_a_compiler_that_is_broken_in_any_of_these_ways_is_noticed() -> None:
    driver = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-m", "tests.execution.mutants", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    written, _ = await driver.communicate()
    assert driver.returncode == 0
    noticed = json.loads(written)
    assert set(noticed) == set(MUTANTS)
    assert noticed.pop(CONTROL) is None
    assert {name: found for name, found in noticed.items() if not isinstance(found, int)} == {}
