"""P21, the effective configuration is the last one in log and snapshot.

Source: Raft paper, section 6; Ongaro 2014, section 4.1.
Formal: after every call and every recovery, peers(n) = the configuration of the last configuration
entry in the durable log of n, or its snapshot's where there is none.
Cost: O(peers) a call.
"""

from durability.invariants.events import Event, Returned, Started
from durability.invariants.property import Property
from durability.invariants.record import Record
from raft.log_entry import EntryType
from raft.peer import Peer


class EffectiveConfiguration(Property):
    """A configuration that was truncated is rolled back; one kept elsewhere does not count."""

    id = "P21"
    guarantee = "a server always uses the latest configuration in its log, committed or not"
    watches = (Started, Returned)

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge the configuration that a node uses."""
        match event:
            case Started(node, peers=peers, snapshot=snapshot, entries=entries):
                expected = snapshot.peers
                for entry in entries:
                    if entry.type is EntryType.CONFIGURATION:
                        expected = entry.peers()
            case Returned(node, peers=peers):
                expected = record.node(node).peers
            case _:
                return None
        if peers == expected:
            return None
        return f"node {node} uses {_names(peers)}; the latest in its log is {_names(expected)}"


def _names(peers: tuple[Peer, ...]) -> str:
    return "{" + ", ".join(f"{peer.id} {peer.role.name.lower()}" for peer in peers) + "}"
