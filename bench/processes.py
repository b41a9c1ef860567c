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
    """Sum the CPU time of processes, of those that they started, and of such as have ended, in milliseconds (proc_pid_stat(5)).

    It never falls: what a child has used counts for its parent once it has ended.
    """
    return sum(sum(map(int, _stat(one)[11:15])) for one in with_children(*pids)) * MS_PER_TICK


def with_children(*pids: int) -> list[int]:
    """Return processes and those that they started."""
    everything = (int(one.name) for one in PROC.iterdir() if one.name.isdigit())
    return [*pids, *(one for one in everything if int(_stat(one)[1]) in pids)]


def memory(pid: int) -> Memory:
    lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(rss=kib["Rss"] * 1024 / 1e6, pss=kib["Pss"] * 1024 / 1e6)


def _stat(pid: int) -> list[str]:
    """Read the fields from the process's state on; before them stands its name, which may hold anything."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 15  # it has just ended
