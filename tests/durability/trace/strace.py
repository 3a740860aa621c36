"""What strace saw of a run, in terms that a trace can be compared with.

An operation is a tuple: what was done, to which path below the root, and numbers that say how. They
are listed by thread: the order between threads is not the order of strace's lines.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from durability.trace.records import (
    Allocate,
    Kill,
    MakeDirectory,
    Open,
    Output,
    RemoveDirectory,
    Rename,
    Sync,
    Truncate,
    Unlink,
    Write,
    shown,
)
from durability.trace.trace import Trace

Operation = tuple[object, ...]
ByThread = dict[int, list[Operation]]

CALLS: Final = (
    "open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,"
    "fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
OPTIONS: Final = ("-f", "-y", "-q", "-s", "0", "-e", f"trace={CALLS}", "-e", "signal=none")

_LINE: Final = re.compile(
    r"(?P<thread>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>\S+.*)"
)
_UNFINISHED: Final = re.compile(r"(?P<thread>\d+) +(?P<begun>.*) <unfinished \.\.\.>$")
_RESUMED: Final = re.compile(r"(?P<thread>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)")
_DESCRIPTOR: Final = re.compile(r"(?:-?\d+|AT_FDCWD)<(?P<path>[^>]*)>")
_NAME: Final = re.compile(r'(?:(?:\d+|AT_FDCWD)<(?P<directory>[^>]*)>, )?"(?P<name>[^"]*)"')


def seen(log: Path, root: Path) -> ByThread:
    """Return the changes below a root that succeeded, from a log written with `OPTIONS`.

    The program's working directory is taken to be the root.
    """
    found: ByThread = defaultdict(list)
    for thread, call, arguments, result in _calls(log):
        failed = result.startswith(("-1", "?"))  # or begun again after a signal
        empty = result == "0" and "write" in call
        operation = None if failed or empty else _READ[call](arguments, result)
        if operation is not None:
            relative = [_relative(part, root) for part in operation]
            if None not in relative:
                found[thread].append(tuple(relative))
    return found


def _calls(log: Path) -> Iterator[tuple[int, str, str, str]]:
    """Yield thread, call, arguments and result; those that strace tells in two lines, as one."""
    begun: dict[str, str] = {}
    for line in log.read_text(errors="backslashreplace").splitlines():
        if unfinished := _UNFINISHED.fullmatch(line):
            begun[unfinished["thread"]] = unfinished["begun"]
            continue
        if resumed := _RESUMED.fullmatch(line):
            thread = resumed["thread"]
            line = f"{thread} {begun.pop(thread)}{resumed['rest']}"  # noqa: PLW2901 - the whole of it
        if call := _LINE.fullmatch(line):
            yield int(call["thread"]), call["call"], call["arguments"], call["result"]


class _At(str):
    """An absolute path."""

    __slots__ = ()


def _relative(part: object, root: Path) -> object | None:
    if not isinstance(part, _At):
        return part
    path = os.path.relpath(os.path.join(root, part.removesuffix(" (deleted)")), root)
    return None if path.startswith("..") else path


def _of_descriptor(arguments: str) -> _At:
    match = _DESCRIPTOR.match(arguments)
    assert match is not None, arguments
    return _At(os.path.join("/", match["path"]))  # a pipe or socket is named without a slash


def _names(arguments: str) -> list[_At]:
    return [
        _At(os.path.join(match["directory"] or "", match["name"]))
        for match in _NAME.finditer(arguments)
    ]


def _opened(arguments: str, result: str) -> Operation | None:
    changing = re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", arguments)
    return ("open", _of_descriptor(result)) if changing else None


def _written(arguments: str, result: str) -> Operation:
    return ("write", _of_descriptor(arguments), int(result))


def _written_at(arguments: str, result: str) -> Operation:
    return ("write", _of_descriptor(arguments), int(result), int(arguments.rsplit(", ", 1)[1]))


def _synced(arguments: str, _: str) -> Operation:
    return ("sync", _of_descriptor(arguments))


def _resized(arguments: str, _: str) -> Operation:
    return ("truncate", _of_descriptor(arguments), int(arguments.rsplit(", ", 1)[1]))


def _allocated(arguments: str, _: str) -> Operation:
    offset, length = arguments.split(", ")[-2:]
    return ("allocate", _of_descriptor(arguments), int(offset), int(length))


def _named(what: str) -> Callable[[str, str], Operation]:
    return lambda arguments, _: (what, *_names(arguments))


def _unlinked(arguments: str, _: str) -> Operation:
    return ("rmdir" if "AT_REMOVEDIR" in arguments else "unlink", *_names(arguments))


_READ: Final[dict[str, Callable[[str, str], Operation | None]]] = {
    **dict.fromkeys(("open", "openat", "creat"), _opened),
    **dict.fromkeys(("write", "writev", "pwritev", "pwritev2"), _written),
    "pwrite64": _written_at,
    "ftruncate": _resized,
    "fallocate": _allocated,
    **dict.fromkeys(("fsync", "fdatasync"), _synced),
    **dict.fromkeys(("rename", "renameat", "renameat2"), _named("rename")),
    **dict.fromkeys(("unlink", "unlinkat"), _unlinked),
    **dict.fromkeys(("mkdir", "mkdirat"), _named("mkdir")),
    "rmdir": _named("rmdir"),
}


def told(trace: Trace) -> ByThread:
    """Return what a trace says, in the same terms; each write with its offset."""
    found: ByThread = defaultdict(list)
    for record in trace.records:
        tell = _TOLD.get(type(record))
        if tell is not None and not isinstance(record, Output | Kill):
            what, *rest = tell(record)
            found[record.thread].append(
                (what, *(shown(part) or "." if isinstance(part, bytes) else part for part in rest))
            )
    return found


_TOLD: Final[dict[type, Callable[[Any], Operation]]] = {
    Open: lambda r: ("open", r.path),
    Write: lambda r: ("write", r.path, len(r.data), r.offset),
    Truncate: lambda r: ("truncate", r.path, r.size),
    Allocate: lambda r: ("allocate", r.path, r.offset, r.length),
    Sync: lambda r: ("sync", r.path),
    Rename: lambda r: ("rename", r.source, r.destination),
    Unlink: lambda r: ("unlink", r.path),
    MakeDirectory: lambda r: ("mkdir", r.path),
    RemoveDirectory: lambda r: ("rmdir", r.path),
}


def without_the_last(trace: Trace) -> Trace:
    """Leave out the last change: a kill may have come when it was made, but not yet answered."""
    changes = [at for at, record in enumerate(trace.records) if type(record) in _TOLD]
    return Trace(trace.initial, trace.records[: changes[-1]])


def without_offsets(operations: ByThread) -> ByThread:
    """Leave out what strace cannot know: where a write began that named no offset."""
    return {
        thread: [each[:3] if each[0] == "write" else each for each in sequence]
        for thread, sequence in operations.items()
    }
