"""The states that nodes of a small world can be in, and how inputs lead from one to the next.

A node's state is known by a number. It is found out once by running the real node, kept pickled,
and identified by its **form**: everything in the node that decides what it does next, but for its
clocks, its disk (which holds what its log and metadata hold, durable or not) and what is the same
in all states.

Node ids are large numbers that are nothing else, so that a form can be rewritten to other ids.
"""

import io
import pickle
import random
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum
from itertools import permutations
from typing import Any, Literal

from durability.simulation.disk import Disk, SimulatedFilesystem
from raft import effects
from raft.config import Config
from raft.election import Role
from raft.examples.kv import KeyValueStore
from raft.log_entry import LogEntry
from raft.membership import Membership
from raft.message import Message, MessageType
from raft.node import Node
from raft.peer import Peer, PeerRole
from raft.storage import Storage

NODE_IDS = (1_000_001, 1_000_002, 1_000_003)

Input = tuple[Literal["timeout", "deliver", "crash", "propose", "heartbeat"], int]
"""What happens to a node, and the message's number, or how often it happens."""

# Every timeout drawn is the longest: a node can forget its leader long before it stands itself.
_TICKS_MIN = 2
_TICKS_MAX = 12
_CLOCKS = ("_ticks_left", "_ticks_since_leader", "_heartbeat_ticks_left", "_quorum_ticks_left")
_STANDING = (Role.PRE_CANDIDATE, Role.CANDIDATE)
_VOTES = (MessageType.REQUEST_VOTE, MessageType.PRE_VOTE)
_SAME_IN_ALL = (Config, Storage, Membership, KeyValueStore, Counter, random.Random)


@dataclass(frozen=True, slots=True)
class Facts:
    """What properties are about. `log` holds the numbers of the entries, from index 1 on.

    A power cut leaves those up to `durable_index`.
    """

    term: int
    voted_for: int | None
    is_leader: bool
    commit_index: int
    durable_index: int
    log: tuple[int, ...]

    @property
    def durable_log(self) -> tuple[int, ...]:
        """The entries that no crash takes away."""
        return self.log[: self.durable_index]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state that an input leads to, and the messages that were sent, in order."""

    state: int
    sent: tuple[int, ...]


class NodeStates:
    """All states, entries and messages met so far, by number.

    `renamings` are the ways to call the nodes by each other's names: (old by new, new by old).
    `node_names` and `message_names` number what a state or a message is under each of them, so that
    what is equal up to a renaming shares a name. `ways` are the (sender, receiver) of messages.
    """

    def __init__(self, nodes: int, *, pre_vote: bool) -> None:
        self.facts: list[Facts] = []
        self.ways: list[tuple[int, int]] = []
        self.node_names: list[list[int]] = []
        self.message_names: list[list[int]] = []
        self.renamings = tuple(
            (olds, tuple(sorted(range(nodes), key=olds.__getitem__)))
            for olds in permutations(range(nodes))
        )
        self._pickled: list[bytes] = []
        self._numbers: dict[Any, int] = {}
        self._outcomes: dict[tuple[int, Input], Outcome] = {}
        self._entries: dict[LogEntry, int] = {}
        self._entry_terms: list[int] = []
        self._messages: list[Message] = []
        self._message_numbers: dict[tuple[int, int, Message], int] = {}
        self._names: dict[Any, int] = {}
        self._configs = tuple(_config(node_id, pre_vote=pre_vote) for node_id in NODE_IDS[:nodes])
        self.initial = tuple(self._bootstrap(config) for config in self._configs)

    def outcome(self, state: int, given: Input) -> Outcome:
        """Say what an input does to a node in this state."""
        known = self._outcomes.get((state, given))
        if known is None:
            known = self._outcomes[state, given] = self._run(state, given)
        return known

    def describe(self, message: int) -> str:
        """Say what a message is, for people."""
        sender, receiver = self.ways[message]
        content = self._messages[message]
        name = content.type.name.replace("_", " ").capitalize()
        detail = f"term {content.term}"
        if content.entries_count:
            entries = ", ".join(f"{e.index} of term {e.term}" for e in content.entries())
            detail += f", entry {entries}"
        if content.type.name.endswith("RESPONSE"):
            detail += ", yes" if content.success else ", no"
        return f"{name} ({detail}) from node {sender + 1} to node {receiver + 1}"

    def entry_term(self, entry: int) -> int:
        """Say of which term an entry is."""
        return self._entry_terms[entry]

    def _bootstrap(self, config: Config) -> int:
        disk = Disk()
        node = Node(config, KeyValueStore(), SimulatedFilesystem(disk))
        peers = [Peer(each.node_id, PeerRole.VOTER, "") for each in self._configs]
        node.bootstrap(peers)
        node.take_effects()
        return self._number(node, disk)

    def _run(self, state: int, given: Input) -> Outcome:
        node, disk = self._load(state)
        kind, number = given
        taken: list[effects.Effect] = []
        match kind:
            case "timeout":
                for _ in range(number):
                    taken = _time_out(node)
            case "deliver":
                message = self._messages[number]
                if message.type in _VOTES and node.leader_id is not None and not node.is_leader:
                    # It would refuse as long as it hears its leader, and has not for a while.
                    for _ in range(_TICKS_MIN):
                        node.tick()
                    node.take_effects()
                node.step(message)
            case "propose":
                node.propose(b"")
            case "heartbeat":
                node.tick()
            case "crash":
                disk.cut_power()
                config = self._configs[NODE_IDS.index(node.node_id)]
                node = Node(config, KeyValueStore(), SimulatedFilesystem(disk))
        sender = NODE_IDS.index(node.node_id)
        sent = tuple(
            self._number_message(sender, NODE_IDS.index(effect.receiver), effect.message)
            for effect in (*taken, *node.take_effects())
            if isinstance(effect, effects.SendMessage)
        )
        return Outcome(self._number(node, disk), sent)

    def _number(self, node: Node, disk: Disk) -> int:
        log = []
        for index in range(node.first_index, node.last_index + 1):
            entry = node.entry(index)
            if entry not in self._entries:
                self._entries[entry] = len(self._entry_terms)
                self._entry_terms.append(entry.term)
            log.append(self._entries[entry])
        facts = Facts(
            node.current_term,
            node.voted_for,
            node.is_leader,
            node.commit_index,
            node.durable_index,
            tuple(log),
        )
        form = (
            node.node_id,
            facts.term,
            facts.voted_for,
            facts.durable_index,
            facts.log,
            _form(node, {}),
        )
        number = self._numbers.get(form)
        if number is None:
            number = self._numbers[form] = len(self.facts)
            self.facts.append(facts)
            self.node_names.append([self._name(form, news) for _, news in self.renamings])
            self._pickled.append(self._dump(node, disk))
        return number

    def _number_message(self, sender: int, receiver: int, message: Message) -> int:
        key = (sender, receiver, message)
        number = self._message_numbers.get(key)
        if number is None:
            number = self._message_numbers[key] = len(self._messages)
            self._messages.append(message)
            self.ways.append((sender, receiver))
            form = _form(message, {})
            self.message_names.append(
                [
                    self._name((news[sender], news[receiver], form), news)
                    for _, news in self.renamings
                ]
            )
        return number

    def _name(self, form: Any, news: tuple[int, ...]) -> int:
        names = {NODE_IDS[old]: NODE_IDS[new] for old, new in enumerate(news)}
        return self._names.setdefault(_rename(form, names), len(self._names))

    def _dump(self, node: Node, disk: Disk) -> bytes:
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=5).dump((node, disk))
        return buffer.getvalue()

    def _load(self, state: int) -> tuple[Node, Disk]:
        loaded: tuple[Node, Disk] = _Unpickler(io.BytesIO(self._pickled[state])).load()
        return loaded


def _config(node_id: int, *, pre_vote: bool) -> Config:
    return Config(
        node_id=node_id,
        election_timeout_ticks_min=_TICKS_MIN,
        election_timeout_ticks_max=_TICKS_MAX,
        max_append_entries_bytes=1,  # one entry a message: batches would hide what is between
        snapshot_threshold_entries=None,
        random_seed=0,
        pre_vote=pre_vote,
    )


def _time_out(node: Node) -> list[effects.Effect]:
    """Let ticks pass until the node stands for election, a leader after it has given up.

    Returns the effects of the last tick: what was sent before is lost. Nothing comes of it where
    the node may not stand.
    """
    for _ in range(4 * _TICKS_MAX):
        node.tick()
        taken = node.take_effects()
        for effect in taken:
            if isinstance(effect, effects.RoleChanged) and effect.role in _STANDING:
                return taken
    return []


def _form(value: Any, seen: dict[int, int]) -> Any:
    """Write a value down as nested tuples; an object met again is the number of its first time."""
    if isinstance(value, _SAME_IN_ALL) or callable(value):
        return None
    form: Any
    match value:
        case None | int() | str() | bytes() | Enum():
            form = value
        case list() | tuple() | deque():
            form = tuple([_form(each, seen) for each in value])
        case set() | frozenset():
            form = ("set", *sorted(value))
        case dict():
            form = ("dict", *sorted((key, _form(each, seen)) for key, each in value.items()))
        case _ if id(value) in seen:
            form = seen[id(value)]
        case _:
            seen[id(value)] = len(seen)
            names = getattr(value, "__slots__", None) or sorted(vars(value))
            deciding = [name for name in names if name not in _CLOCKS]
            form = tuple([_form(getattr(value, name), seen) for name in deciding])
    return form


def _rename(form: Any, names: dict[int, int]) -> Any:
    """Write a form down anew with other node ids."""
    if not isinstance(form, tuple):
        return names.get(form, form) if type(form) is int else form
    renamed = [_rename(each, names) for each in form]
    if renamed and renamed[0] in ("set", "dict"):
        return (renamed[0], *sorted(renamed[1:]))
    return tuple(renamed)


class _Longest(random.Random):
    def randint(self, _: int, b: int) -> int:
        return b


_LONGEST = _Longest(0)


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> str | None:
        return "random" if isinstance(value, random.Random) else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, _: str) -> random.Random:
        return _LONGEST
