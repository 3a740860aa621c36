"""A node of a simulated cluster: the machine that it runs on, and the process on it if it is up."""

from collections.abc import Callable

from durability.audit.violation import Violation
from durability.invariants.events import Cause
from durability.simulation.account import Account, Observe
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

    def __init__(self, config: Config, observe: Observe) -> None:
        self.config = config
        self.disk = Disk()
        self.node: Node | None = None
        self.failures: list[Violation] = []
        self._account = Account(config.node_id, self.disk, observe)
        self._is_power_cut = False

    def start(self) -> None:
        """Start a process on the disk, and let it recover."""
        witness = Witness()
        try:
            node = Node(self.config, witness, SimulatedFilesystem(self.disk))
        except Interrupted:
            self.crash(power_cut=self._is_power_cut)
            return
        except Exception as error:  # noqa: BLE001 whatever it is, it is the finding
            self._fail("a node opens what it left behind", error)
            return
        self.node = node
        self._account.start(node, witness)

    def crash(self, *, power_cut: bool) -> None:
        """End the process; what the disk keeps is the kind of crash's to say."""
        if power_cut:
            self.disk.cut_power()
        else:
            self.disk.kill()
        self.node = None
        self._account.stop(is_power_cut=power_cut)

    def crash_later(self, operations: int, *, power_cut: bool) -> None:
        """End the process inside its disk operation after so many more."""
        self._is_power_cut = power_cut
        self.disk.interrupt_after(operations)

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
            self._account.interrupt()
            self.crash(power_cut=self._is_power_cut)
            return []
        except Exception as error:  # noqa: BLE001 whatever it is, it is the finding
            self._fail("no input makes a node raise", error)
            self.crash(power_cut=False)
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
