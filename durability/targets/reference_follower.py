"""The built-in node as one of three voters, in the hands of a script that plays the other two.

It votes, follows, stores, takes snapshots in and acknowledges. What it reveals in its messages it
has promised: a vote, a term, an entry that it says it holds. Its recovery is elected by the script,
which grants it every vote, and shows all that the log and the snapshot hold.

A deposed leader's last entries are overwritten by its successor's, as Raft permits: they are
announced, since they may be there, but what is said of them is no acknowledgement.
"""

import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, Final

from durability.targets.contract import Call, Target
from durability.targets.item import SPEECH, name_of, say
from durability.targets.reference import Names
from raft import Config, EntryType, LogEntry, Message, MessageType, Node, Peer, PeerRole
from raft.effects import Applied, Effect, SendMessage
from raft.filesystem import Filesystem
from raft.peer import encode_peers

_STREAM_BYTES: Final = 48 * 1024
_NODE: Final = 1
_OTHERS: Final = (2, 3)
_CONFIG: Final = Config(
    node_id=_NODE,
    election_timeout_ticks_min=2,
    election_timeout_ticks_max=4,
    max_segment_bytes=6000,
    snapshot_threshold_entries=25,
    random_seed=1,
)
_PEERS: Final = tuple(Peer(n, PeerRole.VOTER, f"127.0.0.1:700{n}") for n in (_NODE, *_OTHERS))
_TICKS_MAX: Final = 100
_BATCHES: Final = 4
_BATCH_ENTRIES_MAX: Final = 3
_COMMAND_BYTES: Final = (16, 160)
_LARGE_COMMAND_BYTES: Final = 5000
_CHUNK_BYTES: Final = 400
_PREFIX: Final = struct.Struct("<QQI")
_LAST_COMMAND: Final = b"%08d after the crash" % (10**8 - 1)


def target() -> Target:
    """Return the node as a target."""
    return Target(
        name="reference-follower",
        workload=lambda directory: Call(partial(_work, directory)),
        recovery=lambda directory: Call(partial(_recover, directory)),
        recovers_by_call=True,
        speech=SPEECH,
        order="set",
        tear="byte",
        stream_bytes=_STREAM_BYTES,
        data="raft",
        recover_in_memory=_recover,
    )


def _work(directory: str) -> None:
    """Run the workload until killed; each term is another process's."""
    script = _Script()
    for number in count():
        with Node(_CONFIG, Names(), directory) as node:
            if not node.peers:
                node.bootstrap(_PEERS)
                say("bootstrapped")
            script.play(node, number)


class _Script:
    """The other two voters: their log, and what the node has told them."""

    def __init__(self) -> None:
        self._chance = random.Random(0)
        self._log = [LogEntry(1, 1, EntryType.CONFIGURATION, encode_peers(_PEERS))]
        self._names: list[str] = []
        self._acknowledged = 1
        self._term = 1
        self._revealed_term = 0
        self._number = 0

    def play(self, node: Node, number: int) -> None:
        """Elect one of the two, with the node's vote or without, and let it lead for a while."""
        self._term += 1
        leader = _OTHERS[number % 2]
        if number % 3:
            last = self._log[-1]
            self._tell(
                node,
                self._message(
                    MessageType.REQUEST_VOTE,
                    leader,
                    last_log_index=last.index,
                    last_log_term=last.term,
                    success=True,  # the leader before has handed over: no need to wait
                ),
            )
        self._append(node, leader, [LogEntry(self._term, len(self._log) + 1, EntryType.NOOP)])
        for _ in range(_BATCHES):
            self._append(node, leader, self._commands())
        match number % 4:
            case 1:
                self._depose(node, leader)
            case 3:
                self._depose(node, leader)
                self._install(node, leader)

    def _append(self, node: Node, leader: int, entries: list[LogEntry]) -> None:
        """Have the leader store a batch, and send it."""
        before = self._log[-1]
        self._log += entries
        self._announce(entries)
        self._tell(node, self._entries(leader, before, entries))

    def _depose(self, node: Node, leader: int) -> None:
        """Have the leader send entries that nobody else gets, and another take over."""
        before = self._log[-1]
        for size in (_LARGE_COMMAND_BYTES, None):  # so that a segment is to be removed with them
            doomed = self._commands(before.index, size)
            say(*(f"item {name_of(entry.data)}" for entry in doomed))
            self._tell(node, self._entries(leader, before, doomed))
            before = doomed[-1]
        self._term += 1

    def _install(self, node: Node, leader: int) -> None:
        """Have the leader store more than it sends, compact its log, and send the snapshot."""
        self._log.append(LogEntry(self._term, len(self._log) + 1, EntryType.NOOP))
        for _ in range(_BATCHES):
            entries = self._commands()
            self._log += entries
            self._announce(entries)
        last = self._log[-1]
        peers = encode_peers(_PEERS)
        stream = _PREFIX.pack(last.index, last.term, len(peers)) + peers
        stream += "".join(f"{name}\n" for name in self._names).encode()
        for start in range(0, len(stream), _CHUNK_BYTES):
            chunk = stream[start : start + _CHUNK_BYTES]
            self._tell(
                node,
                self._message(
                    MessageType.INSTALL_SNAPSHOT,
                    leader,
                    prev_log_index=last.index,
                    prev_log_term=last.term,
                    last_log_index=start,
                    last_log_term=len(stream),
                    success=start + len(chunk) == len(stream),
                    data=chunk,
                ),
            )

    def _commands(self, above: int | None = None, size: int | None = None) -> list[LogEntry]:
        """Return a batch of entries that follow the log, or an index; of a size, or drawn."""
        first = (self._log[-1].index if above is None else above) + 1
        entries: list[LogEntry] = []
        for index in range(first, first + self._chance.randint(1, _BATCH_ENTRIES_MAX)):
            self._number += 1
            data = b"%08d" % self._number
            data += self._chance.randbytes(size or self._chance.randint(*_COMMAND_BYTES))
            entries.append(LogEntry(self._term, index, EntryType.NORMAL, data))
        return entries

    def _announce(self, entries: list[LogEntry]) -> None:
        names = [name_of(entry.data) for entry in entries if entry.type is EntryType.NORMAL]
        self._names += names
        say(*(f"item {name}" for name in names))

    def _entries(self, leader: int, before: LogEntry, entries: list[LogEntry]) -> Message:
        return self._message(
            MessageType.APPEND_ENTRIES,
            leader,
            prev_log_index=before.index,
            prev_log_term=before.term,
            commit_index=before.index,
            entries_count=len(entries),
            data=b"".join(entry.encode() for entry in entries),
        )

    def _message(self, message_type: MessageType, sender: int, **fields: Any) -> Message:
        return Message(
            group_id=_CONFIG.group_id,
            type=message_type,
            sender=sender,
            term=self._term,
            **fields,
        )

    def _tell(self, node: Node, message: Message) -> None:
        """Deliver a message, and say what the node reveals in its answers."""
        node.step(message)
        for effect in node.take_effects():
            if isinstance(effect, SendMessage):
                self._hear(effect.receiver, effect.message, message)

    def _hear(self, receiver: int, answer: Message, request: Message) -> None:
        granted = answer.type is MessageType.REQUEST_VOTE_RESPONSE and answer.success
        if answer.term > self._revealed_term:
            self._revealed_term = answer.term
            say(f"vote {answer.term} {receiver if granted else 0}")
        held = 0
        if answer.type is MessageType.APPEND_ENTRIES_RESPONSE and answer.success:
            held = answer.last_log_index
        elif answer.type is MessageType.INSTALL_SNAPSHOT_RESPONSE and request.success:
            held = answer.prev_log_index
        # What a deposed leader sent is not in the log of these two, and not acknowledged.
        for entry in self._log[self._acknowledged : held]:
            if entry.type is EntryType.NORMAL:
                say(f"ack {name_of(entry.data)}")
        self._acknowledged = max(self._acknowledged, min(held, len(self._log)))


def _recover(directory: str | Filesystem) -> None:
    """Open the node, say what it has, have it elected and take one proposal."""
    machine = Names()
    with Node(_CONFIG, machine, directory) as node:
        say(
            f"state {node.current_term} {node.voted_for or 0} {node.commit_index}"
            f" {node.first_index} {node.last_index} {node.snapshot_index}"
        )
        fresh = not node.peers
        if fresh:
            node.bootstrap(_PEERS)
        _elect(node)
        say(*(f"item {name}" for name in machine.names))
        if fresh:
            say("bootstrapped")
        if node.is_leader:
            say(f"elected {node.current_term}")
            say(f"proposing {name_of(_LAST_COMMAND)}")
            node.propose(_LAST_COMMAND)
            node.sync()
            applied = (e.result for e in _answered(node) if isinstance(e, Applied))
            say(*(f"accepted {name}" for name in applied))


def _elect(node: Node) -> None:
    """Let time pass until the node leads and has committed its log."""
    for _ in range(_TICKS_MAX):
        node.tick()
        for _ in _answered(node):
            pass
        if node.is_leader and node.commit_index == node.last_index:
            return


def _answered(node: Node) -> Iterator[Effect]:
    """Yield a node's effects, answering its messages to one of the others as that one would.

    That one holds the same log: it votes for nobody who takes its last entry for another.
    """
    while effects := node.take_effects():
        for effect in effects:
            if isinstance(effect, SendMessage) and effect.receiver == _OTHERS[0]:
                answer = _ANSWERS.get(effect.message.type)
                last = effect.message.last_log_index, effect.message.last_log_term
                if effect.message.type in _VOTES and last[1] != node.term(last[0]):
                    answer = None
                if answer is not None:
                    node.step(answer(effect.message))
            yield effect


def _granted(response: MessageType, request: Message) -> Message:
    return Message(
        group_id=request.group_id,
        type=response,
        sender=_OTHERS[0],
        term=request.term,
        prev_log_index=request.reject_hint,
        last_log_index=request.prev_log_index + request.entries_count,
        success=True,
    )


_VOTES: Final = frozenset({MessageType.PRE_VOTE, MessageType.REQUEST_VOTE})
_ANSWERS: Final[dict[MessageType, Callable[[Message], Message]]] = {
    MessageType.PRE_VOTE: partial(_granted, MessageType.PRE_VOTE_RESPONSE),
    MessageType.REQUEST_VOTE: partial(_granted, MessageType.REQUEST_VOTE_RESPONSE),
    MessageType.APPEND_ENTRIES: partial(_granted, MessageType.APPEND_ENTRIES_RESPONSE),
}
