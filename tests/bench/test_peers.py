"""The peers: pinned, and from no registry in particular."""

import json
from pathlib import Path

PEERS = Path(__file__).parents[2] / "bench" / "peers"


def test_every_package_of_the_node_peers_is_pinned_by_its_hash_and_names_no_registry() -> None:
    packages = json.loads((PEERS / "package-lock.json").read_text())["packages"]
    wanted = json.loads((PEERS / "package.json").read_text())["dependencies"]
    assert {f"node_modules/{name}" for name in wanted} <= set(packages)
    assert [name for name, one in packages.items() if name and "integrity" not in one] == []
    assert [name for name, one in packages.items() if "resolved" in one] == []


def test_the_python_peers_have_penny_s_own_versions() -> None:
    def versions(file: Path) -> dict[str, str]:
        pins = [line.split(" ")[0].partition("==") for line in file.read_text().splitlines() if "==" in line and not line.startswith(" ")]
        return {name: version for name, _, version in pins}

    ours, theirs = versions(PEERS.parents[1] / "requirements.lock"), versions(PEERS / "requirements.lock")
    shared = set(ours) & set(theirs)
    assert {"asyncpg", "cryptography", "orjson", "strawberry-graphql", "uvicorn", "uvloop"} <= shared
    assert {name for name in shared if ours[name] != theirs[name]} == set()
