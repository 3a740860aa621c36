"""The shape of an input: integers, sizes and counts, records in records.

The mutator takes an input apart by its layout, changes a part, and puts it together again, with the
sizes and counts put right or left wrong. Any bytes can be taken apart: what does not fit is `rest`.
"""

from dataclasses import dataclass, field
from itertools import accumulate, pairwise


@dataclass(frozen=True)
class Layout:
    """A header of little-endian integers, a body, and records after it.

    Args:
        widths: the header's fields in bytes.
        size: which field says how many bytes the body has; None where there is no body.
        body: what the body is made of, one or more of these; None for opaque bytes.
        count: which field says how many records follow, or are in the body.
        trailer: bytes after the body that belong to it: a checksum.
        record: what follows up to the end; None for nothing.
    """

    widths: tuple[int, ...]
    size: int | None = None
    body: "Layout | None" = None
    count: int | None = None
    trailer: int = 0
    record: "Layout | None" = None

    @property
    def header_bytes(self) -> int:
        """How long the header is."""
        return sum(self.widths)


@dataclass
class Part:
    """One piece of an input, taken apart; `rest` is what could not be."""

    layout: Layout
    fields: list[bytes]
    body: bytes = b""
    body_parts: list["Part"] = field(default_factory=list)
    trailer: bytes = b""
    records: list["Part"] = field(default_factory=list)
    rest: bytes = b""

    def repair(self) -> None:
        """Make sizes and counts say what is there, from the inside out."""
        for part in self.body_parts + self.records:
            part.repair()
        layout = self.layout
        if not self.fields:
            return
        if layout.size is not None:
            self._put(layout.size, len(self.body) + sum(len(bytes(p)) for p in self.body_parts))
        if layout.count is not None:
            self._put(layout.count, len(self.body_parts) + len(self.records))

    def __bytes__(self) -> bytes:
        inner = [bytes(part) for part in self.body_parts]
        after = [bytes(part) for part in self.records]
        return b"".join([*self.fields, *inner, self.body, self.trailer, *after, self.rest])

    def _put(self, number: int, value: int) -> None:
        width = self.layout.widths[number]
        self.fields[number] = (value % 256**width).to_bytes(width, "little")


def take_apart(data: bytes, layout: Layout) -> Part:
    """Take a whole input apart."""
    part, end = _take(data, layout)
    part.rest += data[end:]
    return part


def _take(data: bytes, layout: Layout) -> tuple[Part, int]:
    """Take one record off the front; return it and where it ends."""
    offset = layout.header_bytes
    if len(data) < offset:
        return Part(layout, [], rest=data), len(data)
    bounds = pairwise(accumulate(layout.widths, initial=0))
    part = Part(layout, [data[start:end] for start, end in bounds])
    if layout.size is not None:
        size = int.from_bytes(part.fields[layout.size], "little")
        body = data[offset : offset + size]
        offset += len(body)
        if layout.body is None:
            part.body = body
        else:
            part.body_parts, part.body = _take_all(body, layout.body)
        part.trailer = data[offset : offset + layout.trailer]
        offset += len(part.trailer)
    if layout.record is not None:
        part.records, part.rest = _take_all(data[offset:], layout.record)
        offset = len(data)
    return part, offset


def _take_all(data: bytes, layout: Layout) -> tuple[list[Part], bytes]:
    """Take records off the front while there are whole ones; return them and what is left."""
    parts = []
    while len(data) >= layout.header_bytes:
        part, end = _take(data, layout)
        parts.append(part)
        data = data[end:]
    return parts, data
