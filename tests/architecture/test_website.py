"""The documentation is a site without a link that leads nowhere, and without anything that other hosts must give."""

import shutil
from pathlib import Path

import pytest

from docs.website import NAVIGATION, ROOT, build, faults, gather


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("docs") / "built"
    return folder, build(folder)


def test_every_link_of_the_site_leads_somewhere(built: tuple[Path, list[str]]) -> None:
    assert built[1] == []


def test_every_page_is_there_and_can_be_searched(built: tuple[Path, list[str]]) -> None:
    site = built[0] / "site"
    pages = [*ROOT.glob("docs/**/*.md"), *(ROOT / path for paths in NAVIGATION.values() for path in paths if path.endswith(".md"))]
    there = [path.relative_to(ROOT).with_suffix(".html") for path in pages if path.name != "README.md"]
    assert len(there) > 30
    assert [str(path) for path in there if not (site / path).is_file()] == []
    assert "documentManifestPublish" in (site / "docs" / "reference" / "mutations.html").read_text()
    assert "documentManifestPublish" in (site / "search.json").read_text()


def test_links_that_lead_nowhere_fail_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gathered(to: Path) -> None:
        gather(to)
        with (to / "pages" / "README.md").open("a") as page:
            page.write("\n[a](nowhere.md) [b](docs/errors.md#nowhere) [c](#nowhere)\n")

    monkeypatch.setattr("docs.website.gather", gathered)
    (told,) = build(tmp_path / "built")
    assert (told.count("page does not exist"), told.count("anchor does not exist")) == (2, 4), told
    assert "3 issues found" in told
    assert "README.md" in told


@pytest.mark.parametrize(
    ("element", "fault"),
    [
        ('<a href="docs/nowhere.html">', "docs/nowhere.html leads nowhere"),
        ('<a href="docs/nowhere/">', "docs/nowhere/ leads nowhere"),
        ('<img src="nothing.png">', "nothing.png leads nowhere"),
        ('<a href="docs/errors.html#nowhere">', "docs/errors.html#nowhere leads to no place of that page"),
        ('<a href="#nowhere">', "#nowhere leads to no place of that page"),
        ('<script src="https://cdn.example/x.js">', "<script> asks another host: https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "<link> asks another host: //cdn.example/x.css"),
    ],
)
def test_each_kind_of_fault_is_found_in_what_was_built(built: tuple[Path, list[str]], tmp_path: Path, element: str, fault: str) -> None:
    site = tmp_path / "site"
    shutil.copytree(built[0] / "site", site)
    (site / "index.html").write_text((site / "index.html").read_text() + element)
    assert list(faults(site)) == [f"index.html: {fault}"]
