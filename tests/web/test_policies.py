"""What browsers are told to let pages do: nothing inline, anywhere."""

import hashlib
from base64 import b64encode

import aiohttp
import pytest

from tests.running import Server


@pytest.mark.parametrize("path", ["/graphql", "/graphiql", "/graphiql/", "/share", "/dev/mails", "/health/live", "/nowhere"])
async def test_no_page_may_run_or_show_what_is_written_into_it(server: Server, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}{path}") as answer:
        policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= {one.strip() for one in policy.split(";")}


async def test_the_mails_style_is_the_one_that_their_policy_names(server: Server) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/dev/mails") as answer:
        page, policy = await answer.text(), answer.headers["content-security-policy"]
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert style
    assert f"style-src 'sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
