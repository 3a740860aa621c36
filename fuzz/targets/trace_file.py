"""Invariant tested: a trace file is read as what was written, or a typed error refuses it.

Each input is a file. It is tested as it is, and once more as what is inside of the compression.
Whatever was read can be written and read again, where it is not longer than is permitted, and every
question about it has an answer.
"""

import os
import tempfile
from typing import Final

import zstandard

from durability.errors import MechanismError, UnreadableError
from durability.trace.records import Allocate, Truncate, Write
from durability.trace.trace import Trace, load, save
from durability.trace.tree import FILE_BYTES_MAX
from fuzz.laws import BrokenLawError
from fuzz.layout import Layout
from fuzz.target import Target

# MessagePack has no fixed fields: what the mutator gets at are a byte and the bytes behind it.
TRACE_FILE: Final = Layout((), record=Layout((1,)))

_DIRECTORY: Final = tempfile.TemporaryDirectory(prefix="raft-fuzz-")
_FORMAT: Final = "a 'durability trace' of version 1"
_SMALL_BYTES: Final = 2**16


def check(data: bytes) -> None:
    """Hold one file, and the one that it is when compressed, against every law."""
    _check(data)
    _check(zstandard.compress(data))


def _check(content: bytes) -> None:
    path = os.path.join(_DIRECTORY.name, "trace")
    with open(path, "wb") as file:
        file.write(content)
    try:
        trace = load(path)
    except UnreadableError as error:
        if not str(error).startswith(path):
            raise BrokenLawError(f"the error does not name the file: {error}") from error
        if str(error).startswith(f"{path}: {_FORMAT};"):
            raise BrokenLawError(f"the format itself is refused: {error}") from error
        return
    finally:
        os.unlink(path)
    _check_answers(trace)
    save(trace, path)
    try:
        _check_read_again(trace, path)
    finally:
        os.unlink(path)


def _check_read_again(trace: Trace, path: str) -> None:
    """Read what has been written, with a limit that it just keeps, and with one that it exceeds."""
    with open(path, "rb") as file:
        size = zstandard.frame_content_size(file.read())
    again = load(path, size)
    if again != trace:
        raise BrokenLawError(f"written and read again: {again}; before: {trace}")
    try:
        load(path, size - 1)
    except UnreadableError:
        return
    raise BrokenLawError(f"a trace of {size} bytes is read where {size - 1} are permitted")


def _check_answers(trace: Trace) -> None:
    """Ask all that is ever asked of a trace."""
    records = [*trace.initial, *trace.records]
    if not all(isinstance(str(record), str) for record in records):
        raise BrokenLawError("a record cannot be shown")
    trace.lines()
    trace.untraceable()
    trace.kill()
    positions = trace.positions_between_writes()
    if any(offset > trace.stream_bytes() for offset, _ in positions):
        raise BrokenLawError(f"positions beyond the stream of {trace.stream_bytes()}: {positions}")
    # A file of a gigabyte may be rebuilt, and would take that much memory.
    sizes = [_size(record) for record in records]
    if not any(_SMALL_BYTES < size <= FILE_BYTES_MAX for size in sizes):
        try:
            trace.tree()
        except MechanismError as error:
            if max(sizes) <= _SMALL_BYTES:
                raise BrokenLawError(f"none of the files is too large: {error}") from error


def _size(record: object) -> int:
    """Say up to where a record makes a file reach."""
    match record:
        case Write(offset=offset, data=data):
            return offset + len(data)
        case Truncate(size=size):
            return size
        case Allocate(offset=offset, length=length):
            return offset + length
        case _:
            return 0


TARGET: Final = Target(check=check, probe=check, layout=TRACE_FILE)
