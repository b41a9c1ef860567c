"""Decision records can be named by their number alone."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def test_records_are_numbered_from_one_without_gaps_or_twins() -> None:
    assert [record.name[:5] for record in RECORDS] == [f"{number:04}-" for number in range(1, len(RECORDS) + 1)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_s_title_has_the_number_of_its_file(record: Path) -> None:
    assert record.read_text().startswith(f"# {int(record.name[:4])}. ")


def test_every_record_that_is_named_exists() -> None:
    pattern = r"decisions/[0-9]{4}[a-z0-9-]*(\.md)?"
    found = subprocess.run(["git", "grep", "-hoE", pattern], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = {re.sub(r"^decisions/|\.md$", "", one) for one in found.split()}
    assert {name for name in named if not any(record.stem == name or record.name[:4] == name for record in RECORDS)} == set()
