"""What Linux says of running processes: the CPU time that they have used and the memory that they hold."""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MS_PER_TICK = 1000 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Memory of a process, in MB; `pss` counts what is shared with others only in part."""

    rss: float
    pss: float


def cpu_ms(*pids: int) -> float:
    """Sum the CPU time of processes, and of the children that they had and have lost, in milliseconds (proc_pid_stat(5))."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in pids) * MS_PER_TICK


def with_children(pid: int) -> list[int]:
    """Return a process and those that it started."""
    return [pid, *(int(one.name) for one in PROC.iterdir() if one.name.isdigit() and _parent(int(one.name)) == pid)]


def memory(pid: int) -> Memory:
    lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(rss=kib["Rss"] * 1024 / 1e6, pss=kib["Pss"] * 1024 / 1e6)


def _parent(pid: int) -> int | None:
    try:
        return int(_stat(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _stat(pid: int) -> list[str]:
    """Read the fields from the process's state on; before them stands its name, which may hold anything."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
