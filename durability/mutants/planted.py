"""The documented defects that a crash shows, as edits of the node.

`id` is that of the catalogue of defects. `shows` are the models under which power cuts show it, of
those that it is looked for under, or the faults of a disk that do; no other is to show it. `kind`
is what is broken then, among other things perhaps: an edit that merely fails breaks something else.
"""

from typing import Final, Literal

import msgspec

LOOKED_UNDER: Final = ("prefix", "ext4-ordered", "xfs", "btrfs", "posix-default")
FAULTS_LOOKED_AT: Final = (
    "write-eio", "write-enospc", "disk-full", "sync-eio-kept", "sync-eio-reverted", "flipped",
)  # fmt: skip
_EVERY: Final = frozenset(LOOKED_UNDER)
_POWER: Final = _EVERY - {"prefix"}


class PlantedDefect(msgspec.Struct, frozen=True):
    """One defect: in the file `path`, `old`, which occurs there once, becomes `new`.

    `technique` is the command that looks for it, with `target` and `options`.
    """

    id: str
    what: str
    kind: str
    target: str
    shows: frozenset[str]
    path: str
    old: str
    new: str
    technique: Literal["powerloss", "disk"] = "powerloss"
    options: tuple[str, ...] = ()


PLANTED: Final = (
    PlantedDefect(
        "D04",
        "a new segment's directory entry is never synced",
        "lost",
        "reference",
        frozenset({"posix-default"}),
        "raft/log.py",
        "        file.sync()\n        self._filesystem.sync()\n        self._segments.append",
        "        file.sync()\n        self._segments.append",
    ),
    PlantedDefect(
        "D05",
        "the metadata's rename is never synced in the directory",
        "not-elected",
        "reference-follower",
        _POWER,
        "raft/filesystem.py",
        "    filesystem.rename(temporary, name)\n    filesystem.sync()\n",
        "    filesystem.rename(temporary, name)\n",
    ),
    PlantedDefect(
        "D06",
        "a restart without any segment forgets the snapshot's index",
        "commit-beyond-log",
        "reference-follower",
        _EVERY,
        "raft/storage.py",
        "snapshot_index=self.snapshot.index if self.snapshot else 0,\n",
        "snapshot_index=self.snapshot.index if self.snapshot and recovered.segments else 0,\n",
    ),
    PlantedDefect(
        "D15",
        "a record's checksum is not looked at",
        "corrupt",
        "reference-batches",
        _POWER,
        "raft/segment.py",
        "    if crc32c(view[offset + _CRC.size : end], seed) != crc:\n",
        "    if crc == 0:\n",
    ),
    PlantedDefect(
        "D16",
        "a write that failed counts as done",
        "error-escaped",
        "reference",
        frozenset({"write-eio", "write-enospc", "disk-full"}),
        "raft/log.py",
        "        file.append(data)\n        self._file_bytes += len(data)\n",
        "        try:\n"
        "            file.append(data)\n"
        "        except Exception:\n"
        "            pass\n"
        "        self._file_bytes += len(data)\n",
        "disk",
    ),
    PlantedDefect(
        "D19",
        "a segment whose removal was not synced comes back, and is read up to the hole behind it",
        "recovery-failed",
        "reference-batches",
        frozenset({"btrfs", "posix-default"}),
        "raft/recovery.py",
        "    kept = firsts[covered:]\n",
        "    kept = firsts[covered:]\n"
        "    lost = _corruption(_survey(filesystem, metadata, base, firsts), 0)\n"
        "    if covered and lost:\n"
        "        raise lost\n",
    ),
    PlantedDefect(
        "D20",
        "a new segment whose first entry is torn makes the last term 0",
        "lost",
        "reference-follower",
        _EVERY,
        "raft/log.py",
        "        return self._entries[-1].term if self._entries else self._base_term\n",
        "        if self._segments and self._segments[-1] > self.last_index:\n"
        "            return 0\n"
        "        return self._entries[-1].term if self._entries else self._base_term\n",
    ),
    PlantedDefect(
        "D26",
        "a vote is sent before it is durable",
        "not-elected",
        "reference-follower",
        _POWER,
        "raft/storage.py",
        "        self._save(\n"
        "            dataclasses.replace(self.metadata, current_term=term, voted_for=voted_for),\n"
        "            self.log.durable_index,\n"
        "        )\n",
        "        sync = self._filesystem.sync\n"
        "        if voted_for is not None:\n"
        "            self._filesystem.sync = lambda: None\n"
        "        self._save(\n"
        "            dataclasses.replace(self.metadata, current_term=term, voted_for=voted_for),\n"
        "            self.log.durable_index,\n"
        "        )\n"
        "        self._filesystem.sync = sync\n",
    ),
    PlantedDefect(
        "D27",
        "a term is used before it is durable",
        "not-elected",
        "reference-follower",
        _POWER,
        "raft/storage.py",
        "        self._save(\n"
        "            dataclasses.replace(self.metadata, current_term=term, voted_for=voted_for),\n"
        "            self.log.durable_index,\n"
        "        )\n",
        "        sync = self._filesystem.sync\n"
        "        if voted_for is None:\n"
        "            self._filesystem.sync = lambda: None\n"
        "        self._save(\n"
        "            dataclasses.replace(self.metadata, current_term=term, voted_for=voted_for),\n"
        "            self.log.durable_index,\n"
        "        )\n"
        "        self._filesystem.sync = sync\n",
    ),
    PlantedDefect(
        "D28",
        "an entry is acknowledged before it is durable",
        "commit-beyond-log",
        "reference-follower",
        _POWER,
        "raft/log.py",
        "            self._file.sync_data()\n            self._durable_index = self.last_index\n",
        "            self._durable_index = self.last_index\n",
    ),
    PlantedDefect(
        "D33",
        "the last entry in a snapshot is applied again after a restart",
        "duplicated",
        "reference",
        _EVERY,
        "raft/replica.py",
        "        index = self.last_applied\n        if index > self.snapshot_index:\n",
        "        index = self.last_applied - 1\n        if index > self.snapshot_index:\n",
    ),
    PlantedDefect(
        "D34",
        "a snapshot is renamed into place before its data is synced",
        "corrupt",
        "reference",
        _POWER,
        "raft/snapshot.py",
        "            self._file.append(_U32.pack(crc32c(end, self._crc)) + end)\n"
        "            self._file.sync()\n",
        "            self._file.append(_U32.pack(crc32c(end, self._crc)) + end)\n",
    ),
    PlantedDefect(
        "D35",
        "the metadata is rewritten in place",
        "corrupt",
        "reference",
        _EVERY,
        "raft/metadata.py",
        "        replace_file(filesystem, METADATA_NAME, lambda file: file.append(data))\n",
        "        if METADATA_NAME not in filesystem.names():\n"
        "            replace_file(filesystem, METADATA_NAME, lambda file: file.append(data))\n"
        "            return\n"
        "        file = filesystem.open(METADATA_NAME)\n"
        "        file.truncate(0)\n"
        "        file.append(data)\n"
        "        file.sync()\n"
        "        file.close()\n",
    ),
    PlantedDefect(
        "D40",
        "after a kill between a snapshot's rename and the log's reset the old log is kept",
        "corrupt",
        "reference-follower",
        _EVERY,
        "raft/recovery.py",
        "    if not _agrees(survey, base):\n",
        "    if survey is None:\n",
    ),
    PlantedDefect(
        "D43",
        "a sync that failed is tried again, and believed",
        "recovery-failed",
        "reference",
        frozenset({"sync-eio-kept", "sync-eio-reverted"}),
        "raft/log.py",
        "            self._file.sync_data()\n            self._durable_index = self.last_index\n",
        "            try:\n"
        "                self._file.sync_data()\n"
        "            except Exception:\n"
        "                self._file.sync_data()\n"
        "            self._durable_index = self.last_index\n",
        "disk",
    ),
    PlantedDefect(
        "D44",
        "a rotten entry is truncated, and the node goes on as if it had never had it",
        "damage-hidden",
        "reference",
        frozenset({"flipped"}),
        "raft/recovery.py",
        "    if damage and not repair:\n        raise damage\n",
        "    damage = None\n",
        "disk",
    ),
    PlantedDefect(
        "D46",
        "recovery cuts off what it is to write again: a second crash inside it loses more",
        "lost",
        "reference",
        _EVERY,
        "raft/recovery.py",
        "            file.overwrite(offset, file.read(offset, segment.end - offset))\n",
        "            unsure_bytes = file.read(offset, segment.end - offset)\n"
        "            file.truncate(offset)\n"
        "            file.append(unsure_bytes)\n",
        options=("--in-recovery", "--crashes", "40"),
    ),
)
