"""`penny chat`: a conversation in this terminal, over the API."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Final

import rich_click as click
from rich.console import Console
from rich.status import Status

from cli import tokens
from cli.api import Api, ApiIsAway, ApiRefused, payload
from cli.conversation import CHAT, NEWEST_CHAT, Conversation, printable
from cli.options import address_of, data_option, url_option
from cli.tokens import SignedIn

with contextlib.suppress(ImportError):  # Not every Python has it; its import gives `input` line editing and history.
    import readline  # noqa: F401 - to import it is to use it

VIEWER: Final = "query Viewer { viewer { user { email } } }"
SIGN_IN: Final = "mutation SignIn($input: SignInInput!) { signIn(input: $input) { tokenOnce errors { code message } } }"
PROMPT: Final = "> "
INTERRUPTED: Final = 130


@click.command("chat")
@url_option
@click.option("--email", help="Who signs in.")
@click.option("--token", help="A session's token or an API key, instead of signing in; other users of this machine can see options.")
@click.option("--chat", "chat_id", metavar="ID", help="The chat to continue, instead of the one in which something was said last.")
@click.option("--new", is_flag=True, help="Begin a new chat.")
@data_option
def command(  # noqa: PLR0913 - the options
    *, url: str | None, email: str | None, token: str | None, chat_id: str | None, new: bool, data: Path
) -> int:
    """Talk to a model in this terminal.

    Ctrl-C stops an answer, Ctrl-C or Ctrl-D at the prompt leaves. A lost connection is opened again, and nothing is missing.
    """
    if chat_id and new:
        raise click.UsageError("--chat continues a chat and --new begins one: give one of them.")
    address = address_of(url, data)
    with asyncio.Runner() as runner:
        try:
            return _talk(runner, Terminal(address, email=email, token=token, chat_id=chat_id, new=new))
        except (ApiRefused, ApiIsAway) as error:
            raise click.ClickException(str(error)) from error


def _talk(runner: asyncio.Runner, terminal: "Terminal") -> int:
    try:
        conversation = runner.run(terminal.open())
        while (line := terminal.read()) is not None:
            if line.strip():
                runner.run(terminal.say(conversation, line))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo()
        return INTERRUPTED
    finally:
        runner.run(terminal.close())
    return 0


class Terminal:
    """The person in front of it, and what they see."""

    def __init__(self, url: str, *, email: str | None, token: str | None, chat_id: str | None, new: bool) -> None:
        self._url = url.rstrip("/")
        self._email = email
        self._token = token
        self._chat_id = chat_id
        self._new = new
        self._is_person = sys.stdin.isatty()
        self._notes = Console(stderr=True, highlight=False)
        self._waiting: Status | None = None
        self._api: Api | None = None

    async def open(self) -> Conversation:
        """Sign in, and find the chat."""
        self._api = api = Api(self._url)
        await self._enter(api)
        chat_id = None if self._new else await self._find(api)
        return Conversation(api, chat_id, write=self._write, tell=self._tell)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._api is not None:
            await self._api.close()

    def read(self) -> str | None:
        """Return the next line, or None at the end."""
        if not self._is_person:
            line = sys.stdin.readline()
            return line.rstrip("\n") if line else None
        try:
            return input(PROMPT)
        except EOFError:
            click.echo()
            return None

    async def say(self, conversation: Conversation, line: str) -> None:
        """Send a line and show the answer; what is refused is told, and the conversation goes on."""
        if self._notes.is_terminal:
            self._waiting = self._notes.status("")
            self._waiting.start()
        try:
            await conversation.say(line)
        except ApiRefused as error:
            self._tell(str(error))
        finally:
            self._rest()

    async def _enter(self, api: Api) -> None:
        if self._token is not None:
            api.token = self._token
            await api.ask(VIEWER)
            return
        if (kept := tokens.load(self._url, self._email)) is not None:
            api.token = kept.token
            with contextlib.suppress(ApiRefused):
                await api.ask(VIEWER)
                return
        await self._sign_in(api)

    async def _sign_in(self, api: Api) -> None:
        if not self._is_person:
            raise ApiRefused("Nobody is signed in here: run `penny chat` in a terminal first, or give --token.", "UNAUTHENTICATED")
        api.token = None
        email = self._email or click.prompt("E-mail", err=True)
        password = click.prompt("Password", hide_input=True, err=True)
        given = {"email": email, "password": password, "transport": "BEARER"}
        token = payload(await api.ask(SIGN_IN, input=given))["tokenOnce"]
        tokens.save(SignedIn(self._url, email, token))
        api.token = token

    async def _find(self, api: Api) -> str | None:
        if self._chat_id is None:
            nodes = (await api.insist(NEWEST_CHAT))["chats"]["nodes"]
            chat = nodes[0] if nodes else None
        else:
            chat = (await api.insist(CHAT, id=self._chat_id))["node"]
            if not chat or chat["__typename"] != "Chat":
                raise ApiRefused(f"There is no chat {self._chat_id}.", "NOT_FOUND")
        if chat is None:
            return None
        if self._is_person:
            self._tell(f"Continuing “{printable(chat['title'] or 'a chat without a title')}”; --new begins another one.")
        return str(chat["id"])

    def _write(self, text: str) -> None:
        if text:
            self._rest()
            click.echo(text, nl=False)

    def _tell(self, text: str) -> None:
        if text:
            self._rest()
            self._notes.print(text, style="dim", markup=False)

    def _rest(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None
