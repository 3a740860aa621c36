"""The invariants, watching a cluster of tests: every call of its nodes, and all that comes of it.

What a test does with its own hand - a message that nobody sent, a disk that is exchanged - no node
has done. A lost or rotten disk is told as such; with a forged message the watch ends, since from
then on the nodes see what cannot be.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from durability.invariants.events import Cause, ReadInvoked
from durability.invariants.observer import Observer, all_properties
from durability.simulation.account import Account
from durability.simulation.witness import Applied
from raft.config import Config
from raft.effects import Effect, ReadReady, SendMessage
from raft.filesystem import Filesystem
from raft.message import Message
from raft.node import Node
from tests.raft.disks import Disk
from tests.raft.journal import Journal


class Watch:
    """What is told of all nodes of a cluster, and judged; it raises where something is broken."""

    def __init__(self, config: Config) -> None:
        self.observer = Observer(
            all_properties(
                config.election_timeout_ticks_min,
                config.election_timeout_ticks_max,
                pre_vote=config.pre_vote,
            )
        )
        self.is_over = False
        self.index_of: dict[bytes, int] = {}
        self._running: dict[int, tuple[Disk, Account, Node]] = {}
        self._sent: set[tuple[int, Message]] = set()
        self._reads: list[object] = []

    def open(self, config: Config, journal: Journal, disk: Disk, filesystem: Filesystem) -> Node:
        """Start a process on a disk, which has lost something if it is not the one from before."""
        node_id = config.node_id
        before, account, _ = self._running.get(node_id, (None, None, None))
        if account is None or before is not disk:
            account = Account(node_id, disk, self.observer.observe)
        node = WatchedNode(self, account, config, journal, filesystem)
        self._running[node_id] = (disk, account, node)
        lost = before is not None and before is not disk
        account.start(node, WitnessedJournal(self, journal), lost=lost)
        return node

    def stop(self, node_id: int, *, is_power_cut: bool) -> None:
        """Note that a process has ended."""
        _, account, node = self._running[node_id]
        account.interrupt(node, Node.take_effects(node))  # which are told here and not once more
        account.stop(is_power_cut=is_power_cut)

    def call(self, node_id: int, account: Account, cause: Cause) -> None:
        """Note that a call of a node begins."""
        if isinstance(cause, Message) and (node_id, cause) not in self._sent:
            self.is_over = True
        account.call(cause)

    def read(self, node_id: int, context: object) -> None:
        """Note that a read is asked for."""
        self._reads.append(context)
        self.observer.observe(ReadInvoked(node_id, len(self._reads)))

    def tell(self, node: Node, account: Account, effects: Iterable[Effect]) -> None:
        """Tell what a node has done, and check that nothing is broken."""
        account.tell(node, [self._numbered(effect) for effect in effects])
        for effect in effects:
            if isinstance(effect, SendMessage):
                self._sent.add((effect.receiver, effect.message))
        assert self.is_over or not self.observer.violations, self.observer.violations

    def _numbered(self, effect: Effect) -> Effect:
        """Name a read by its number: the context may be anything, and the same as another's."""
        if not isinstance(effect, ReadReady):
            return effect
        number = max(n for n, context in enumerate(self._reads, 1) if context == effect.context)
        return ReadReady(number, effect.index)


class WatchedNode(Node):
    """A node that tells of each call, and of what came of it when its effects are taken."""

    def __init__(
        self,
        watch: Watch,
        account: Account,
        config: Config,
        journal: Journal,
        filesystem: Filesystem,
    ) -> None:
        self._watch = watch
        self._account = account
        super().__init__(config, journal, filesystem)

    def tick(self) -> None:
        self._watch.call(self.node_id, self._account, "tick")
        super().tick()

    def step(self, message: Message) -> None:
        self._watch.call(self.node_id, self._account, message)
        super().step(message)

    def read_index(self, context: object) -> None:
        self._watch.read(self.node_id, context)
        super().read_index(context)

    def take_effects(self) -> list[Effect]:
        effects = super().take_effects()
        self._watch.tell(self, self._account, effects)
        return effects

    def forget_leader(self, ticks: int) -> None:
        """Let so many ticks pass for the hearing of leaders, and for nothing else."""
        for _ in range(ticks):
            self._account.call("tick")
        self._member.election._ticks_since_leader += ticks


class WitnessedJournal:
    """A journal's commands since it was last asked, each with a digest of all up to it."""

    def __init__(self, watch: Watch, journal: Journal) -> None:
        self.applied: deque[Applied] = deque()
        self.restored: tuple[int, bytes] | None = None
        journal.on_apply = self._note
        journal.on_restore = self._note_restored
        self._watch = watch
        self._journal = journal
        if journal.commands:
            self._note_restored()

    def _note(self, index: int) -> None:
        digest = self._digest()
        self._watch.index_of.setdefault(digest, index)
        self.applied.append(Applied(index, digest, None, is_fresh=True))

    def _note_restored(self) -> None:
        digest = self._digest()
        self.restored = (self._watch.index_of.get(digest, 0), digest)

    def _digest(self) -> bytes:
        return blake2b(b"".join(_framed(self._journal.commands)), digest_size=16).digest()


def _framed(commands: Iterable[bytes]) -> Iterator[bytes]:
    for command in commands:
        yield b"%d:" % len(command)
        yield command
