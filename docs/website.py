"""The documentation as a site: `make docs` gathers the pages, lets Zensical build them, and follows every link of what came out.

The pages lie as they do in the repository, so that links which lead somewhere there lead somewhere here. The API's reference and the list
of decisions are made anew.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from graphql import build_schema

from cli import reference
from schema.schema import sdl

ROOT: Final = Path(__file__).parents[1]
BUILT: Final = ROOT / "build" / "docs"
API: Final = "docs/reference"
DECISIONS: Final = "docs/decisions"
# The order of the navigation: pages, and folders for all pages in them.
NAVIGATION: Final[Mapping[str, Sequence[str]]] = {
    "PENNY": ["README.md", "SECURITY.md", "CHANGELOG.md"],
    "Clients": ["docs/clients.md", "docs/persisted-documents.md", "docs/errors.md", "docs/exports.md"],
    "API": [API],
    "Operation": [
        "docs/operating.md",
        "docs/settings.md",
        "docs/metrics.md",
        "docs/reliability.md",
        "docs/abuse.md",
        "docs/performance.md",
    ],
    "Development": ["CONTRIBUTING.md", DECISIONS],
}
# Where pages come that nobody has put anywhere yet.
OTHERS: Final = "Operation"
_LINK: Final = re.compile(r"\]\(([^)\s#:]+)")
_COLOURS: Final = re.compile(r"\x1b\[[\d;]*m")
_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)
# What a page loads by itself: the element, and its attribute.
_LOADED: Final = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src")}


def build(to: Path = BUILT) -> list[str]:
    """Build the site in `to/site`, anew; returns what is wrong with it, a sentence each."""
    shutil.rmtree(to, ignore_errors=True)
    gather(to)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(to / "zensical.toml")]
    done = subprocess.run(command, cwd=to, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        return [_COLOURS.sub("", done.stdout.partition("\nTraceback")[0])]
    return list(faults(to / "site"))


def gather(to: Path) -> None:
    """Write the pages and the configuration that Zensical needs into a folder that is not there yet."""
    pages, folder = _pages(), to / "pages"
    for name, text in pages.items():
        _put(folder / name, text)
        for link in _LINK.findall(text):
            file = (ROOT / name).parent / link
            if file.suffix != ".md" and file.is_file():
                _put(folder / file.resolve().relative_to(ROOT), file.read_text())
    _put(folder / "website.css", (ROOT / "docs" / "website.css").read_text())
    configuration = (ROOT / "docs" / "zensical.toml").read_text()
    _put(to / "zensical.toml", configuration.replace("[project]\n", f"[project]\nnav = [{', '.join(_navigation(pages))}]\n", 1))


def faults(site: Path) -> Iterator[str]:
    """Follow every link of a site: each leads to a file, and to a place in it; and nothing is loaded from elsewhere."""
    read = {path: _Page(path) for path in site.resolve().rglob("*.html")}
    for path, page in sorted(read.items()):
        here = path.relative_to(site.resolve())
        for element, attribute, link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if (element, attribute) in _LOADED:
                    yield f"{here}: <{element}> asks another host: {link}"
                continue
            target = _target(path, site.resolve(), unquote(parts.path))
            if not target.is_file():
                yield f"{here}: {link} leads nowhere"
            elif parts.fragment and target in read and unquote(parts.fragment) not in read[target].places:
                yield f"{here}: {link} leads to no place of that page"


class _Page(HTMLParser):
    """The links of a page, and the places in it that others can name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str, str]] = []
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element refers to, and what it is called."""
        for name, value in attrs:
            if name in {"id", "name"} and value:
                self.places.add(value)
            elif name in {"href", "src"} and value and not value.startswith(("data:", "mailto:")):
                self.links.append((tag, name, value))


def _target(page: Path, site: Path, path: str) -> Path:
    """Find the file that a page means; one for what was not found counts from the site's root."""
    if not path:
        return page
    target = site / path.lstrip("/") if path.startswith("/") else page.parent / path
    return (target / "index.html" if target.is_dir() else target).resolve()


def _pages() -> dict[str, str]:
    """Gather the text of each page, by where it lies in the repository."""
    listed = [path for paths in NAVIGATION.values() for path in paths if path.endswith(".md")]
    names = {*listed, *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))}
    made = {name: (ROOT / name).read_text() for name in sorted(names)}
    decisions = [(name, text) for name, text in made.items() if name.startswith(DECISIONS)]
    links = (f"* [{_title(text)}]({name.removeprefix(DECISIONS + '/')})" for name, text in decisions)
    made[f"{DECISIONS}/README.md"] = "# Decisions\n\nWhy things are as they are.\n\n" + "\n".join(links) + "\n"
    made |= {f"{API}/{name}": text for name, text in reference.pages(build_schema(sdl())).items()}
    # A link to a folder leads to its first page.
    return {name: re.sub(r"(\]\([^)\s#:]+/)\)", r"\1README.md)", text) for name, text in made.items()}


def _navigation(pages: Mapping[str, str]) -> Iterator[str]:
    """Write the navigation as TOML."""
    for title, entries in NAVIGATION.items():
        placed = [one for entry in entries for one in ([entry] if entry in pages else _of_folder(entry, pages))]
        if title == OTHERS:
            known = {entry for entries in NAVIGATION.values() for entry in entries}
            placed += [name for name in pages if name not in known and not name.startswith((f"{API}/", f"{DECISIONS}/"))]
        yield f"{{ {json.dumps(title)} = {json.dumps(placed)} }}"


def _of_folder(folder: str, pages: Mapping[str, str]) -> list[str]:
    """List a folder's pages, its first one first."""
    return sorted((name for name in pages if name.startswith(f"{folder}/")), key=lambda name: (not name.endswith("/README.md"), name))


def _title(text: str) -> str:
    found = _TITLE.search(text)
    assert found is not None, "a page begins with its title"
    return found.group(1)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    sys.exit("\n".join(build()) or None)
