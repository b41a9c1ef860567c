"""The embedded embeddings: near texts have near vectors, nothing is downloaded, nothing of ours is disturbed."""

import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from inference.embeddings import EmbedderIsNotInstalled, WordLlamaEmbedder


@pytest.fixture(scope="module")
async def embedder() -> AsyncIterator[WordLlamaEmbedder]:
    loaded = await WordLlamaEmbedder.load()
    yield loaded
    await loaded.close()


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_near_texts_have_near_vectors(embedder: WordLlamaEmbedder) -> None:
    cat, kitten, invoice = await embedder.embed(["The cat sleeps.", "A kitten is sleeping.", "Your invoice is overdue."])
    assert len(cat) == embedder.dimensions
    assert cosine(cat, cat) == pytest.approx(1)
    assert cosine(cat, kitten) > cosine(cat, invoice) + 0.2


async def test_a_text_of_nothing_is_a_vector_of_nothing_and_spoils_no_other(embedder: WordLlamaEmbedder) -> None:
    assert await embedder.embed([]) == []
    assert await embedder.embed([""]) == [[0.0] * 256]
    [nothing, alone] = await embedder.embed(["", "The cat sleeps."])
    assert nothing == [0.0] * 256
    assert cosine(alone, (await embedder.embed(["The cat sleeps."]))[0]) == pytest.approx(1)


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loading_asks_no_network_and_leaves_logging_alone() -> None:
    code = """
import asyncio, logging, socket, sys
touched = []
sys.addaudithook(lambda name, args: touched.append((name, str(args))) if name in ("socket.connect", "socket.getaddrinfo") else None)
from inference.embeddings import WordLlamaEmbedder
assert "wordllama" not in sys.modules, "heavy before it is needed"
async def main():
    embedder = await WordLlamaEmbedder.load()
    assert len((await embedder.embed(["x"]))[0]) == 256
    await embedder.close()
asyncio.run(main())
assert not touched, touched
assert not logging.getLogger().handlers and logging.getLogger().level == logging.WARNING
socket.socket().connect_ex(("127.0.0.1", 1))
print("the hook hears", touched[0][0])
"""
    assert in_a_new_process(code).strip() == "the hook hears socket.connect"


async def test_a_missing_wheel_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(EmbedderIsNotInstalled, match="wordllama"):
        await WordLlamaEmbedder.load()
