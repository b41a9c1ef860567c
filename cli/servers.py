"""The embedded stack without the servers for which the environment names others."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from stack.addresses import Addresses
from stack.embedded import Stack
from stack.model import NAME, Model
from stack.objects import BUCKET, Objects
from stack.postgres import PORT, Postgres
from stack.processes import Children, end_leftovers
from stack.valkey import Valkey


class PartOfStack(Stack):
    """The servers `wanted` out of postgres, valkey, s3 and model; the addresses of the others are empty."""

    def __init__(self, root: Path, wanted: Collection[str]) -> None:
        super().__init__(root, model="model" in wanted)
        self._wanted = frozenset(wanted)

    def _start(self, progress: Callable[[str], None]) -> Addresses:
        root = self._folder.path
        end_leftovers(root)
        sockets = self._folder.make_sockets()
        self._children = Children(root)
        postgres, valkey = Postgres(root, sockets, durable=True), Valkey(root, sockets, durable=True)
        objects, model = Objects(root), Model(root)
        servers: dict[str, Postgres | Valkey | Objects | Model] = {"postgres": postgres, "valkey": valkey, "s3": objects, "model": model}
        self._start_all([server for name, server in servers.items() if name in self._wanted], progress)
        return Addresses(
            postgres_socket_dir=str(postgres.socket_dir),
            postgres_port=PORT,
            valkey_url=valkey.url,
            s3_endpoint=objects.endpoint,
            s3_access_key=objects.access_key,
            s3_secret_key=objects.secret_key,
            s3_bucket=BUCKET,
            model_base_url=model.base_url,
            model_name=NAME,
        )

    def _start_all(self, servers: list[Postgres | Valkey | Objects | Model], progress: Callable[[str], None]) -> None:
        assert self._children is not None
        with ThreadPoolExecutor(len(servers) or 1) as pool:
            starts = {pool.submit(server.start, self._children): server for server in servers}
            try:
                for done in as_completed(starts):
                    done.result()
                    progress(f"{starts[done].name} answers")
            except BaseException:
                self._children.stop()  # so that the others stop waiting for their servers
                raise
