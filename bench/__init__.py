"""Measures PENNY on this machine: `make bench` starts the embedded stack, a web process and a worker, and takes their times.

What is measured is written to `results/latest.json` and into `docs/performance.md`. Nothing here fails because something is slow.
"""
