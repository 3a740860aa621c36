"""A cluster in one thread: members, the messages on their way, and the actions that move them.

It decides nothing. `durability.simulation.schedule` draws actions from a seed, a state machine of
Hypothesis from its own choices, a story from a script; here each is performed, and its effects are
told to the observer and folded into the digest of the run.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b

from durability.audit.violation import Violation
from durability.crash.models import Model
from durability.invariants.events import Acknowledged, Event, ReadInvoked
from durability.simulation.action import (
    Action,
    AddLearner,
    Crash,
    Deliver,
    Propose,
    Read,
    RemovePeer,
    Request,
    Restart,
    Rot,
    TakeSnapshot,
    Tick,
    Transfer,
)
from durability.simulation.member import Member
from durability.simulation.network import Way
from durability.simulation.options import Options
from raft import effects
from raft.config import Config
from raft.message import Message
from raft.node import Node
from raft.peer import Peer, PeerRole

GROUP_ID = 1


class Cluster:
    """Nodes 1 to `options.nodes`, bootstrapped alike, and as many more as are added.

    Args:
        options: how the nodes are set up.
        seed: makes their election timeouts.
        observe: is told every event.

    `in_flight` are the messages that are yet to be delivered: whoever decides that one is lost
    takes it out. `sent` are those that nobody has decided about. `session_ids` are those that were
    opened and acknowledged.
    """

    def __init__(self, options: Options, seed: int, observe: Callable[[Event], None]) -> None:
        self.in_flight: dict[Way, Message] = {}
        self.sent: list[Way] = []
        self.members: dict[int, Member] = {}
        self.session_ids: list[int] = []
        self._options = options
        self._seed = seed
        self._observe = observe
        self._digest = blake2b(digest_size=16)
        self._ordinals: Counter[tuple[int, int]] = Counter()
        self._proposed: dict[tuple[int, int], int] = {}
        self._reads = 0
        peers = tuple(
            Peer(node_id, PeerRole.VOTER, f"node-{node_id}")
            for node_id in range(1, options.nodes + 1)
        )
        for peer in peers:
            self._start_new(peer.id)
            self.members[peer.id].call(lambda node: node.bootstrap(peers))

    @property
    def digest(self) -> str:
        """A digest of all that was done and sent so far."""
        return self._digest.hexdigest()

    @property
    def failures(self) -> list[Violation]:
        """The exceptions that nodes raised."""
        return [failure for member in self.members.values() for failure in member.failures]

    def running(self) -> list[int]:
        """Return the ids of the nodes that are up."""
        return [node_id for node_id, member in self.members.items() if member.node is not None]

    def can_spare(self, node_id: int) -> bool:
        """Say whether the others hold together all that was committed, and can elect without it.

        That is so where all of them run, none has lost anything, and there are two voters more.
        """
        nodes = [member.node for other, member in self.members.items() if other != node_id]
        return (
            len(nodes) >= 2
            and all(node is not None and node.is_complete for node in nodes)
            and all(
                sum(peer.role is PeerRole.VOTER and peer.id != node_id for peer in node.peers) >= 2
                for node in nodes
                if node is not None
            )
        )

    def leader(self) -> Node | None:
        """Return the leader of the latest term among the running nodes."""
        return max(self.leaders(), key=lambda node: node.current_term, default=None)

    def leaders(self) -> list[Node]:
        """Return the running nodes that take themselves for leaders; one a term, at most."""
        return [
            member.node
            for member in self.members.values()
            if member.node is not None and member.node.is_leader
        ]

    def perform(self, action: Action) -> None:
        """Do one action, or nothing where it makes no sense now."""
        self._digest.update(repr(action).encode())
        node = action.receiver if isinstance(action, Deliver) else action.node
        if node not in self.members:
            return
        match action:
            case Tick(node):
                self._take(node, self.members[node].tick())
            case Deliver(sender, receiver, ordinal, again):
                self._deliver((sender, receiver, ordinal), again=again)
            case Crash() | Restart():
                self._crash_or_restart(action)
            case Rot(node, bit):
                self.members[node].rot(bit)
            case _:
                self._request(action)

    def _start_new(self, node_id: int) -> None:
        options = self._options
        config = Config(
            node_id=node_id,
            group_id=GROUP_ID,
            election_timeout_ticks_min=options.election_timeout_ticks_min,
            election_timeout_ticks_max=options.election_timeout_ticks_max,
            trailing_entries=options.trailing_entries,
            max_append_entries_bytes=options.max_append_entries_bytes,
            snapshot_chunk_bytes=options.snapshot_chunk_bytes,
            max_segment_bytes=options.max_segment_bytes,
            snapshot_threshold_entries=options.snapshot_threshold_entries,
            random_seed=self._seed % 2**64,
            pre_vote=options.pre_vote,
            # Not where nothing rots: there a repair would hide that something was lost.
            repair_from_peers=options.rot > 0,
        )
        model = None if options.model is None else Model.named(options.model)
        member = self.members[node_id] = Member(config, model, self._observe)
        member.start()

    def _deliver(self, way: Way, *, again: bool) -> None:
        message = self.in_flight.get(way)
        if message is not None:
            if not again:
                del self.in_flight[way]
            receiver = way[1]
            self._take(receiver, self.members[receiver].step(message))

    def _crash_or_restart(self, action: Crash | Restart) -> None:
        member = self.members[action.node]
        match action:
            case Crash(operations=None):
                member.crash(action)
            case Crash():
                member.crash_later(action)
            case Restart() if member.node is None:
                member.start()

    def _request(self, action: Request) -> None:
        match action:
            case Propose(node, command):
                self._propose(node, command)
            case Read(node):
                self._read(node)
            case TakeSnapshot(node):
                self._call(node, Node.take_snapshot)
            case Transfer(node, receiver):
                self._call(node, lambda running: running.transfer_leadership(receiver))
            case AddLearner(node, peer_id):
                self._add(node, peer_id)
            case RemovePeer(node, peer_id):
                self._call(node, lambda running: running.remove_peer(peer_id))

    def _call(self, node_id: int, action: Callable[[Node], object]) -> None:
        self._take(node_id, self.members[node_id].call(action))

    def _propose(self, node_id: int, command: bytes) -> None:
        def propose(node: Node) -> None:
            index = node.propose(command)
            self._proposed[node_id, index] = node.current_term

        self._call(node_id, propose)

    def _read(self, node_id: int) -> None:
        self._reads += 1
        request = self._reads
        self._observe(ReadInvoked(node_id, request))
        self._call(node_id, lambda node: node.read_index(request))

    def _add(self, node_id: int, peer_id: int) -> None:
        if peer_id not in self.members:
            self._start_new(peer_id)
        peer = Peer(peer_id, PeerRole.LEARNER, f"node-{peer_id}")
        self._call(node_id, lambda node: node.add_peer(peer))

    def _take(self, node_id: int, taken: Sequence[effects.Effect]) -> None:
        for effect in taken:
            match effect:
                case effects.SendMessage(receiver, message):
                    self._send(node_id, receiver, message)
                case effects.Applied(index, term, result):
                    # Whoever proposed it learns by its term whether it is his.
                    if self._proposed.pop((node_id, index), None) == term:
                        self._observe(Acknowledged(index, term))
                        if type(result) is int:
                            self.session_ids.append(result)

    def _send(self, sender: int, receiver: int, message: Message) -> None:
        ordinal = self._ordinals[sender, receiver]
        self._ordinals[sender, receiver] += 1
        way = (sender, receiver, ordinal)
        self.in_flight[way] = message
        self.sent.append(way)
        self._digest.update(b"%d>%d" % (sender, receiver))
        self._digest.update(message.encode())
