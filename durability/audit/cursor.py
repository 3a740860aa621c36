"""Reading bytes that may be anything, without believing a length before it was checked."""

import struct
from typing import Any


class MalformedError(Exception):
    """Bytes that are not what their format says; never leaves the auditor.

    `offset` is where in the file, in bytes; `cut` says that the bytes merely end too early, as an
    unfinished write leaves them; `kind` names the guarantee that is broken (`guarantees.py`).
    """

    def __init__(
        self, offset: int, reason: str, *, kind: str = "corrupt", cut: bool = False
    ) -> None:
        super().__init__(f"{reason} at offset {offset}")
        self.offset = offset
        self.kind = kind
        self.cut = cut


class Cursor:
    """A position in bytes that only moves forward, and never past their end."""

    __slots__ = ("_data", "offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self.offset = offset

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self.offset

    def take(self, size: int, what: str, begin: int | None = None) -> bytes:
        """Return the next `size` bytes; `begin` is where the thing they are part of begins.

        Raises:
            MalformedError: fewer are left; nothing was copied.
        """
        if size > self.remaining:
            offset = self.offset if begin is None else begin
            raise MalformedError(offset, f"the file ends inside {what}", cut=True)
        taken = self._data[self.offset : self.offset + size]
        self.offset += size
        return taken

    def unpack(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        """Return the next fields of a fixed layout.

        Raises:
            MalformedError: fewer bytes are left than the layout needs.
        """
        return layout.unpack(self.take(layout.size, what))

    def finish(self, what: str) -> None:
        """Check that nothing is left.

        Raises:
            MalformedError: something is.
        """
        if self.remaining:
            raise MalformedError(self.offset, f"{self.remaining} more bytes follow {what}")
