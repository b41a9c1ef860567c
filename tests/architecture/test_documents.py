"""What the documents tell a newcomer to type is there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/clients.md", "docs/operating.md")
TEXT = {name: (ROOT / name).read_text() for name in DOCUMENTS}
TARGETS = sorted({target for text in TEXT.values() for target in re.findall(r"(?:^|`)make ([a-z]+)\b", text, re.MULTILINE)})
COMMANDS = sorted(
    {command for text in TEXT.values() for command in re.findall(r"penny (dev|serve|worker|migrate|doctor|chat|settings)\b", text)}
)
LINKS = [(name, link) for name, text in TEXT.items() for link in re.findall(r"\]\(([^)#:]+)\)", text)]


def test_the_readme_begins_with_its_two_commands() -> None:
    assert {"run", "test"} <= set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_that_is_named_exists(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target, "name=x"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_is_named_explains_itself(command: str) -> None:
    program = ROOT / ".venv" / "bin" / "penny"
    done = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"penny {command}" in done.stdout


@pytest.mark.parametrize(("document", "link"), LINKS)
def test_every_link_inside_the_repository_leads_somewhere(document: str, link: str) -> None:
    assert ((ROOT / document).parent / link).exists()
