"""A data directory as one thing: the order in which its files may change.

- The term is durable before an entry of it is, or anything else that reveals it.
- The metadata's durable index is lowered before entries are removed, never after.
- A snapshot is durable before the entries that it stands for are removed.
- That the log is incomplete is durable before anything that was lost is given up.

Every attribute shows what is durable: it changes when the write that it stands for has been synced.
But for the log, which may run ahead with what was written, and says so (`Log.durable_index`).
"""

import dataclasses
import random
import secrets
from collections.abc import Iterable, Sequence

from raft.config import Config
from raft.filesystem import Filesystem
from raft.log import Log
from raft.log_entry import LogEntry
from raft.metadata import INCOMPLETE, Metadata
from raft.peer import Peer
from raft.preamble import checksum_seed
from raft.recovery import Recovered, Recovery, recover
from raft.snapshot import Snapshot, SnapshotReader, SnapshotWriter


class Storage:
    """The durable state of one node. Opening it locks the directory and recovers.

    A directory that is fresh is bound to this node and group at once, before anything is asked of
    it; its id is drawn then, from `Config.random_seed` where one is given.

    After a DiskError the object must not be used again, but for `close`.

    Raises:
        StorageError: the directory cannot be used; the subclass says why. It is not locked then.
    """

    def __init__(self, filesystem: Filesystem, config: Config) -> None:
        self._filesystem = filesystem
        self._trailing_entries = config.trailing_entries
        try:
            filesystem.lock()
            recovered = recover(
                filesystem, config.group_id, config.node_id, repair=config.repair_from_peers
            )
            if recovered is None:
                recovered = _format(filesystem, config)
            self.metadata = recovered.metadata
            self.snapshot = recovered.snapshot
            self.recovery: Recovery = recovered.recovery
            self.log = Log(
                filesystem,
                self.metadata.directory_id,
                config.max_segment_bytes,
                snapshot_index=self.snapshot.index if self.snapshot else 0,
                snapshot_term=self.snapshot.term if self.snapshot else 0,
                segments=recovered.segments,
                entries=recovered.entries,
                last_crc=recovered.last_crc,
            )
        except BaseException:
            filesystem.close()
            raise

    def save_term(self, term: int, voted_for: int | None) -> None:
        """Enter a term with a vote, or give the vote in it; durable when this returns."""
        self._save(
            dataclasses.replace(self.metadata, current_term=term, voted_for=voted_for),
            self.log.durable_index,
        )

    def append(self, entries: Sequence[LogEntry]) -> None:
        """Append a batch to the log; durable when this returns."""
        self.write(entries)
        self.sync()

    def write(self, entries: Sequence[LogEntry]) -> None:
        """Append a batch to the log; durable after the next `sync`."""
        assert entries[-1].term <= self.metadata.current_term
        self.log.write(entries)

    def sync(self) -> None:
        """Make durable what was written to the log."""
        self.log.sync()

    def truncate_after(self, index: int) -> None:
        """Remove the entries above `index` from the log."""
        if index < self.log.last_index:
            self._save(self.metadata, index)
            self.log.truncate_after(index)

    def save_snapshot(self, index: int, peers: tuple[Peer, ...], chunks: Iterable[bytes]) -> None:
        """Replace the snapshot by that of `index`, an entry of the log, and compact the log.

        `peers` is the configuration as of `index`, `chunks` the state machine's bytes.
        """
        term = self.log.term(index)
        assert term is not None
        snapshot = Snapshot(self.metadata.directory_id, index, term, peers)
        snapshot.write(self._filesystem, chunks)
        self.snapshot = snapshot
        self.log.compact(index, self._trailing_entries)

    def begin_snapshot(self, index: int, term: int, peers: tuple[Peer, ...]) -> SnapshotWriter:
        """Begin to write a snapshot that comes from a leader."""
        snapshot = Snapshot(self.metadata.directory_id, index, term, peers)
        return SnapshotWriter(self._filesystem, snapshot)

    def install_snapshot(self, writer: SnapshotWriter) -> None:
        """Replace the snapshot by a leader's, whose index is above that of the present one.

        Entries that follow its last one stay; a log that has not got that one is replaced.
        """
        writer.commit()
        self.snapshot = snapshot = writer.snapshot
        if self.log.term(snapshot.index) == snapshot.term:
            self.log.compact(snapshot.index, self._trailing_entries)
        else:
            self._save(self.metadata, snapshot.index)
            self.log.reset(snapshot.index, snapshot.term)

    def open_snapshot(self) -> SnapshotReader:
        """Open the snapshot, of which there is one."""
        return SnapshotReader(self._filesystem)

    def mark_incomplete(self) -> None:
        """Write down that the log lacks entries which this node may have acknowledged."""
        self._save(dataclasses.replace(self.metadata, durable_index=INCOMPLETE), INCOMPLETE)

    def mark_complete(self) -> None:
        """Write down that it lacks none any more."""
        durable_index = self.log.durable_index
        self._save(dataclasses.replace(self.metadata, durable_index=durable_index), durable_index)

    def pin(self) -> None:
        """Write down how far the log is durable, so that not even its last batch is ambiguous."""
        self.log.sync()
        if self.metadata.durable_index < self.log.durable_index:
            self._save(self.metadata, self.log.durable_index)

    def close(self) -> None:
        """Release the directory. Nothing is written: what counts is durable already."""
        try:
            self.log.close()
        finally:
            self._filesystem.close()

    def _save(self, metadata: Metadata, durable_index: int) -> None:
        if metadata.is_complete:
            metadata = dataclasses.replace(metadata, durable_index=durable_index)
        metadata.write(self._filesystem)
        self.metadata = metadata


def _format(filesystem: Filesystem, config: Config) -> Recovered:
    """Bind a fresh directory to this node and group."""
    if config.random_seed is None:
        directory_id = secrets.randbits(64)
    else:
        identity = f"{config.random_seed}/{config.group_id}/{config.node_id}"
        directory_id = random.Random(identity).getrandbits(64)
    metadata = Metadata(directory_id, config.group_id, config.node_id)
    metadata.write(filesystem)
    return Recovered(metadata, None, [], [], checksum_seed(directory_id), Recovery())
