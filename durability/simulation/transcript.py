"""A run in words, for people to read and for tests to compare: what was done, and what came of it.

Ticks in which nothing happens are left out, and so is what only the invariants ask for.
"""

from durability.invariants.events import (
    Appended,
    Applied,
    Committed,
    Event,
    ReadServed,
    RoleChanged,
    Sent,
    SnapshotSaved,
    Started,
    StateRestored,
    Stopped,
    TermSaved,
    Truncated,
)
from raft.log_entry import LogEntry
from raft.message import Message, MessageType
from raft.peer import Peer


class Transcript:
    """The lines of a run: `note` what is done, `observe` what comes of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        """Write down what is done next."""
        self.lines.append(f"> {text}")

    def observe(self, event: Event) -> None:
        """Write down what happened, if it is for people."""
        text = describe_event(event)
        if text is not None:
            self.lines.append(f"  {text}")

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"


def describe_event(event: Event) -> str | None:
    """Say what happened; None where it only matters to the invariants."""
    text: str | None
    match event:
        case Sent(node, receiver, message):
            text = f"{node} -> {receiver}  {describe_message(message)}"
        case Applied(node, index, _, _, fresh):
            text = f"{node} applied {index}" + ("" if fresh else ", a repetition")
        case ReadServed(node, _, index):
            text = f"{node} answers a read as of {index}"
        case RoleChanged(node, role, term):
            text = f"{node} is {role} of term {term}"
        case Committed(node, index):
            text = f"{node} knows {index} to be committed"
        case Started(node, term, voted_for, snapshot, entries):
            last_index = entries[-1].index if entries else snapshot.index
            text = f"{node} starts in term {term}{_describe_vote(voted_for)}, log to {last_index}"
        case Stopped(node):
            text = f"{node} stops"
        case TermSaved(node, term, voted_for):
            text = f"{node} saves term {term}{_describe_vote(voted_for)}"
        case _:
            text = _describe_storage(event)
    return text


def _describe_vote(voted_for: int | None) -> str:
    return "" if voted_for is None else f", vote for {voted_for}"


def _describe_storage(event: Event) -> str | None:
    match event:
        case Appended(node, entry):
            return f"{node} stores {_describe_entry(entry)}"
        case Truncated(node, first_index):
            return f"{node} removes its log from {first_index} on"
        case SnapshotSaved(node, snapshot):
            return f"{node} saves a snapshot of {snapshot.index}/{snapshot.term}"
        case StateRestored(node, index):
            return f"{node} restores the state as of {index}"
    return None


def describe_message(message: Message) -> str:
    """Say what a message says: its type, its term, and the fields that its type uses."""
    name = "".join(part.capitalize() for part in message.type.name.split("_"))
    return f"{name} term {message.term}{_describe_fields(message)}"


def _describe_fields(message: Message) -> str:
    text = ""
    match message.type:
        case MessageType.APPEND_ENTRIES:
            entries = "".join(f" [{_describe_entry(entry)}]" for entry in message.entries())
            previous = f"{message.prev_log_index}/{message.prev_log_term}"
            text = f" after {previous} commit {message.commit_index}{entries}"
        case MessageType.APPEND_ENTRIES_RESPONSE if message.success:
            text = f" match {message.last_log_index}"
        case MessageType.APPEND_ENTRIES_RESPONSE:
            text = f" rejected, hint {message.reject_hint}"
        case MessageType.REQUEST_VOTE | MessageType.PRE_VOTE:
            text = f" last {message.last_log_index}/{message.last_log_term}"
        case MessageType.REQUEST_VOTE_RESPONSE | MessageType.PRE_VOTE_RESPONSE:
            text = " granted" if message.success else " refused"
        case MessageType.INSTALL_SNAPSHOT:
            end = message.last_log_index + len(message.data)
            text = (
                f" snapshot {message.prev_log_index}/{message.prev_log_term} "
                f"bytes {message.last_log_index} to {end} of {message.last_log_term}"
            )
        case MessageType.INSTALL_SNAPSHOT_RESPONSE:
            text = f" received {message.last_log_index}"
    return text


def _describe_entry(entry: LogEntry) -> str:
    name = entry.type.name.lower()
    if name == "configuration":
        name += " " + _describe_peers(entry.peers())
    return f"{entry.index}/{entry.term} {name}"


def _describe_peers(peers: tuple[Peer, ...]) -> str:
    return "{" + ", ".join(f"{peer.id} {peer.role.name.lower()}" for peer in peers) + "}"
