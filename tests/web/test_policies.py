"""What browsers are told to let pages do: nothing inline, anywhere."""

import hashlib
import re
from base64 import b64encode
from uuid import uuid4

import aiohttp
import pytest

from tests.api.people import done
from tests.running import PASSWORD, Api, Server


@pytest.mark.parametrize("path", ["/graphql", "/graphiql", "/graphiql/", "/share", "/verify", "/dev/mails", "/health/live", "/nowhere"])
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


async def test_a_mail_s_own_links_can_be_followed_and_a_stranger_s_cannot(api: Api, server: Server) -> None:
    """The link begins with the server's address; a name may hold an address too, and markup."""
    name = f"https://evil.example/{uuid4().hex} <b>"
    given = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": name}
    await done(api, "signUp", "session { id }", **given)
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/dev/mails") as answer:
        page = next(one for one in (await answer.text()).split("<article>") if given["email"] in one)
    assert re.findall(r'<a href="([^"]+)">', page) == re.findall(rf"{server.url}/verify#token=\w+(?=<)", page)
    assert (page.count("<a "), "<b>" in page, name.split(maxsplit=1)[0] in page) == (1, False, True)
