"""`penny chat` in a terminal, against a running PENNY whose line can be cut."""

import asyncio
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from cli.api import Event
from cli.conversation import Answer, printable
from tests.cli.terminals import CTRL_C, Line, Terminal, terminal
from tests.running import PASSWORD, ROOT, Api, Server

MESSAGES = "{ chats(first: 1) { nodes { id messages(first: 50) { nodes { role status } } } } }"


@pytest.fixture
async def line(server: Server) -> AsyncIterator[Line]:
    opened = await Line(urlsplit(server.url).port or 0).open()
    yield opened
    await opened.close()


@pytest.fixture
async def person(api: Api) -> tuple[Api, str]:
    email = f"{uuid4().hex}@example.com"
    return await api.sign_up(email=email), email


@pytest.fixture
async def chat(line: Line, person: tuple[Api, str], tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal in which somebody has signed in."""
    async with terminal({"XDG_CONFIG_HOME": str(tmp_path)}, "chat", "--url", line.url) as opened:
        await opened.until("E-mail: ")
        opened.type(f"{person[1]}\n")
        await opened.until("Password: ")
        opened.type(f"{PASSWORD}\n")
        assert PASSWORD not in await opened.until("> ")
        yield opened


def words(count: int) -> str:
    return "".join(f"word{number} " for number in range(count))


async def test_an_answer_is_whole_although_the_line_was_cut_twice(chat: Terminal, line: Line) -> None:
    chat.type("!script tokens=60 delay_ms=15\n")
    told = await chat.until("word10 ")
    line.cut()
    told += await chat.until("word35 ")
    line.cut()
    told += await chat.until("\n> ")
    assert words(60) in told
    assert told.count("word0 ") == 1


async def test_ctrl_c_stops_the_answer_and_keeps_the_conversation(chat: Terminal, person: tuple[Api, str]) -> None:
    chat.type("!script tokens=2000 delay_ms=10\n")
    await chat.until("word5 ")
    chat.type(CTRL_C)
    assert "word1999" not in await chat.until("stopped")

    await chat.until("\n> ")
    chat.type("Is anybody there?\n")
    await chat.until("Is anybody there?")
    await chat.until("Is anybody there?")
    await chat.until("\n> ")
    assert await chat.interrupt_until_it_ends() == 130
    (found,) = (await person[0].data(MESSAGES))["chats"]["nodes"]
    assert [message["status"] for message in found["messages"]["nodes"] if message["role"] == "ASSISTANT"] == ["INCOMPLETE", "COMPLETE"]


async def test_a_message_whose_answer_was_lost_is_sent_once(chat: Terminal, line: Line, person: tuple[Api, str]) -> None:
    line.lost_answers_to = b"MessageSendInput"
    chat.type("only once\n")
    await chat.until("only once")
    await chat.until("only once")
    await chat.until("\n> ")
    assert line.lost_answers_to == b""
    (found,) = (await person[0].data(MESSAGES))["chats"]["nodes"]
    assert [message["role"] for message in found["messages"]["nodes"]] == ["USER", "ASSISTANT"]


async def test_the_sign_in_is_kept_for_its_server_and_its_owner_only(chat: Terminal, line: Line, server: Server, tmp_path: Path) -> None:
    (kept,) = (tmp_path / "penny").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert await piped("hello\n", tmp_path, line.url) == (0, "hello\n", "")
    status, said, complaint = await piped("hello\n", tmp_path, server.url)
    assert (status, said) == (1, "")
    assert "Nobody is signed in here" in complaint


async def piped(text: str, config: Path, url: str) -> tuple[int | None, str, str]:
    command = [sys.executable, "-m", "cli.main", "chat", "--new", "--url", url]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={"XDG_CONFIG_HOME": str(config)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complaint = await asyncio.wait_for(process.communicate(text.encode()), 30)
    return process.returncode, said.decode(), complaint.decode()


def test_what_is_told_twice_is_written_once() -> None:
    answer = Answer()
    snapshot: Event = {"__typename": "RunSnapshot", "outputs": [{"parts": [{"__typename": "TextPart", "id": "1", "text": "All of it"}]}]}
    events: list[Event] = [
        {"__typename": "TextDelta", "partId": "1", "offset": 0, "text": "All "},
        {"__typename": "TextDelta", "partId": "1", "offset": 0, "text": "All "},
        snapshot,
        {"__typename": "TextDelta", "partId": "1", "offset": 7, "text": "it, and more"},
    ]
    assert [answer.more(event) for event in events] == ["All ", "", "of it", ", and more"]


def test_an_answer_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\tc\nd\u202e") == "a[2Jb\tc\nd"
