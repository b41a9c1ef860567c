"""Our own modules, parsed."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEAVES = ("settings", "errors", "egress", "piccolo_conf")
ELSEWHERE = {"node_modules", "__pycache__", "dist"}


@dataclass(frozen=True)
class Module:
    """A Python file of ours; `name` is its path from the root."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def package(self) -> str:
        """The folder at the root that it lies in, or its own name there."""
        return self.name.split("/")[0].removesuffix(".py")

    @cached_property
    def imports(self) -> frozenset[str]:
        """The full names of the modules that it imports, and of what it takes from them."""
        nodes = list(ast.walk(self.tree))
        modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        return frozenset(
            modules | {f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
        )

    def imports_from(self, package: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for name in self.imports)

    @property
    def texts(self) -> Iterator[str]:
        """The texts in it that are no docstrings; of an f-string its pieces."""
        docstrings = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield node.value


def _modules(*names: str) -> list[Module]:
    files = [file for name in names for file in ([ROOT / f"{name}.py"] if name in LEAVES else sorted((ROOT / name).rglob("*.py")))]
    return [Module(str(file.relative_to(ROOT)), file.read_text()) for file in files if not ELSEWHERE & set(file.parts)]


PACKAGES = sorted(file.parent.name for file in ROOT.glob("*/__init__.py") if file.parent.name not in {"tests", "bench"})
PRODUCT = _modules(*PACKAGES, *LEAVES)
TESTS = _modules("tests")
EVERYTHING = PRODUCT + TESTS
