"""A Raft consensus library without clock, socket or thread.

In go ticks, messages of other nodes and proposals; out come effects, in order: messages to send and
committed entries applied to a state machine. The central rule: **nothing that the node promises - a
term, a vote, that it holds an entry - comes out before it is durable.** The disk is reached through
`raft.filesystem` alone; when a tick is, how a message travels and which thread calls is the
caller's business.

The protocol is that of Ongaro and Ousterhout (2014) and of Ongaro's dissertation (2014); messages
and files are laid out in docs/formats.md, and what can go wrong is drawn in `raft.errors`.
"""

from raft.config import Config
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.node import Node
from raft.peer import Peer, PeerRole

__all__ = [
    "Config",
    "EntryType",
    "LogEntry",
    "Message",
    "MessageType",
    "Node",
    "Peer",
    "PeerRole",
]
