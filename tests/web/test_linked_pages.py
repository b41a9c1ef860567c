"""The pages behind links to chats and in mails: nothing of them comes from elsewhere, and nothing of them is told to others."""

import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from auth.mails import invitation_mail, password_changed_mail, reset_mail, verification_mail
from settings import Settings
from tests.api.people import address, done, member
from tests.running import PASSWORD, Api, Server
from tests.schema.clients import manifest_of
from tests.web.test_persisted import required
from web.headers import MAILED
from web.persisted import OF_PAGES
from web.works import Process

FOLDERS = {"/share": "/share", "/verify": "/account", "/reset": "/account", "/invitation": "/account"}
PATHS = dict.fromkeys(FOLDERS, "text/html") | {
    f"{folder}/page.{end}": kind for folder in FOLDERS.values() for end, kind in (("css", "text/css"), ("js", "text/javascript"))
}


async def got(server: Server, path: str) -> tuple[int, dict[str, str], str]:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}{path}") as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.text()


@pytest.mark.parametrize("path", [*PATHS, *(f"{path}/" for path in FOLDERS)])
async def test_their_parts_are_served_with_headers_that_keep_links_secret(server: Server, path: str) -> None:
    status, headers, _ = await got(server, path)
    assert (status, headers["content-type"]) == (200, f"{PATHS[path.rstrip('/')]}; charset=utf-8")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-robots-tag"].startswith("noindex")
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(one.strip().partition(" ")[::2] for one in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert policy["require-trusted-types-for"] == "'script'"


@pytest.mark.parametrize(("path", "folder"), FOLDERS.items())
async def test_they_have_no_inline_script_or_style_and_name_no_other_host(server: Server, path: str, folder: str) -> None:
    page, script = [(await got(server, part))[2] for part in (path, f"{folder}/page.js")]
    assert re.findall(r'(?:src|href)="([^"]+)"', page) == [f"{folder}/page.css", f"{folder}/page.js"]
    assert not re.search(r"<script(?![^>]* src=)|<style|style=|\son\w+=", page)
    assert re.findall(r"https?://[\w.]+", page + script) == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", script)


async def test_every_link_of_a_mail_leads_to_a_page(settings: Settings) -> None:
    to = {"to": "ada@example.org", "token": "pni_x"}
    mails = [
        invitation_mail(settings, tenant="Acme", invited_by="Bob", **to),
        verification_mail(settings, name="Ada", **to),
        reset_mail(settings, name="Ada", **to),
        password_changed_mail(settings, to="ada@example.org", name="Ada"),
    ]
    found = [path for mail in mails for path in re.findall(rf"{re.escape(settings.public_url.rstrip('/'))}(/\w*)", mail.text)]
    assert found == ["/invitation", "/verify", "/reset", "/reset"]
    assert set(found) == set(MAILED)


async def test_there_is_nothing_beside_their_parts(server: Server) -> None:
    for path in ("/share/psh_x", "/share/../settings.py", "/share/page.html", "/account", "/account/page.html", "/verify/pni_x"):
        assert (await got(server, path))[0] in (404, 405), path


@pytest.mark.parametrize("operation", manifest_of("pages")["operations"], ids=lambda operation: operation["name"])
async def test_members_use_them_where_the_tenant_lets_them_send_published_documents_alone(
    api: Api, server: Server, process: Process, operation: Mapping[str, str]
) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    key = (await done(ada, "apiKeyCreate", "secretOnce", name="app", scopes=["chats:read"], documentClient="app"))["secretOnce"]
    await done(ada, "tenantUpdate", settings={"trustedDocumentsOnly": True})
    given = {"token": "pni_x", "email": address(), "password": PASSWORD, "newPassword": PASSWORD, "name": "Bob", "first": 1}
    cookie, text = {"cookie": f"penny_session={bob.token}"}, operation["body"]

    async def answered(text: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        body = {"query": text, "variables": {name: value for name, value in given.items() if f"${name}:" in text}}
        sent = {"accept": "application/graphql-response+json", **headers}
        async with aiohttp.ClientSession() as session, session.post(f"{server.url}/graphql", json=body, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None)

    await required(bob)
    _, body = await answered(text, cookie)
    codes = [error["extensions"]["code"] for error in body.get("errors", ())]
    assert codes == (["NOT_FOUND"] if operation["name"] == "SharedChat" else []), "it is asked, with a token that says nothing"
    for other, headers in ((f"{text} ", cookie), (text, {"authorization": f"Bearer {key}"})):
        status, body = await answered(other, headers)
        assert (status, body["errors"][0]["extensions"]["code"]) == (403, "PERSISTED_DOCUMENT_REQUIRED")


def test_what_they_send_is_what_the_server_takes_for_theirs() -> None:
    assert {operation["body"] for operation in manifest_of("pages")["operations"]} <= OF_PAGES
