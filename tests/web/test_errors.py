"""The catalogue of errors: every code that leaves is in it, and its page is what the code says."""

import importlib
import pkgutil

import pytest
from graphql import GraphQLError

from cli.errors import text
from errors import Code, PennyError, Unauthenticated
from schema.errors import ErrorCode
from tests.running import ROOT
from web.answers import code_of, safe_error

DOMAINS = ("auth", "artifacts", "chat", "events", "inference", "knowledge", "loaders", "resolvers", "schema", "subscriptions", "web")


def families(of: type[PennyError] = PennyError) -> list[type[PennyError]]:
    for domain in DOMAINS:
        for module in pkgutil.walk_packages(importlib.import_module(domain).__path__, f"{domain}."):
            importlib.import_module(module.name)
    found, waiting = [], [of]
    while waiting:
        found.append(one := waiting.pop())
        waiting += one.__subclasses__()
    return found


def test_every_failure_of_our_own_has_a_code_of_the_catalogue() -> None:
    """A typed error of a mutation has a code of `ErrorCode`; as an error of a request, one of `Code`."""
    known = {str(code) for code in Code} | {kind.name for kind in ErrorCode}
    for family in families():
        error = family.__new__(family)
        PennyError.__init__(error, "It failed.")
        assert family.code in known, family
        if not issubclass(family, Unauthenticated):  # whose reason is a code by its type
            assert str(code_of(error)) in known, family


def test_the_page_of_codes_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "errors.md").read_text() == text()


@pytest.mark.parametrize("secret", ["postgresql://penny_app:hush@10.0.0.5/penny", "SELECT 1 FROM penny.users", "/srv/penny/auth/x.py"])
def test_whatever_breaks_is_masked_behind_its_requests_id(secret: str) -> None:
    error = GraphQLError("broken", path=["viewer"], original_error=RuntimeError(secret))
    shown = safe_error(error, "request-1")
    assert secret not in str(shown)
    assert shown == {
        "message": "Something failed on our side.", "path": ["viewer"], "extensions": {"code": "INTERNAL", "requestId": "request-1"}
    }  # fmt: skip
