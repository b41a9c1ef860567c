"""Texts as vectors: what an embedder promises, and the embedded one (`wordllama`, from the dependency group `stack`)."""

import asyncio
import importlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, Self, cast

from errors import Unavailable


class EmbedderIsNotInstalled(Unavailable):
    """The wheel or its weights are missing; the text names what to install."""


class Embedder(Protocol):
    @property
    def dimensions(self) -> int:
        """How long each vector is."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of length 1 a text, in the same order, so that the inner product is the cosine; all zeros for a text of nothing."""


class LazyEmbedder:
    """The embedded model, loaded when it is first asked: most processes never are."""

    def __init__(self) -> None:
        self._loading: asyncio.Task[WordLlamaEmbedder] | None = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self._loading is None or (self._loading.done() and not self._loading.cancelled() and self._loading.exception() is not None):
            self._loading = asyncio.create_task(WordLlamaEmbedder.load())
        # Whoever gives up waiting takes it from nobody else.
        return await (await asyncio.shield(self._loading)).embed(texts)

    async def close(self) -> None:
        if self._loading is not None:
            for loaded in await asyncio.gather(self._loading, return_exceptions=True):
                if isinstance(loaded, WordLlamaEmbedder):
                    await loaded.close()


class WordLlamaEmbedder:
    """256 dimensions out of the wheel's own files, computed in one thread of its own beside the event loop."""

    dimensions = 256

    def __init__(self, model: Any) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embeddings")

    @classmethod
    async def load(cls) -> Self:
        """Takes about two seconds and 110 MB, never the network; raises `EmbedderIsNotInstalled`."""
        return cls(await asyncio.to_thread(_load))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._vectors, list(texts))

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)

    def _vectors(self, texts: list[str]) -> list[list[float]]:
        """The library's own `norm=True` divides by zero where a text has no tokens."""
        vectors = self._model.embed(texts)
        lengths = (vectors**2).sum(axis=1, keepdims=True) ** 0.5
        lengths[lengths == 0] = 1
        return cast("list[list[float]]", (vectors / lengths).tolist())


def _load() -> Any:
    wordllama = _import_quietly()
    try:
        # Its tokenizer is only found beside the weights when the package's own folder is called the cache.
        folder = Path(str(wordllama.__file__)).parent
        return wordllama.WordLlama.load(dim=WordLlamaEmbedder.dimensions, cache_dir=folder, disable_download=True)
    except FileNotFoundError as error:
        raise EmbedderIsNotInstalled("The embedded embeddings lack their files: install `wordllama` again.") from error


def _import_quietly() -> ModuleType:
    """Import the optional, heavy package where it is used; it calls `logging.basicConfig`, which a handler turns into nothing."""
    root, quiet = logging.getLogger(), logging.NullHandler()
    root.addHandler(quiet)
    try:
        return importlib.import_module("wordllama")
    except ImportError as error:
        raise EmbedderIsNotInstalled("The embedded embeddings need the package `wordllama` (dependency group `stack`).") from error
    finally:
        root.removeHandler(quiet)
