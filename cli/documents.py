"""`penny documents`: publish what clients send, and look whether the API still answers it."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO, cast

import rich_click as click
from graphql import GraphQLError, OperationDefinitionNode, parse
from graphql import build_schema as schema_of
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.api import Api, ApiIsAway, ApiRefused
from cli.options import address_of, data_option, url_option
from errors import PennyError
from gateway.formats import texts_by_name
from gateway.judging import Judge
from gateway.manifests import MOST_PARTS
from schema.schema import build_schema
from settings import Settings
from web.documents import Documents
from web.judging import DocumentJudge

PART_BYTES: Final = 131_072
"""How much of a manifest is sent at once: half of the largest request that a server takes by default."""
PART_DOCUMENTS: Final = 100
"""How many documents are sent at once, so that the bar moves; more of a manifest that would have more parts than may be."""
PUBLISH: Final = """
    mutation PublishManifest($input: DocumentManifestPublishInput!) {
      documentManifestPublish(input: $input) {
        rejected manifest { id documentCount } errors { message code ... on RateLimitedError { retryAfterMs } }
      }
    }
"""
MANIFESTS: Final = """
    query LiveManifests($after: String) {
      documentManifests(first: 50, after: $after) { pageInfo { hasNextPage endCursor } nodes { id client version } }
    }
"""
DOCUMENTS: Final = """
    query LiveDocuments($id: ID!, $after: String) {
      node(id: $id) {
        ... on DocumentManifest {
          documents(first: 50, after: $after) { pageInfo { hasNextPage endCursor } nodes { sha256 operationName body } }
        }
      }
    }
"""


class Text(NamedTuple):
    """A document of a manifest, by the words in which people know it."""

    manifest: str
    name: str
    body: str


@click.group("documents")
def command() -> None:
    """Publish what clients send, and look whether the API still answers it."""


def server_options(function: Any) -> Any:
    """Ask for a server and for a key that it takes."""
    key = click.option("--key", help="An API key that may `api:admin`; other users of this machine can see options.")
    key_file = click.option("--key-file", type=click.File(), help="A file that holds the API key; `-` reads it from the standard input.")
    return url_option(key(key_file(data_option(function))))


@command.command("publish")
@click.argument("manifest", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--client", required=True, help="The client whose documents they are, such as `mobile`.")
@click.option("--version", required=True, help="The client's version, such as `1.4.0`.")
@server_options
def publish(*, manifest: Path, client: str, version: str, **server: Any) -> int:
    """Publish MANIFEST, as Apollo's, Relay's or GraphQL Code Generator's tools wrote it: all of it, or nothing.

    The same again changes nothing; a version that is published keeps its documents. Each document costs points, and where they do not last
    the rest waits until they come back.
    """
    parts = list(_parts(_texts_of(manifest)))
    with _refusals():
        return asyncio.run(_publish(*_credential(**server), parts, client=client, version=version))


@command.command("check")
@click.argument("manifests", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--live", is_flag=True, help="Check what is published at a server.")
@click.option("--schema", "sdl", type=click.File(), help="Check against this SDL, instead of the schema of this version of PENNY.")
@server_options
def check(*, manifests: tuple[Path, ...], live: bool, sdl: TextIO | None, **server: Any) -> int:
    """Look whether the schema of this version of PENNY answers every document of MANIFESTS, or of those that a server has; fails if not.

    MANIFESTS are files, and folders of them. One that is called `mobile@1.4.0.json` is that of mobile 1.4.0. An SDL says nothing of what
    documents cost: those that would cost too much are found without --schema.
    """
    if not manifests and not live:
        raise click.UsageError("Give manifests, or --live for those of a server.")
    found = [Text(_release_of(path), _name_of(name, body), body) for path in _files_of(manifests) for name, body in _texts_of(path).items()]
    if live:
        with _refusals():
            found += asyncio.run(_live(*_credential(**server)))
    judge, broken = _judge(sdl), 0
    for text in found:
        if (error := judge(text.body).error) is not None:
            broken += 1
            click.echo(f"{text.manifest}: {text.name}: {error}")
    click.echo(f"{len(found) - broken:,} of {len(found):,} documents are answered.", err=True)
    return 1 if broken else 0


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Tell what a server said in one line."""
    try:
        yield
    except (ApiRefused, ApiIsAway) as error:
        raise click.ClickException(str(error)) from error


def _judge(sdl: TextIO | None) -> Judge:
    try:
        schema = build_schema()._schema if sdl is None else schema_of(sdl.read())  # noqa: SLF001 - Strawberry offers it under no other name
    except (GraphQLError, TypeError) as error:
        raise click.ClickException(f"{getattr(sdl, 'name', 'The file')} is no schema: {error}") from error
    # No server's settings are asked: the class has all defaults.
    return DocumentJudge(Documents(schema, cast("Settings", Settings)))


def _texts_of(path: Path) -> Mapping[str, str]:
    try:
        return texts_by_name(json.loads(path.read_text()))
    except (ValueError, PennyError) as error:
        raise click.ClickException(f"{path} is no manifest: {error}") from error


def _files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """List manifests, those in folders among them."""
    for path in paths:
        if not path.is_dir():
            yield path
        elif files := sorted(path.glob("*.json")):
            yield from files
        else:
            raise click.ClickException(f"{path} has no manifests.")


def _release_of(path: Path) -> str:
    """Say whose manifest a file is."""
    client, _, version = path.stem.rpartition("@")
    return f"{client} {version}" if client and version else str(path)


def _name_of(name: str, body: str) -> str:
    """Say what people call a document: its operation's name, or else its id."""
    with contextlib.suppress(GraphQLError, RecursionError):
        for node in parse(body, no_location=True).definitions:
            if isinstance(node, OperationDefinitionNode) and node.name is not None:
                return node.name.value
    return name


def _parts(texts: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Cut a manifest into parts of which each fits into a request."""
    # Half of the parts, so that as many are left for texts that are long.
    most = max(PART_DOCUMENTS, 2 * len(texts) // MOST_PARTS + 1)
    part: dict[str, str] = {}
    size = 0
    for name, text in texts.items():
        more = len(json.dumps([name, text]))
        if part and (size + more > PART_BYTES or len(part) == most):
            yield part
            part, size = {}, 0
        part[name] = text
        size += more
    yield part


def _credential(*, url: str | None, key: str | None, key_file: Any, data: Path) -> tuple[str, str]:
    """Return the server's address and the key for it."""
    given = key or (key_file.read().strip() if key_file is not None else "")
    if not given:
        raise click.UsageError("Give an API key, by --key-file or --key.")
    return address_of(url, data), str(given)


async def _publish(url: str, key: str, parts: list[dict[str, str]], *, client: str, version: str) -> int:
    api = Api(url, key)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("Publishing", total=sum(map(len, parts)))
            for number, part in enumerate(parts, 1):
                given = {"client": client, "version": version, "manifest": part, "part": number, "parts": len(parts)}
                while (wait_ms := (made := await _sent(api, given)).get("retryAfterMs")) is not None:
                    progress.update(bar, description=f"Waiting {math.ceil(wait_ms / 1000):,} s for points")
                    await asyncio.sleep(wait_ms / 1000)
                progress.update(bar, description="Publishing")
                if made["errors"]:
                    break
                progress.advance(bar, len(part))
    finally:
        await api.close()
    for sentence in made["rejected"] or ():
        click.echo(sentence)
    if made["errors"]:
        raise click.ClickException(made["errors"][0]["message"])
    click.echo(f"{client} {version} sends {made['manifest']['documentCount']:,} documents.")
    return 0


async def _sent(api: Api, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Send a part; where the points did not last, say when to send it again: what of it was judged is paid for."""
    try:
        made: Mapping[str, Any] = (await api.ask(PUBLISH, input=given))["documentManifestPublish"]
    except ApiRefused as refused:
        if refused.retry_after_ms is None:
            raise
        return {"retryAfterMs": refused.retry_after_ms}
    return {**made, "retryAfterMs": next((one.get("retryAfterMs") for one in made["errors"]), None)}


async def _live(url: str, key: str) -> list[Text]:
    api = Api(url, key)
    try:
        return [text async for text in _texts(api)]
    finally:
        await api.close()


async def _texts(api: Api) -> AsyncIterator[Text]:
    async for manifest in _nodes(api, MANIFESTS, lambda data: data["documentManifests"]):
        # A manifest that was taken back meanwhile is no one's any more.
        async for one in _nodes(api, DOCUMENTS, lambda data: data["node"] and data["node"]["documents"], id=manifest["id"]):
            yield Text(f"{manifest['client']} {manifest['version']}", one["operationName"] or one["sha256"], one["body"])


async def _nodes(api: Api, query: str, page_of: Any, **variables: Any) -> AsyncIterator[Mapping[str, Any]]:
    after: str | None = None
    while (page := page_of(await api.ask(query, after=after, **variables))) is not None:
        for node in page["nodes"]:
            yield node
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]
