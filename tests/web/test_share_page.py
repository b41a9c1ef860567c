"""The page behind links to chats: nothing of it comes from elsewhere, and nothing of it is told to others."""

import re

import aiohttp
import pytest

from tests.running import Server

PATHS = {"/share": "text/html", "/share/page.css": "text/css", "/share/page.js": "text/javascript"}


async def got(server: Server, path: str) -> tuple[int, dict[str, str], str]:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}{path}") as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.text()


@pytest.mark.parametrize("path", PATHS)
async def test_its_parts_are_served_with_headers_that_keep_links_secret(server: Server, path: str) -> None:
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


async def test_it_has_no_inline_script_or_style_and_names_no_other_host(server: Server) -> None:
    page, script = [(await got(server, path))[2] for path in ("/share", "/share/page.js")]
    assert re.findall(r'(?:src|href)="([^"]+)"', page) == ["/share/page.css", "/share/page.js"]
    assert not re.search(r"<script(?![^>]* src=)|<style|style=|\son\w+=", page)
    assert re.findall(r"https?://[\w.]+", page + script) == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", script)


async def test_there_is_nothing_beside_its_parts(server: Server) -> None:
    for path in ("/share/psh_x", "/share/../settings.py", "/share/page.html"):
        assert (await got(server, path))[0] in (404, 405), path
