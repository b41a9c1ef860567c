"""The pages behind links to chats and in mails: nothing of them comes from elsewhere, and nothing of them is told to others."""

import re

import aiohttp
import pytest

from auth.mails import invitation_mail, password_changed_mail, reset_mail, verification_mail
from settings import Settings
from tests.running import Server
from web.headers import MAILED

FOLDERS = {"/share": "/share", "/verify": "/account", "/reset": "/account", "/invitation": "/account"}
PATHS = dict.fromkeys(FOLDERS, "text/html") | {
    f"{folder}/page.{end}": kind for folder in FOLDERS.values() for end, kind in (("css", "text/css"), ("js", "text/javascript"))
}


async def got(server: Server, path: str) -> tuple[int, dict[str, str], str]:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}{path}") as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.text()


@pytest.mark.parametrize("path", PATHS)
async def test_their_parts_are_served_with_headers_that_keep_links_secret(server: Server, path: str) -> None:
    status, headers, _ = await got(server, path)
    assert (status, headers["content-type"]) == (200, f"{PATHS[path]}; charset=utf-8")
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
