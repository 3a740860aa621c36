"""Reports as files: each appears whole or not at all."""

import errno
import json
import os
import secrets
from collections.abc import Mapping
from typing import Any, Final

from durability.errors import UsageError

_ADVICE: Final[Mapping[int | None, str]] = {
    errno.ENOENT: "make its directory first",
    errno.ENOTDIR: "make its directory first",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "name a file in a directory that you may write to",
    errno.EROFS: "name a file on a file system that can be written",
    errno.ENOSPC: "make room, or name a file on another file system",
}


def write_json(document: Mapping[str, Any], path: str) -> None:
    """Write one JSON object. Raises UsageError where the path cannot be written."""
    # Escapes instead of UTF-8: a path may hold bytes that are none, and has no UTF-8 form.
    write_file(json.dumps(document, indent=2, ensure_ascii=True).encode() + b"\n", path)


def write_file(data: bytes, path: str) -> None:
    """Write a whole file, in place of what is there. Raises UsageError where that cannot be.

    A regular file is replaced by renaming a finished one over it, a link to one is followed.
    Anything else, such as a pipe or /dev/stdout, is written to: it must stay what it is.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as stream:
                stream.write(data)
        else:
            _replace(os.path.realpath(path), data)
    except OSError as error:
        advice = _ADVICE.get(error.errno, "name another file")
        raise UsageError(f"{path} cannot be written: {error.strerror}; {advice}") from error


def _replace(path: str, data: bytes) -> None:
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before the rename, or a power cut may leave zeros
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
