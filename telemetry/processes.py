"""What the operating system says of this process."""

import os
import resource
import time
from pathlib import Path
from typing import Final

from telemetry.instruments import Seen
from telemetry.metrics import CPU, FILES, MEMORY, UPTIME

_STATEMENT: Final = Path("/proc/self/statm")
_FILES: Final = Path("/proc/self/fd")


class ThisProcess:
    """Looked at when metrics are collected; what a system without `/proc` does not say is left out."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        UPTIME.watch(self, ThisProcess._uptime)
        CPU.watch(self, ThisProcess._cpu)
        MEMORY.watch(self, ThisProcess._memory)
        FILES.watch(self, ThisProcess._files)

    def _uptime(self) -> list[Seen]:
        return [(time.monotonic() - self._began, ())]

    def _cpu(self) -> list[Seen]:
        used = os.times()
        return [(used.user, ("user",)), (used.system, ("system",))]

    def _memory(self) -> list[Seen]:
        try:
            resident = int(_STATEMENT.read_text().split()[1])
        except OSError:
            return []
        return [(resident * resource.getpagesize(), ())]

    def _files(self) -> list[Seen]:
        try:
            return [(len(os.listdir(_FILES)), ())]  # noqa: PTH208 - names are enough
        except OSError:
            return []
