"""Measures PENNY and its peers on this machine: `make bench` starts the embedded stack, all servers, and takes their times in turn.

What is measured is written to `results/latest.json`, into `docs/performance.md` and beside it. Nothing here fails because something is
slow; it fails when somebody answers otherwise than the others.
"""
