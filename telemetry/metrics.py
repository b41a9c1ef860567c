"""What is counted everywhere: the process itself, and what its caches knew."""

from typing import Final

from telemetry.instruments import Counter, Gauge

CACHES: Final = ("api_keys", "documents", "ids", "keys", "models", "sessions")

LOOKUPS: Final = Counter(
    "penny.cache.lookups",
    unit="{lookup}",
    description="What caches of the process were asked, and whether they knew. `ids` are documents by their ids, `documents` those that "
    "were read and checked, `keys` tenants' data keys, `models` what a member can ask.",
    attributes={"penny.cache.name": CACHES, "penny.cache.result": ("hit", "miss")},
)
UPTIME: Final = Gauge("process.uptime", adds=False, unit="s", description="How long the process has been running.")
CPU: Final = Counter(
    "process.cpu.time", unit="s", description="CPU time that the process has used.", attributes={"cpu.mode": ("user", "system")}
)
MEMORY: Final = Gauge("process.memory.usage", unit="By", description="Physical memory that the process holds.")
FILES: Final = Gauge("process.unix.file_descriptor.count", unit="{file_descriptor}", description="Files and connections that are open.")
