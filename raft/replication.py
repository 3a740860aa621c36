"""Replication: how far the leader knows the log to be stored on whom. Pure logic."""

from collections.abc import Collection


class Replication:
    """A leader's knowledge in one term: the `match_index` of each node, its own included."""

    def __init__(self) -> None:
        self._match_index: dict[int, int] = {}

    def stored(self, node_id: int, index: int) -> None:
        """Note that a node has stored, durably, every entry up to `index`."""
        self._match_index[node_id] = max(index, self._match_index.get(node_id, 0))

    def quorum_index(self, voters: Collection[int]) -> int:
        """Say up to which index a majority of `voters`, at least one, has stored the log."""
        matches = sorted((self._match_index.get(voter, 0) for voter in voters), reverse=True)
        return matches[len(matches) // 2]
