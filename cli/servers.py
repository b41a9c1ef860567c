"""The embedded stack without the servers that the environment names."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from stack.addresses import Addresses
from stack.embedded import Stack
