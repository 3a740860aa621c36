"""P13, reads by read index are linearizable.

Source: Ongaro 2014, section 6.4.
Formal: floor(r) = commit_hi at the invocation of r; ReadServe(r, index) at n => index >= floor(r)
and every command up to index is applied at n.
Cost: O(1) an event.

What the read returns is not judged here: P19 says that equal positions are equal states.
"""

from durability.invariants.events import Event, ReadInvoked, ReadServed
from durability.invariants.property import Property
from durability.invariants.record import Record


class ReadIndex(Property):
    """The floor is strict: everything committed anywhere before the read began."""

    id = "P13"
    guarantee = "a read reflects every command that was acknowledged before the read began"
    watches = (ReadInvoked, ReadServed)

    def __init__(self) -> None:
        self._floor: dict[int, int] = {}

    def judge(self, record: Record, event: Event) -> str | None:
        """Judge what a read is answered from."""
        match event:
            case ReadInvoked(_, request):
                self._floor[request] = record.committed_index
            case ReadServed(node, request, index):
                floor = self._floor.pop(request)
                if index < floor:
                    return f"node {node} read at {index}; {floor} was committed before it began"
                missing = record.node(node).first_command(record.node(node).last_applied, index)
                if missing is not None:
                    return f"node {node} read at {index} without having applied {missing}"
        return None
