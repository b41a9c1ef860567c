"""`penny schema`: its check finds what it is for, and the reference holds every type, with links that lead somewhere."""

import re
from pathlib import Path

import pytest
from graphql import build_schema

from cli.reference import pages
from schema import schema
from tests.cli.test_main import penny


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("reference")
    told = penny("schema", "reference", str(directory))
    assert told.returncode == 0, told.stderr
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_every_type_and_every_operation_has_its_place(reference: dict[str, str]) -> None:
    built = build_schema(schema.sdl())
    roots = {"Query": "queries.md", "Mutation": "mutations.md", "Subscription": "subscriptions.md"}
    everything = "\n".join(reference.values())
    for name in built.type_map:
        assert name.startswith("__") or name in roots or f"\n## {name}\n" in everything, name
    for name, page in roots.items():
        for field in built.type_map[name].fields:  # type: ignore[attr-defined] # the roots are objects
            assert f"\n## {field}\n" in reference[page]


def test_every_link_leads_somewhere(reference: dict[str, str]) -> None:
    places = {f"{name}#{heading.lower()}" for name, text in reference.items() for heading in re.findall(r"^## (\w+)$", text, re.MULTILINE)}
    links = {link for text in reference.values() for link in re.findall(r"\]\(([^)]+)\)", text)}
    assert {link for link in links if "#" in link} <= places
    assert {link for link in links if "#" not in link and "://" not in link} <= set(reference)


def test_rules_and_advice_are_told(reference: dict[str, str]) -> None:
    mutations = reference["mutations.md"]
    created = mutations.partition("## apiKeyCreate")[2].partition("\n## ")[0]
    assert "Needs the scope `keys:write`. Costs 10 points. Emits `API_KEY_CREATED`." in created
    queries = reference["queries.md"]
    assert "Costs 1 point for each of `first`." in queries
    assert "Needs a sign-in." in queries


def test_what_is_deprecated_is_told_with_its_dates_where_it_stands_and_in_one_list() -> None:
    notice = "Since 2026-12-01, until 2027-04-01: use new."
    made = pages(
        build_schema(f"""
        type Query {{
          "An old one."
          old(of: Int @deprecated(reason: "{notice}")): Colour @deprecated(reason: "{notice}")
          thing(by: In): Thing
        }}
        type Thing {{ new: Int old: Int @deprecated(reason: "{notice}") }}
        input In {{ new: Int old: Int @deprecated(reason: "{notice}") }}
        enum Colour {{ RED GREEN @deprecated(reason: "{notice}") }}
        """)
    )
    listed = re.findall(r"^\| `([^`]+)` \| (.+) \|$", made["README.md"], re.MULTILINE)
    assert listed == [(name, notice) for name in ("Colour.GREEN", "In.old", "Query.old", "Query.old(of:)", "Thing.old")]
    assert f"An old one.<br>**Deprecated.** {notice}" in made["queries.md"]
    for page in ("queries.md", "objects.md", "inputs.md", "enums.md"):
        assert f"**Deprecated.** {notice}" in made[page]
    assert "Nothing is deprecated." in pages(build_schema("type Query { a: Int }"))["README.md"]


def test_the_check_names_what_breaks_clients(tmp_path: Path) -> None:
    released = tmp_path / "released.graphql"
    released.write_text(schema.sdl().replace("type ApiInfo ", "type Lost { it: Int }\n\ntype ApiInfo "))
    assert released.read_text() != schema.sdl()
    told = penny("schema", "check", "--released", str(released))
    assert (told.returncode, told.stdout) == (1, "breaks clients: Lost was removed.\n")
    known = tmp_path / "breaking.txt"
    known.write_text("Lost was removed. — it was never shown (a test)\n")
    assert penny("schema", "check", "--released", str(released), "--known", str(known)).returncode == 0
