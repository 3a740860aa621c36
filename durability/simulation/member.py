"""A node of a simulated cluster: the machine that it runs on, and the process on it if it is up."""

from collections.abc import Callable

from durability.audit.violation import Violation
from durability.crash.models import Model
from durability.invariants.events import Cause
from durability.simulation.account import Account, Observe
from durability.simulation.action import Crash
from durability.simulation.disk import Disk, Interrupted, SimulatedFilesystem
from durability.simulation.witness import Witness
from raft import effects
from raft.config import Config
from raft.errors import ProposalError
from raft.message import Message
from raft.node import Node


class Member:
    """One node id: a disk for ever, and a process from time to time.

    `node` is None while it is down. `failures` are exceptions that no node may raise.
    """

    def __init__(self, config: Config, model: Model | None, observe: Observe) -> None:
        self.config = config
        self.disk = Disk(model)
        self.node: Node | None = None
        self.failures: list[Violation] = []
        self._account = Account(config.node_id, self.disk, observe)
        self._ordered = Crash(config.node_id)
        self._has_lost = False

    def start(self) -> None:
        """Start a process on the disk, and let it recover."""
        witness = Witness()
        try:
            node = Node(self.config, witness, SimulatedFilesystem(self.disk))
        except Interrupted:
            self.crash(self._ordered)
            return
        except Exception as error:  # noqa: BLE001 whatever it is, it is the finding
            self._fail("a node opens what it left behind", error)
            return
        self.node = node
        self._account.start(node, witness, lost=self._has_lost)
        self._has_lost = False

    def crash(self, crash: Crash) -> None:
        """End the process now; what the disk keeps is the kind of crash's to say."""
        if crash.power_cut:
            self.disk.cut_power(crash.survivors)
        else:
            self.disk.kill()
        self.node = None
        self._account.stop(is_power_cut=crash.power_cut)

    def rot(self, bit: int) -> None:
        """Flip a bit of what was known to be durable, if it is down and there is something."""
        places = self._account.durable.known_durable() if self.node is None else []
        bits = 8 * sum(len(place) for _, place in places)
        if bits == 0:
            return
        bit %= bits
        for name, place in places:
            if bit < 8 * len(place):
                self.disk.flip(name, 8 * place.start + bit)
                self._has_lost = True
                return
            bit -= 8 * len(place)

    def crash_later(self, crash: Crash) -> None:
        """End the process inside its disk operation after so many more."""
        self._ordered = crash
        self.disk.interrupt_after(crash.operations)

    def tick(self) -> list[effects.Effect]:
        """Let a tick pass."""
        return self.call(Node.tick, "tick")

    def step(self, message: Message) -> list[effects.Effect]:
        """Deliver a message."""
        return self.call(lambda node: node.step(message), message)

    def call(
        self, action: Callable[[Node], object], cause: Cause = "request"
    ) -> list[effects.Effect]:
        """Call the running node, tell what it did, and hand over its effects.

        A refusal is a possible outcome, and none of the node's doing.
        """
        node = self.node
        if node is None:
            return []
        self._account.call(cause)
        try:
            action(node)
        except ProposalError:
            pass
        except Interrupted:
            self._account.interrupt(node, node.take_effects())
            self.crash(self._ordered)
            return []
        except Exception as error:  # noqa: BLE001 whatever it is, it is the finding
            self._fail("no input makes a node raise", error)
            self.crash(Crash(self.config.node_id))
            return []
        taken = node.take_effects()
        self._account.tell(node, taken)
        return taken

    def _fail(self, guarantee: str, error: Exception) -> None:
        self.failures.append(
            Violation(
                kind="exception",
                invariant=guarantee,
                message=f"node {self.config.node_id} raised {type(error).__name__}: {error}",
            )
        )
