"""The disk of a simulated node: one directory in memory that knows what is durable.

A process sees what it wrote. A kill leaves the same. A power cut leaves what was synced: file
contents as of their last sync under the names as of the directory's last sync. Of the rest it
leaves nothing, or what a persistence model permits and a seed draws (`unsynced`). A kill or a cut
can be ordered for the middle of any write; it raises `Interrupted` through the node.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from durability.crash.models import Model
from durability.simulation.unsynced import Unsynced
from raft.errors import DirectoryLockedError


class Interrupted(BaseException):
    """The process was killed inside a disk operation. No error: nothing may handle and go on."""


@dataclass(slots=True, eq=False)
class Content:
    """A file's bytes as processes see them, and as its last sync left them.

    `generation` rises with each sync that did more than append to what was synced before. `number`
    is the file's, where a model follows the disk.
    """

    written: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    generation: int = 0
    number: int = 0
    _rewritten: bool = False

    def rewrite(self) -> bytearray:
        """Give access to what is written, for another change than an append."""
        self._rewritten = True
        return self.written

    def sync(self) -> None:
        """Make what is written durable."""
        self.synced = bytes(self.written)
        self.generation += self._rewritten
        self._rewritten = False


class Disk:
    """The directory, which outlives the processes that open it one after the other.

    `written` are the names as processes see them, `synced` as the directory's last sync left them.
    `on_sync` is called after each sync. `unsynced` is what a model, if there is one, knows of it.
    """

    def __init__(self, model: Model | None = None) -> None:
        self.written: dict[str, Content] = {}
        self.synced: dict[str, Content] = {}
        self.on_sync: Callable[[], None] | None = None
        self._model = model
        self.unsynced = Unsynced(model, {}) if model else None
        self._operations_left: int | None = None

    def interrupt_after(self, operations: int | None) -> None:
        """Let so many more changes pass and then kill the process in the next; None: never."""
        self._operations_left = operations

    @property
    def is_doomed(self) -> bool:
        """Whether the process is to die in one of its next changes."""
        return self._operations_left is not None

    def permit(self) -> bool:
        """Count one change; False if the process dies in it."""
        if self._operations_left is None:
            return True
        self._operations_left -= 1
        return self._operations_left >= 0

    def flip(self, name: str, bit: int) -> None:
        """Flip a bit of what is synced in a file; `bit` counts from its beginning."""
        content = self.synced[name]
        for data in (content.written, synced := bytearray(content.synced)):
            data[bit // 8] ^= 1 << bit % 8
        content.synced = bytes(synced)
        content.generation += 1
        if self.unsynced:
            self.unsynced.flip(content.number, bit)

    def synced_now(self) -> None:
        """Tell that something has just become durable."""
        if self.on_sync is not None:
            self.on_sync()

    def kill(self) -> None:
        """End the process: all that it wrote stays, synced or not."""
        self._operations_left = None

    def cut_power(self, survivors: int | None = None) -> None:
        """End the machine: what was synced stays, and what the seed `survivors` draws, if given."""
        self._operations_left = None
        if self.unsynced and survivors is not None:
            left = self.unsynced.survivors(survivors)
        else:
            left = {name: content.synced for name, content in self.synced.items()}
        # New objects: what the old ones remember of unsynced changes went with them.
        self.synced = {
            name: Content(bytearray(data), data, number=number)
            for number, (name, data) in enumerate(left.items(), start=1)
        }
        self.written = dict(self.synced)
        self.unsynced = Unsynced(self._model, left) if self._model else None


class SimulatedFile:
    """An open file of a `Disk`; `name` is the one that it was opened by."""

    def __init__(self, disk: Disk, content: Content, name: str) -> None:
        self._disk = disk
        self._content = content
        self._name = name

    def size(self) -> int:
        """Say how long the file is."""
        return len(self._content.written)

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset`, or as many as there are."""
        return bytes(self._content.written[offset : offset + size])

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end; the first half, if the process dies in it."""
        permitted = self._disk.permit()
        if not permitted:
            data = data[: len(data) // 2]
        self._note_write(self.size(), data)
        self._content.written += data
        if not permitted:
            raise Interrupted

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`; the first half, if the process dies in it."""
        assert offset + len(data) <= self.size()
        permitted = self._disk.permit()
        if not permitted:
            data = data[: len(data) // 2]
        self._note_write(offset, data)
        self._content.rewrite()[offset : offset + len(data)] = data
        if not permitted:
            raise Interrupted

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        if not self._disk.permit():
            raise Interrupted
        if self._disk.unsynced:
            self._disk.unsynced.truncate(self._content.number, self._name, size)
        del self._content.rewrite()[size:]

    def sync_data(self) -> None:
        """Make the content durable."""
        self._sync(data_only=True)

    def sync(self) -> None:
        """Make the content durable, and what else a model says of it."""
        self._sync(data_only=False)

    def close(self) -> None:
        """Give the descriptor back."""

    def _sync(self, *, data_only: bool) -> None:
        if not self._disk.permit():
            raise Interrupted
        if self._disk.unsynced:
            self._disk.unsynced.sync(self._content.number, self._name, data_only=data_only)
        self._content.sync()
        self._disk.synced_now()

    def _note_write(self, offset: int, data: bytes) -> None:
        if self._disk.unsynced:
            self._disk.unsynced.write(self._content.number, self._name, offset, bytes(data))


class SimulatedFilesystem:
    """One process's view of a `Disk`: a `raft.filesystem.Filesystem`.

    The lock is the process's own, so a process that is dropped has released it.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._locked = False

    def lock(self) -> None:
        """Keep every other user of this view out until `close`."""
        if self._locked:
            raise DirectoryLockedError("this simulated directory is open already")
        self._locked = True

    def close(self) -> None:
        """Release the lock."""
        self._locked = False

    def path(self, name: str = "") -> str:
        """Say where a file is, for people."""
        return f"simulated/{name}"

    def names(self) -> list[str]:
        """List the directory."""
        return list(self._disk.written)

    def create(self, name: str) -> SimulatedFile:
        """Create a file that does not exist, empty."""
        self._change()
        assert name not in self._disk.written
        number = self._disk.unsynced.create(name) if self._disk.unsynced else 0
        content = self._disk.written[name] = Content(number=number)
        return SimulatedFile(self._disk, content, name)

    def open(self, name: str) -> SimulatedFile:
        """Open a file that exists."""
        return SimulatedFile(self._disk, self._disk.written[name], name)

    def rename(self, old: str, new: str) -> None:
        """Rename a file in one step, over an existing one if there is one."""
        self._change()
        if self._disk.unsynced:
            self._disk.unsynced.rename(old, new)
        self._disk.written[new] = self._disk.written.pop(old)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        self._change()
        if self._disk.unsynced:
            self._disk.unsynced.unlink(name)
        del self._disk.written[name]

    def sync(self) -> None:
        """Make the names durable."""
        self._change()
        if self._disk.unsynced:
            self._disk.unsynced.sync_names()
        self._disk.synced = dict(self._disk.written)
        self._disk.synced_now()

    def _change(self) -> None:
        if not self._disk.permit():
            raise Interrupted
