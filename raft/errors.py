"""What can go wrong in this package, by whose fault it is.

    RaftError
    ├── DecodeError (a ValueError)        the sender's: bytes that are not what they should be
    │   ├── TruncatedError                they end before the value does
    │   ├── TrailingBytesError            some are left over after the value
    │   ├── UnsupportedVersionError       a protocol version that is not ours
    │   ├── PayloadTooLargeError          a length field claims more than is permitted
    │   └── InvalidFieldError             a field has a value that it may not have
    ├── EncodeError (a ValueError)        the caller's: a value that its field cannot hold
    ├── ConfigError (a ValueError)        the operator's: settings that contradict each other
    ├── StorageError                      the disk's, or of what is on it
    │   ├── DirectoryLockedError          another process runs a node there
    │   ├── WrongDirectoryError           it belongs to another node or group
    │   ├── UnsupportedFormatError        a file's format version or feature bit is not known
    │   ├── CorruptionError               bytes that were durable have gone bad; nothing was changed
    │   └── DiskError                     a write or a sync failed; the node has stopped
    └── ProposalError                     nobody's: not now, or not here
        ├── NotLeaderError                another node may take it
        ├── NotBootstrappedError          the group has no first configuration yet
        ├── AlreadyBootstrappedError      the node has a log or a configuration already
        ├── CommandTooLargeError          it would not fit into a message
        ├── MembershipError               the change makes no sense in this configuration
        ├── ChangePendingError            an earlier entry has to be committed first
        ├── TransferPendingError          leadership is being handed to another node
        └── StoppedError                  the node has stopped and takes nothing any more

Every strict prefix of a valid encoding raises TruncatedError and every extension of one raises
TrailingBytesError; of several faults in one input, any of them may be the one that is named.
"""


class RaftError(Exception):
    """The root: each error says what happened and, where something can be done, what."""


class DecodeError(RaftError, ValueError):
    """Bytes that are not the encoding of any value."""


class TruncatedError(DecodeError):
    """The bytes end before the value does."""


class TrailingBytesError(DecodeError):
    """Bytes are left over after the value."""


class UnsupportedVersionError(DecodeError):
    """A protocol version that is not ours."""


class PayloadTooLargeError(DecodeError):
    """A length field claims more bytes than permitted; raised before anything is allocated."""


class InvalidFieldError(DecodeError):
    """A field has a value that it may not have: an unknown type, a bool of 2, invalid UTF-8."""


class EncodeError(RaftError, ValueError):
    """A value that its field cannot hold: a negative term, an address of 65,536 bytes."""


class ConfigError(RaftError, ValueError):
    """Settings that make no sense, alone or together; the text names the field."""


class StorageError(RaftError):
    """The disk, or what is on it, does not permit the node to run."""


class DirectoryLockedError(StorageError):
    """Another process runs a node on this data directory."""


class WrongDirectoryError(StorageError):
    """The data directory belongs to another node or group."""


class UnsupportedFormatError(StorageError):
    """A later version has written a file, or raft.cr the directory. Nothing was changed."""


class CorruptionError(StorageError):
    """Bytes that were durable have gone bad. Nothing was changed.

    `offset` is in bytes from the beginning of the file `path`; `index` is that of the first log
    entry that cannot be read, None where the damage is not in the log.
    """

    def __init__(self, path: str, offset: int, index: int | None, reason: str) -> None:
        super().__init__(path, offset, index, reason)
        self.path = path
        self.offset = offset
        self.index = index
        self.reason = reason

    def __str__(self) -> str:
        entry = "" if self.index is None else f", entry {self.index}"
        return f"{self.path} is corrupt at byte {self.offset}{entry}: {self.reason}"


class DiskError(StorageError):
    """A write or a sync failed. Its `__cause__` is the OSError; the node has stopped."""


class ProposalError(RaftError):
    """The node does not take this request now. Its state is unchanged."""


class NotLeaderError(ProposalError):
    """Only the leader takes it. `leader_id` is the leader if one is known, else None."""

    def __init__(self, leader_id: int | None) -> None:
        super().__init__(leader_id)
        self.leader_id = leader_id

    def __str__(self) -> str:
        where = "none is known" if self.leader_id is None else f"that is node {self.leader_id}"
        return f"only the leader takes this; {where}"


class NotBootstrappedError(ProposalError):
    """The group has no first configuration yet: bootstrap it, or wait for its leader."""


class AlreadyBootstrappedError(ProposalError):
    """The node has a log or a configuration already; bootstrap works once."""


class CommandTooLargeError(ProposalError):
    """The command would not fit into a message."""


class MembershipError(ProposalError):
    """The change makes no sense here: an unknown peer, a known one, the last voter, the leader."""


class ChangePendingError(ProposalError):
    """The last configuration, or the leader's first entry, is not committed yet. Try again."""


class TransferPendingError(ProposalError):
    """Leadership is being handed to another node. Try there, or here again if that fails."""


class StoppedError(ProposalError):
    """The node has stopped and takes nothing any more."""
