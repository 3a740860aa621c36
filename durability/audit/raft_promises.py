"""What a Raft node promised beyond items: its term, its vote, its place in the configuration.

The node under test prints, besides `item ID` and `ack ID` (`ledger.py`):

    bootstrapped                  its bootstrap is durable
    vote TERM CANDIDATE           this term and vote are durable; CANDIDATE 0: the term, no vote yet

and its recovery, in this order:

    state TERM VOTED_FOR COMMIT FIRST LAST SNAPSHOT     what it recovered; VOTED_FOR 0: no vote
    item ID                                             each recovered command
    bootstrapped                                        only where the directory was fresh
    elected TERM                                        it leads again
    proposing ID                                        it may be there from here on
    accepted ID                                         the proposal was committed

Node ids and terms begin with 1; all numbers are decimal.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from durability.audit.guarantees import breach
from durability.audit.recovered import DirectoryAudit
from durability.audit.violation import Violation


@dataclass(frozen=True)
class _Vote:
    """A term, and the vote in it: None while the node has not voted."""

    term: int
    candidate: int | None


@dataclass(frozen=True)
class _State:
    """The node's own report of what it recovered."""

    vote: _Vote
    commit_index: int
    last_index: int
    snapshot_index: int


@dataclass(frozen=True)
class _Recovery:
    """What the recovery printed; None for a line that never came."""

    state: _State | None
    bootstrapped: bool
    elected_term: int | None
    accepted: str | None


class RaftPromises:
    """The promises of one run, in the order in which they were heard."""

    def __init__(self) -> None:
        self.bootstrapped = False
        self._votes: list[_Vote] = []

    def hear(self, line: str) -> None:
        """Take one complete line of the workload; other lines than those above are not ours."""
        match line.split():
            case ["bootstrapped"]:
                self.bootstrapped = True
            case ["vote", term, candidate] if _are_numbers(term, candidate):
                self._votes.append(_Vote(int(term), int(candidate) or None))

    def hear_recovery(self, line: str) -> None:
        """Take one complete line of a recovery that a crash has ended: what it said stands."""
        self.hear(line)
        match line.split():
            case ["state", term, voted_for, *_] if _are_numbers(term, voted_for):
                self._votes.append(_Vote(int(term), int(voted_for) or None))
            case ["elected", term] if _are_numbers(term):
                self._votes.append(_Vote(int(term), None))

    def judge(
        self, recovered_lines: Iterable[str], before: DirectoryAudit, after: DirectoryAudit
    ) -> list[Violation]:
        """Return what was broken, at most one violation of each kind.

        `before` is the directory at rest after the kill, `after` the one that recovery, an election
        and one more proposal made of it. What they say by themselves is not repeated here, and
        where one could not be read it is not compared.
        """
        recovery = _read_recovery(recovered_lines)
        first_of_kind: dict[str, Violation] = {}
        for violation in (
            *self._judge_votes(recovery, before, after),
            *self._judge_membership(recovery, before, after),
            *_judge_report(recovery, before),
            *self._judge_election(recovery, before, after),
        ):
            first_of_kind.setdefault(violation.kind, violation)
        return list(first_of_kind.values())

    def _judge_votes(
        self, recovery: _Recovery, before: DirectoryAudit, after: DirectoryAudit
    ) -> Iterator[Violation]:
        """Walk all that showed a term and vote, in order: terms never fall, votes never change."""
        shown = [("the node before the kill", vote) for vote in self._votes]
        if _is_readable(before):
            shown.append(("the directory at rest", _Vote(before.term, before.voted_for)))
        if recovery.state is not None:
            shown.append(("the recovered node", recovery.state.vote))
        if recovery.elected_term is not None and after.node_id is not None:
            shown.append(("the elected node", _Vote(recovery.elected_term, after.node_id)))
        if _is_readable(after):
            shown.append(("the directory after recovery", _Vote(after.term, after.voted_for)))
        highest, shown_by = _Vote(0, None), ""
        for where, vote in shown:
            if vote.term < highest.term:
                yield breach(
                    "term-regressed",
                    f"{where} is in term {vote.term}, after {shown_by} was in {highest.term}",
                )
            elif vote.term == highest.term and highest.candidate not in {None, vote.candidate}:
                yield breach(
                    "vote-changed",
                    f"in term {vote.term} {where} has {_name(vote.candidate)}, after {shown_by}"
                    f" had {_name(highest.candidate)}",
                )
            else:
                highest, shown_by = vote, where

    def _judge_membership(
        self, recovery: _Recovery, before: DirectoryAudit, after: DirectoryAudit
    ) -> Iterator[Violation]:
        if self.bootstrapped and recovery.bootstrapped:
            yield breach("not-a-member", "recovery found a fresh node and bootstrapped it again")
        if self.bootstrapped and not _is_member(before):
            yield breach("not-a-member", _membership(before, "at rest"))
        if (self.bootstrapped or recovery.bootstrapped) and not _is_member(after):
            yield breach("not-a-member", _membership(after, "after recovery"))

    def _judge_election(
        self, recovery: _Recovery, before: DirectoryAudit, after: DirectoryAudit
    ) -> Iterator[Violation]:
        known_term = max([before.term, *(vote.term for vote in self._votes)])
        if recovery.elected_term is None:
            yield breach("not-elected", f"no election was reported, the term was {known_term}")
        elif recovery.elected_term <= known_term:
            yield breach(
                "not-elected",
                f"elected in term {recovery.elected_term}, the term was {known_term} before",
            )
        if recovery.accepted is None:
            yield breach("not-accepting", "no proposal was accepted after recovery")
        elif _is_readable(after) and after.last_index <= before.last_index:
            yield breach(
                "not-accepting",
                f"proposal {recovery.accepted} was accepted, but the log ends at"
                f" {after.last_index} and ended at {before.last_index} before",
            )


def proposed(line: str) -> str | None:
    """Return the item that a recovery says it is about to propose; None for any other line."""
    match line.split():
        case ["proposing", item]:
            return item
    return None


def accepted(line: str) -> str | None:
    """Return the item that a recovery says was committed; None for any other line."""
    match line.split():
        case ["accepted", item]:
            return item
    return None


def _judge_report(recovery: _Recovery, before: DirectoryAudit) -> Iterator[Violation]:
    """The node's report against a second opinion on the same bytes."""
    state = recovery.state
    if state is None:
        yield breach("report-disagrees", "recovery did not report its state")
        return
    if state.commit_index > state.last_index:
        yield breach(
            "commit-beyond-log",
            f"the node reports commit index {state.commit_index}, last index {state.last_index}",
        )
    if before.verdict == "violation":
        return
    differences = [
        f"{name} {reported}, the directory holds {held}"
        for name, reported, held in (
            ("term", state.vote.term, before.term),
            ("vote", state.vote.candidate, before.voted_for),
            ("last index", state.last_index, before.last_index),
            ("snapshot index", state.snapshot_index, before.snapshot_index),
        )
        if reported != held
    ]
    if differences:
        yield breach("report-disagrees", f"the node reports {'; '.join(differences)}")


def _read_recovery(lines: Iterable[str]) -> _Recovery:
    state: _State | None = None
    bootstrapped = False
    elected_term: int | None = None
    accepted: str | None = None
    for line in lines:
        match line.split():
            case ["state", *numbers] if len(numbers) == 6 and _are_numbers(*numbers):
                term, voted_for, commit, _first, last, snapshot = map(int, numbers)
                state = _State(_Vote(term, voted_for or None), commit, last, snapshot)
            case ["bootstrapped"]:
                bootstrapped = True
            case ["elected", term] if _are_numbers(term):
                elected_term = int(term)
            case ["accepted", item]:
                accepted = item
    return _Recovery(state, bootstrapped, elected_term, accepted)


def _are_numbers(*words: str) -> bool:
    return all(word.isascii() and word.isdecimal() for word in words)


def _is_readable(audit: DirectoryAudit) -> bool:
    """Tell whether the metadata was read; a directory without any has honestly none."""
    return audit.node_id is not None or audit.verdict != "violation"


def _is_member(audit: DirectoryAudit) -> bool:
    return not _is_readable(audit) or audit.node_id in {peer.id for peer in audit.peers}


def _membership(audit: DirectoryAudit, when: str) -> str:
    return f"{when} node {audit.node_id} has the configuration {[peer.id for peer in audit.peers]}"


def _name(candidate: int | None) -> str:
    return "no vote" if candidate is None else f"a vote for {candidate}"
