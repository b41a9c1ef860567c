"""Which pages may speak for the owner of the session cookie."""

import pytest

from settings import Secret, Settings
from web.callers import origin_may_use_cookies


@pytest.mark.parametrize(
    ("public_url", "origin", "may"),
    [
        ("https://penny.example", None, True),
        ("https://penny.example", "https://penny.example", True),
        ("https://penny.example", "https://app.example", True),
        ("https://penny.example", "http://penny.example", False),
        ("https://penny.example", "https://evil.example", False),
        ("https://penny.example", "null", False),
        ("http://localhost:8000", "http://penny.example", True),
        ("http://localhost:8000", "http://evil.example", False),
    ],
)
def test_an_origin_is_compared_with_its_scheme_behind_https(public_url: str, origin: str | None, *, may: bool) -> None:
    settings = Settings(
        database_url=Secret("x"), database_system_url=Secret("x"), valkey_url=Secret("x"), public_url=public_url,
        allowed_origins=("https://app.example",),
    )  # fmt: skip
    headers = {"host": "penny.example", **({"origin": origin} if origin else {})}
    assert origin_may_use_cookies(headers, settings) is may
