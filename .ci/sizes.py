"""Prints the longest files and functions, for a look at where something grew too big."""  # noqa: INP001 - a script of its own

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SHOWN = 15


def functions(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{path}:{node.lineno} {node.name}"


def main() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    paths = [path for path in map(Path, listed.stdout.splitlines()) if path.exists()]
    files = [(len(path.read_text().splitlines()), str(path)) for path in paths]
    longest = [found for path in paths for found in functions(path)]
    for title, sizes in (("files", files), ("functions", longest)):
        average = sum(size for size, _ in sizes) / max(1, len(sizes))
        sys.stdout.write(f"{len(sizes)} {title}, {average:.0f} lines on average; the longest:\n")
        sys.stdout.writelines(f"{size:6} {name}\n" for size, name in sorted(sizes, reverse=True)[:SHOWN])


if __name__ == "__main__":
    main()
