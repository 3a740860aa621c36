"""The trace of one run, and the file it is kept in.

The file is zstandard-compressed MessagePack: a header (`magic`, `version`), then the trace. Another
version is refused by name.
"""

import os
import secrets
from contextlib import suppress
from typing import BinaryIO

import msgspec
import zstandard

from durability.errors import UnreadableError
from durability.targets.contract import lines_of
from durability.trace.records import (
    AnyRecord,
    Kill,
    Output,
    Untraceable,
    Write,
    is_change,
    shown,
)
from durability.trace.tree import Tree

MAGIC = "durability trace"
VERSION = 1
TRACE_BYTES_MAX = 1 << 30
"""The longest trace that is read, before compression."""


class Trace(msgspec.Struct, frozen=True):
    """What was below the root before the run, and every change the run made to it, in order.

    `sources` says of records, by their places, which lines of the program made the call, where that
    was followed: see `source_lines`.
    """

    initial: list[AnyRecord]
    records: list[AnyRecord]
    sources: dict[int, str] = {}

    def tree(self) -> Tree:
        """Return the tree that the run left."""
        tree = Tree(self.initial)
        for record in self.records:
            tree.apply(record)
        return tree

    def lines(self) -> list[str]:
        """Return the whole lines that the target printed, in order, as `lines_of` does.

        What follows the last newline was never promised, and is left out.
        """
        said = (record.data for record in self.records if isinstance(record, Output))
        return lines_of(b"".join(said))

    def stream_bytes(self) -> int:
        """Return the length of the write stream."""
        return sum(len(record.data) for record in self.records if isinstance(record, Write))

    def positions_between_writes(self) -> list[tuple[int, int]]:
        """Return (offset, calls) for each change of names or sizes, as a `KillOrder` takes them."""
        found: list[tuple[int, int]] = []
        offset = calls = 0
        for record in self.records:
            if isinstance(record, Write):
                offset, calls = offset + len(record.data), 0
            elif is_change(record):
                calls += 1
                found.append((offset, calls))
        return found

    def kill(self) -> Kill | None:
        """Return the record of the kill, if there was one."""
        last = self.records[-1] if self.records else None
        return last if isinstance(last, Kill) else None

    def untraceable(self) -> list[str]:
        """Return the ways around the trace that the run took, each once."""
        return sorted(
            {_around(record) for record in self.records if isinstance(record, Untraceable)}
        )


def _around(record: Untraceable) -> str:
    path = shown(record.path)
    return f"{record.call} of {path}" if path else record.call


class _File(msgspec.Struct, frozen=True):
    magic: str
    version: int
    trace: msgspec.Raw


def save(trace: Trace, path: str) -> None:
    """Write a trace to a new file, which is there whole or not at all. Raises OSError."""
    document = _File(MAGIC, VERSION, msgspec.Raw(msgspec.msgpack.encode(trace)))
    unfinished = f"{path}.{secrets.token_hex(8)}"
    try:
        with open(unfinished, "xb") as file:
            file.write(zstandard.compress(msgspec.msgpack.encode(document)))
        os.link(unfinished, path)  # a rename would replace what has the name
    finally:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)


def load(path: str, max_bytes: int = TRACE_BYTES_MAX) -> Trace:
    """Read a trace, of at most `max_bytes` when decompressed. Raises UnreadableError."""
    try:
        with open(path, "rb") as file:
            document = msgspec.msgpack.decode(_decompressed(file, max_bytes), type=_File)
        if document.magic != MAGIC or document.version != VERSION:
            raise UnreadableError(
                f"{path}: a {document.magic!r} of version {document.version}; "
                f"this reads a {MAGIC!r} of version {VERSION}"
            )
        return msgspec.msgpack.decode(document.trace, type=Trace)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableError(f"{path}: not a trace: {error}") from error


def _decompressed(file: BinaryIO, max_bytes: int) -> bytes:
    """Decompress, part by part: a short file may claim to hold any length."""
    content = bytearray()
    for part in zstandard.ZstdDecompressor().read_to_iter(file):
        content += part
        if len(content) > max_bytes:
            raise ValueError(f"it is longer than {max_bytes} bytes")
    return bytes(content)
