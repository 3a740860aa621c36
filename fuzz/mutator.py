"""A mutator that knows the shape of its input.

Blind mutation seldom gets two fields right at once: a record more and the count, a length and the
bytes that it claims. Here one to three parts of the structure are changed, and three times in four
the sizes and counts are put right afterwards.
"""

import random
from collections.abc import Callable, Iterator
from typing import Final

from fuzz.layout import Layout, Part, take_apart

Blind = Callable[[bytes, int], bytes]
"""A mutator that knows nothing: takes the data and the greatest size of the result."""

EDGES: Final = tuple(
    sorted(
        {
            edge % 2**64
            for bits in (0, 7, 8, 15, 16, 26, 31, 32, 63, 64)
            for edge in (2**bits - 1, 2**bits, 2**bits + 1)
        }
    )
)
"""Where mistakes of width, sign and carry live: around powers of two, as a u64."""


class StructureMutator:
    """Mutates inputs of one layout; one time in four it leaves the work to the `blind` mutator."""

    def __init__(self, layout: Layout, blind: Blind) -> None:
        self._layout = layout
        self._blind = blind

    def __call__(self, data: bytes, max_bytes: int, seed: int) -> bytes:
        """Return a mutation of `data` of at most `max_bytes`; the same seed gives the same one."""
        draw = random.Random(seed)
        if draw.random() < 0.25:
            return self._blind(data, max_bytes)
        whole = take_apart(data, self._layout)
        for _ in range(draw.choice((1, 1, 2, 3))):
            _change(draw.choice(list(_parts(whole))), draw)
        if draw.random() < 0.75:
            whole.repair()
        return bytes(whole)[:max_bytes]


def _parts(part: Part) -> Iterator[Part]:
    yield part
    for inner in part.body_parts + part.records:
        yield from _parts(inner)


def _change(part: Part, draw: random.Random) -> None:
    """Change one thing in one part."""
    lists = [parts for parts in (part.body_parts, part.records) if parts]
    choices: list[Callable[[], None]] = [lambda: _change_rest(part, draw)]
    if part.fields:
        choices += [lambda: _change_field(part, draw)] * 3
    if part.layout.size is not None:
        choices += [lambda: _change_body(part, draw)]
    if part.trailer:
        choices += [lambda: _change_trailer(part, draw)]
    if lists:
        choices += [lambda: _change_order(draw.choice(lists), draw)] * 2
    draw.choice(choices)()


def _change_field(part: Part, draw: random.Random) -> None:
    number = draw.randrange(len(part.fields))
    old = part.fields[number]
    value = int.from_bytes(old, "little")
    match draw.randrange(5):
        case 0:
            value = draw.choice(EDGES)
        case 1:
            value += draw.choice((-2, -1, 1, 2))
        case 2:
            value ^= 1 << draw.randrange(8 * len(old))
        case 3:
            # Relations between fields - equal, one less - are where the conditions are.
            value = int.from_bytes(draw.choice(part.fields), "little") + draw.choice((-1, 0, 1))
        case _:
            value = draw.getrandbits(8 * len(old))
    part.fields[number] = (value % 256 ** len(old)).to_bytes(len(old), "little")


def _change_body(part: Part, draw: random.Random) -> None:
    part.body = _change_bytes(part.body, draw)


def _change_trailer(part: Part, draw: random.Random) -> None:
    position = draw.randrange(len(part.trailer))
    changed = part.trailer[position] ^ 1 << draw.randrange(8)
    part.trailer = part.trailer[:position] + bytes([changed]) + part.trailer[position + 1 :]


def _change_rest(part: Part, draw: random.Random) -> None:
    part.rest = _change_bytes(part.rest, draw)


def _change_bytes(data: bytes, draw: random.Random) -> bytes:
    position = draw.randint(0, len(data))
    match draw.randrange(4):
        case 0:
            return data[:position]
        case 1:
            return data[:position] + draw.randbytes(draw.choice((1, 1, 2, 4, 16))) + data[position:]
        case 2:
            return data + bytes(draw.choice((1, 8, 64)))
        case _:
            return data[:position] + draw.randbytes(1) + data[position + 1 :]


def _change_order(parts: list[Part], draw: random.Random) -> None:
    """Repeat, drop or move one of several records."""
    chosen = draw.randrange(len(parts))
    match draw.randrange(4):
        case 0:
            # The same object twice would be changed twice.
            parts.insert(chosen, take_apart(bytes(parts[chosen]), parts[chosen].layout))
        case 1:
            del parts[chosen]
        case 2:
            other = draw.randrange(len(parts))
            parts[chosen], parts[other] = parts[other], parts[chosen]
        case _:
            # Thousands of records in one input: what recurses for each of them fails here only.
            copies = draw.choice((2, 8, 64, 1024))
            copy = bytes(parts[chosen])
            if copies * len(copy) <= 64 * 2**10:
                parts[chosen:chosen] = [
                    take_apart(copy, parts[chosen].layout) for _ in range(copies)
                ]
