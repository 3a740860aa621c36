"""When to kill: a position in the write stream, and how finely it may cut a write.

The write stream is the concatenation of all bytes that a run writes below its root, in execution
order. A position is the number of bytes written so far, plus the number of other changes (a file
created, renamed, removed, truncated ...) made since the last of these bytes: together they name
every state that a kill may leave.
"""

import msgspec

from durability.targets.contract import Tear

PAGE_BYTES = 4096
"""Where the kernel itself may cut a write(2) of a dying process; measured on ext4, XFS, tmpfs."""


class KillOrder(msgspec.Struct, frozen=True, order=True):
    """Kill as soon as `offset` bytes are written and `calls` further changes are made."""

    offset: int
    calls: int = 0
    tear: Tear = "byte"

    def is_missed(self, written: int) -> bool:
        """Tell whether a write that comes now shows that the position does not exist in this run.

        The run goes on to its next byte without having made as many changes as are ordered.
        """
        return self.calls > 0 and written >= self.offset

    def cut(self, written: int, length: int, file_offset: int) -> int | None:
        """How many bytes of a write to let through before the kill; None: all, and go on.

        `written` bytes are in the stream already; the write is `length` bytes at `file_offset`.
        """
        wanted = self.offset - written
        if wanted > length or (wanted == length and self.calls):
            return None
        if wanted <= 0:
            return 0
        if wanted == length or self.tear == "byte":
            return wanted
        if self.tear == "none":
            return 0
        return max(0, (file_offset + wanted) // PAGE_BYTES * PAGE_BYTES - file_offset)

    def __str__(self) -> str:
        """As `--at` takes it."""
        return f"{self.offset}+{self.calls}" if self.calls else str(self.offset)
