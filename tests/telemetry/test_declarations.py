"""Every instrument is in the documents, follows OpenTelemetry's conventions, and can hold nothing that a person wrote."""

import ast
import re
from collections.abc import Iterable
from typing import Any

import pytest
from litestar import Litestar

from chat.metrics import RUNS
from chat.outcomes import error_code
from cli.metrics import text
from inference.models import FailureKind, ProviderFailed, Trouble
from schema.schema import build_schema
from settings import Settings
from telemetry.instruments import DECLARED, Known
from tests.architecture.sources import PRODUCT, ROOT
from web import pages
from web.door import Door
from web.front import GRAPHQL_PATH, route_of
from web.metrics import ROUTES

ANYTHING = {
    # Named by our own code or the operator's files, each of which is looked at in `tests/telemetry/test_served.py`.
    "penny.job.duration": {"penny.job.kind"},
    "gen_ai.client.operation.duration": {"gen_ai.request.model"},
    "gen_ai.client.operation.time_to_first_chunk": {"gen_ai.request.model"},
    "gen_ai.client.token.usage": {"gen_ai.request.model"},
    "penny.graphql.fallbacks": {"penny.graphql.reason"},
    "penny.graphql.operation.duration": {"error.type"},
}
UNITS = re.compile(r"s|By|\{[a-z_]+\}")
NAME = re.compile(r"(penny|http|db|gen_ai|process)(\.[a-z][a-z_]*)+")


def test_the_table_is_the_one_that_is_committed() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == text(), "run `make schema`"


def test_every_instrument_of_the_sources_is_in_the_table() -> None:
    kinds = {"Counter", "Gauge", "Histogram"}
    calls = [(module, node) for module in PRODUCT for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    made = [(module, call.args[0]) for module, call in calls if isinstance(call.func, ast.Name) and call.func.id in kinds and call.args]
    names = {name.value for module, name in made if module.imports_from("telemetry") and isinstance(name, ast.Constant)}
    assert names == set(DECLARED)
    assert {module.name.split("/")[-1] for module, _ in made if module.imports_from("telemetry")} == {"metrics.py"}


@pytest.mark.parametrize("failure", [*FailureKind, *Trouble])
def test_a_run_that_failed_is_counted_by_what_is_told_of_it(failure: FailureKind | Trouble) -> None:
    trouble = failure if isinstance(failure, Trouble) else None
    kind = FailureKind.SERVER_ERROR if isinstance(failure, Trouble) else failure
    assert error_code(ProviderFailed(kind, trouble=trouble)) in RUNS.attributes["error.type"]


def test_nobody_counts_past_the_instruments() -> None:
    assert {module.package for module in PRODUCT if module.imports_from("opentelemetry")} == {"telemetry"}


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_an_instrument_is_named_after_the_conventions(name: str) -> None:
    one = DECLARED[name]
    assert NAME.fullmatch(name)
    assert UNITS.fullmatch(one.unit)
    assert one.description.endswith(".")
    assert not {"tenant", "user", "chat", "viewer"} & set(re.split(r"[._]", " ".join(one.attributes)))


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_what_an_attribute_may_be_is_bounded(name: str) -> None:
    open_ = {key for key, allowed in DECLARED[name].attributes.items() if isinstance(allowed, Known) and allowed.among is None}
    assert open_ == ANYTHING.get(name, set())
    for allowed in DECLARED[name].attributes.values():
        listed = allowed.among if isinstance(allowed, Known) else allowed
        assert listed is None or (isinstance(listed, Iterable) and len(list(listed)) <= 500)


def test_every_page_of_ours_is_a_route_and_nothing_else_is(settings: Settings) -> None:
    door = Door(settings, build_schema(settings))
    handlers: list[Any] = [*pages.health(door), *pages.share(), *pages.account(), *pages.graphiql(), pages.mails(door)]
    paths = {route.path for route in Litestar(handlers, openapi_config=None).routes} | {GRAPHQL_PATH}
    assert {route_of(path) for path in paths} == set(ROUTES)
    assert {route_of(path) for path in ("/no", "//no", "/healthy", "/graphqlx", "")} == {None}
