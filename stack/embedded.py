"""The stack as a whole: four servers started together, checked, and stopped without a trace but their data."""

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from stack.addresses import Addresses
from stack.folder import Folder
from stack.model import NAME, Model
from stack.objects import BUCKET, Objects
from stack.postgres import PORT, Postgres
from stack.processes import Children, StackError, end_leftovers
from stack.valkey import Valkey

SERVERS: Final = ("postgres", "valkey", "s3", "model")


class Stack:
    """The servers of one folder, or those of them that are `wanted`.

    `durable=False` gives up what a crash of the machine would need, for tests.

    A stack that is never stopped runs until its process ends, however that ends, and dies with it (without setpriv, as on macOS, the
    next start ends what was left). As a context manager it only stops: `with Stack(root) as stack: addresses = stack.start(print)`.
    """

    def __init__(self, root: Path, *, durable: bool = True, model: bool = True, wanted: Collection[str] = SERVERS) -> None:
        self._folder = Folder(root)
        self._durable = durable
        self._wanted = frozenset(wanted) - (frozenset() if model else {"model"})
        self._children: Children | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def start(self, progress: Callable[[str], None]) -> Addresses:
        """Start all servers and return when all answer; what a crash left behind is mended first.

        Raises `StackIsRunning` when another process has the folder, and `StackError` with one sentence (and the end of the
        server's log, where there is one) when something fails; then everything that was started is stopped again.
        """
        try:
            self._folder.claim()
            try:
                return self._start(progress)
            except BaseException:
                self.stop()
                raise
        except OSError as error:
            raise StackError(f"The embedded stack cannot use its folder {self._folder.path}: {error}.") from error

    def stop(self) -> None:
        """Stop all servers at once; may be called again, and on a stack that never started."""
        if self._children is not None:
            self._children.stop()
            self._children = None
        self._folder.release()

    def _start(self, progress: Callable[[str], None]) -> Addresses:
        root = self._folder.path
        end_leftovers(root)
        sockets = self._folder.make_sockets()
        self._children = Children(root)
        postgres = Postgres(root, sockets, durable=self._durable)
        valkey = Valkey(root, sockets, durable=self._durable)
        objects = Objects(root)
        model = Model(root)
        every: tuple[Postgres | Valkey | Objects | Model, ...] = (postgres, valkey, objects, model)
        _start_together([server for name, server in zip(SERVERS, every, strict=True) if name in self._wanted], self._children, progress)
        with_model = "model" in self._wanted
        return Addresses(
            postgres_socket_dir=str(postgres.socket_dir),
            postgres_port=PORT,
            valkey_url=valkey.url,
            s3_endpoint=objects.endpoint,
            s3_access_key=objects.access_key,
            s3_secret_key=objects.secret_key,
            s3_bucket=BUCKET,
            model_base_url=model.base_url if with_model else "",
            model_name=NAME if with_model else "",
        )


def _start_together(servers: list[Postgres | Valkey | Objects | Model], children: Children, progress: Callable[[str], None]) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(len(servers) or 1) as pool:
        starts = {pool.submit(server.start, children): server for server in servers}
        try:
            for done in as_completed(starts):
                done.result()
                progress(f"{starts[done].name} answers after {time.monotonic() - began:.1f} s")
        except BaseException:
            children.stop()  # so that the others stop waiting for their servers
            raise
