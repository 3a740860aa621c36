"""The built-in target: our own Raft node as a single voter, forked from the warmed process.

Its endless workload bootstraps, elects itself and proposes commands one by one, in small batches
and now and then one that is larger than a page; segments rotate, snapshots compact the log, and the
node is closed and opened again. What it prints is what `durability.audit.raft_promises` reads.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Final

from durability.targets.contract import Call, Target
from durability.targets.item import SPEECH, contents, name_of, say
from raft import Config, Node, Peer, PeerRole
from raft.effects import Applied, RoleChanged
from raft.election import Role
from raft.filesystem import Filesystem

STREAM_BYTES: Final = 48 * 1024
"""How far the stream is explored: several segments, snapshots and restarts."""

_CONFIG: Final = Config(
    node_id=1,
    election_timeout_ticks_min=2,
    election_timeout_ticks_max=4,
    max_segment_bytes=9000,
    snapshot_threshold_entries=40,
    random_seed=1,
)
_PEERS: Final = (Peer(1, PeerRole.VOTER, "127.0.0.1:7001"),)
_BATCH_COMMANDS_MAX: Final = 3
_RESTART_EVERY: Final = 30
_RUNS_IN_MEMORY: Final = 2
_TICKS_MAX: Final = 100
_LAST_COMMAND: Final = b"%08d after the crash" % (10**8 - 1)


def target() -> Target:
    """Return the built-in node as a target."""
    return of("reference", contents, STREAM_BYTES)


def of(name: str, commands: Callable[[], Iterator[bytes]], stream_bytes: int) -> Target:
    """Return the built-in node as a target that takes these commands, without end."""
    return Target(
        name=name,
        workload=lambda directory: Call(partial(_work, commands, directory)),
        recovery=lambda directory: Call(partial(_recover, directory)),
        recovers_by_call=True,
        speech=SPEECH,
        tear="byte",
        stream_bytes=stream_bytes,
        data="raft",
        recover_in_memory=_recover,
        work_in_memory=lambda filesystem: _work(commands, filesystem, runs=_RUNS_IN_MEMORY),
    )


class Names:
    """A state machine that remembers the name of each command, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def apply(self, index: int, command: bytes) -> str:
        """Append the command's name and return it."""
        del index
        name = name_of(command)
        self.names.append(name)
        return name

    def snapshot(self) -> list[bytes]:
        """Return the names, a line each."""
        return ["".join(f"{name}\n" for name in self.names).encode()]

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Take the names from a snapshot."""
        self.names = b"".join(chunks).decode().splitlines()


def _work(
    endless: Callable[[], Iterator[bytes]], directory: str | Filesystem, runs: int | None = None
) -> None:
    """Run the workload until killed, or so many times from start to close."""
    commands = endless()
    chance = random.Random(1)
    for _ in count() if runs is None else range(runs):
        with Node(_CONFIG, Names(), directory) as node:
            if not node.peers:
                node.bootstrap(_PEERS)
                say("bootstrapped")
            _elect(node)
            for _ in range(_RESTART_EVERY):
                batch = [next(commands) for _ in range(chance.randint(1, _BATCH_COMMANDS_MAX))]
                say(*(f"item {name_of(command)}" for command in batch))
                node.propose_many(batch)
                say(*(f"ack {name}" for name in _applied(node)))


def _recover(directory: str | Filesystem) -> None:
    """Open the node, say what it has, have it lead again and take one proposal."""
    machine = Names()
    with Node(_CONFIG, machine, directory) as node:
        say(
            f"state {node.current_term} {node.voted_for or 0} {node.commit_index}"
            f" {node.first_index} {node.last_index} {node.snapshot_index}"
        )
        fresh = not node.peers
        if fresh:
            node.bootstrap(_PEERS)
        _elect(node, quietly=True)
        say(*(f"item {name}" for name in machine.names))
        if fresh:
            say("bootstrapped")
        if node.is_leader:
            say(f"elected {node.current_term}")
            say(f"proposing {name_of(_LAST_COMMAND)}")
            node.propose(_LAST_COMMAND)
            say(*(f"accepted {name}" for name in _applied(node)))


def _elect(node: Node, *, quietly: bool = False) -> None:
    """Let time pass until the node leads; say each vote, which is durable by then."""
    for _ in range(_TICKS_MAX):
        node.tick()
        for effect in node.take_effects():
            if not quietly and isinstance(effect, RoleChanged) and effect.role is Role.CANDIDATE:
                say(f"vote {effect.term} {node.node_id}")
        if node.is_leader:
            return


def _applied(node: Node) -> list[str]:
    return [str(e.result) for e in node.take_effects() if isinstance(e, Applied)]
