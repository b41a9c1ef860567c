"""Passages of a text that show where the words stand that were looked for."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from knowledge.words import Word, composed, is_lone, words


class Passage(NamedTuple):
    """A piece of a text, and where in it the words are: code points from its beginning, the end not included."""

    text: str
    ranges: list[tuple[int, int]]


def passages(text: str, wanted: Collection[str], *, most: int, length: int) -> list[Passage]:
    """Choose the pieces of a text that hold the most different words, in their order; its beginning where it holds none."""
    text = composed(text)
    places = _places(text, wanted)
    if not places:
        return [_passage(text, [], 0, length)] if text.strip() else []
    groups = _grouped(places, length)
    best = sorted(groups, key=lambda group: (-len({word.text for word in group}), group[0].start))[:most]
    return [_passage(text, group, _begin(text, group, length), length) for group in sorted(best, key=lambda group: group[0].start)]


def _places(text: str, wanted: Collection[str]) -> list[Word]:
    """Find where the words stand, in order; a lone letter of a script without spaces wherever it stands."""
    places = [word for word in words(text) if word.text in wanted]
    lone = [word for word in wanted if is_lone(word)]
    if lone:
        found = re.finditer("|".join(map(re.escape, lone)), text)
        places = sorted({*places, *(Word(one[0], one.start(), one.end()) for one in found)}, key=lambda word: word.start)
    return places


def _grouped(places: Sequence[Word], length: int) -> list[list[Word]]:
    """Put words together that a piece has room for, with as much before the first as lies behind the last."""
    groups: list[list[Word]] = []
    for word in places:
        if groups and word.end - groups[-1][0].start <= length - length // 4:
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _begin(text: str, group: Sequence[Word], length: int) -> int:
    """Where a piece begins: some way before its first word, behind a space where there is one."""
    begin = max(0, min(group[0].start - length // 4, len(text) - length))
    space = text.find(" ", begin, group[0].start)
    return begin if begin == 0 or space < 0 else space + 1


def _passage(text: str, group: Sequence[Word], begin: int, length: int) -> Passage:
    end = min(len(text), begin + length)
    ranges: list[tuple[int, int]] = []
    for word in group:
        start, stop = word.start - begin, min(word.end, end) - begin
        # The pairs of letters of an unspaced script overlap.
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(stop, ranges[-1][1]))
        elif start < stop:
            ranges.append((start, stop))
    return Passage(text[begin:end], ranges)
