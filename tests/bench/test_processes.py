"""CPU time of processes: whatever a server's children used counts, whether they still run or not."""

import os
import subprocess
import sys

from bench.processes import cpu_ms, with_children

BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_what_a_child_used_counts_after_it_has_ended() -> None:
    before = cpu_ms(os.getpid())
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert cpu_ms(os.getpid()) - before >= 280


def test_a_child_that_runs_is_found() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in with_children(os.getpid())
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.wait()
    assert child.pid not in with_children(os.getpid())
