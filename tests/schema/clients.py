"""The documents of PENNY's own clients, gathered from their sources into the manifests that `make check` checks.

`python -m tests.schema.clients` writes those of this version; what earlier versions sent stays as it was until nobody has them any more.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from graphql import OperationDefinitionNode, parse

from gateway.formats import APOLLO, hash_of
from tests.running import ROOT

FOLDER: Final = ROOT / "schema" / "manifests"
# Where the sources of each client lie.
CLIENTS: Final = {
    "cli": ["cli/*.py"],
    "graphiql": ["web/graphiql/src/*.js", "web/graphiql/src/*.jsx", "web/graphiql/src/examples/*.graphql"],
    "pages": ["web/account/*.js", "web/share/*.js"],
    "tests": ["tests/clients/*.mjs"],
}
_QUOTED: Final = re.compile(r"`([^`]*)`|'([^'\n]*)'")
_OPERATION: Final = re.compile(r"\s*(?:(?:query|mutation|subscription)\b[^{('`]*[({]|\{\s*\w+[\s({])")


def manifest_of(client: str) -> dict[str, Any]:
    """Gather what a client sends, in the form of Apollo's manifests."""
    bodies = {body for path in paths_of(client) for body in _documents(path)}
    return {"format": APOLLO, "version": 1, "operations": sorted(map(_operation, bodies), key=lambda one: (one["name"], one["id"]))}


def paths_of(client: str) -> list[Path]:
    """The sources of a client."""
    return sorted(path for pattern in CLIENTS[client] for path in ROOT.glob(pattern))


def path_of(client: str) -> Path:
    """Where the manifest of a client's present version lies."""
    return FOLDER / f"{client}@{version('penny')}.json"


def written(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def _documents(path: Path) -> Iterator[str]:
    """Find the documents in a source; what looks like one and is none is an error."""
    text = path.read_text()
    if path.suffix == ".graphql":
        yield text
        return
    for one in _constants(text) if path.suffix == ".py" else _strings(text):
        if _OPERATION.match(one):
            yield one


def _constants(source: str) -> Iterator[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def _strings(source: str) -> Iterable[str]:
    return (template or quoted for template, quoted in _QUOTED.findall(source))


def _operation(body: str) -> dict[str, str]:
    (operation,) = [node for node in parse(body).definitions if isinstance(node, OperationDefinitionNode)]
    assert operation.name is not None, f"a document that is published has a name: {body}"
    return {"id": hash_of(body), "name": operation.name.value, "type": operation.operation.value, "body": body}


if __name__ == "__main__":
    for client in CLIENTS:
        path_of(client).write_text(written(manifest_of(client)))
