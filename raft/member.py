"""One member's part in the protocol: which message concerns it, who leads, whom it votes for.

The rules of the Raft paper (figure 2), with what experience has added:

- A message of a later term makes its receiver a follower in that term, and one of an earlier term
  is refused or dropped: an answer to what was asked in another term counts for nothing.
- Before it raises its term a node asks whether it would be elected (pre-vote, Ongaro 2014, section
  9.6). Asking and granting change nothing on either side. A refusal carries the term of who
  refuses, and raises the one who asked: else a node with the longer log and one with the higher
  term could refuse each other for ever (etcd issue 8243).
- A vote or pre-vote is refused, and the term not raised, as long as a leader is heard: who alone
  cannot hear it, or was removed and does not know, does not force it down (section 4.2.3). The
  exception is a vote for whom the leader has handed over to, which says so in `success`.
- Who is not a member is granted nothing and disturbs no term: of no configuration that may be in
  effect, since those who hold different changes, none of them committed, could refuse each other
  for ever. Only what a leader sends is taken from anybody: a node that is new, or has been away,
  does not know the members yet.
- Who may lack entries that it has acknowledged votes for nobody, itself included, until a leader
  has brought them back (`Metadata.is_complete`).
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum

from raft.effects import RoleChanged
from raft.election import Election, Role
from raft.errors import DecodeError
from raft.follower import Follower
from raft.leader import Leader
from raft.message import Message, MessageType
from raft.replica import Replica

# No group comes near it by elections; beyond it the next term might not be a u64.
MAX_TERM = 2**63

_RESPONSES = {
    MessageType.APPEND_ENTRIES: MessageType.APPEND_ENTRIES_RESPONSE,
    MessageType.INSTALL_SNAPSHOT: MessageType.INSTALL_SNAPSHOT_RESPONSE,
    MessageType.REQUEST_VOTE: MessageType.REQUEST_VOTE_RESPONSE,
    MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESPONSE,
}
_FROM_A_LEADER = frozenset({MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT})
_VOTES = frozenset({MessageType.REQUEST_VOTE, MessageType.PRE_VOTE})
# A vote is one write with its term, and a pre-vote is about a term that nobody is in yet.
_NOT_ENTERED_BEFORE = _VOTES | {MessageType.PRE_VOTE_RESPONSE}


class DropReason(Enum):
    """Why a message was dropped without any other effect than being counted."""

    OTHER_GROUP = "other group"
    NOT_A_MEMBER = "not a member"
    FROM_ITSELF = "from itself"
    STALE = "of an earlier term"
    UNEXPECTED = "not expected in this role"
    MALFORMED = "not what such a node sends"


class Member:
    """A replica that takes part in elections, and leads or follows accordingly."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.election = Election(replica.config)
        self.leader: Leader | None = None
        self.dropped_messages: Counter[DropReason] = Counter()
        self._follower = Follower(replica)
        self._handlers: dict[MessageType, Callable[[Message], DropReason | None]] = {
            MessageType.APPEND_ENTRIES: self._on_leaders_request,
            MessageType.APPEND_ENTRIES_RESPONSE: self._on_answer,
            MessageType.REQUEST_VOTE: self._on_request_vote,
            MessageType.REQUEST_VOTE_RESPONSE: self._on_vote,
            MessageType.INSTALL_SNAPSHOT: self._on_leaders_request,
            MessageType.INSTALL_SNAPSHOT_RESPONSE: self._on_answer,
            MessageType.PRE_VOTE: self._on_pre_vote,
            MessageType.PRE_VOTE_RESPONSE: self._on_pre_vote_response,
            MessageType.TIMEOUT_NOW: self._on_timeout_now,
        }

    def tick(self) -> None:
        """Let one tick pass."""
        self.sync()
        elapsed = self.election.tick()
        if self.leader is not None:
            if not self.leader.tick():
                self._follow(None)
        elif elapsed and self._may_campaign:
            self._stand()

    def sync(self) -> None:
        """Make durable what a leader has proposed: only it writes before it syncs."""
        if self.leader is not None:
            self.leader.sync()

    def close(self) -> None:
        """Give back the files of snapshots that are under way."""
        if self.leader is not None:
            self.leader.end()
        if self.replica.incoming is not None:
            self.replica.incoming.close()

    def step(self, message: Message) -> None:
        """Take a message in."""
        self.sync()
        reason = self._reason_to_drop(message)
        if reason is None:
            try:
                reason = self._take(message)
            except DecodeError:
                reason = DropReason.MALFORMED
        if reason is not None:
            self.dropped_messages[reason] += 1

    # Which messages concern it.

    def _reason_to_drop(self, message: Message) -> DropReason | None:
        """Say why a message is of no concern, whatever the terms."""
        if message.group_id != self.replica.group_id:
            return DropReason.OTHER_GROUP
        if message.sender == self.replica.node_id:
            return DropReason.FROM_ITSELF
        # Only a node that has never heard of the group is in term 0, and it asks for nothing.
        is_of_no_term = message.term == 0 and message.type in _RESPONSES
        if message.sender == 0 or message.term > MAX_TERM or is_of_no_term:
            return DropReason.MALFORMED
        if not self._is_member(message.sender) and message.type not in _FROM_A_LEADER | _VOTES:
            return DropReason.NOT_A_MEMBER
        return None

    def _is_member(self, node_id: int) -> bool:
        return node_id in self.replica.membership.ids

    def _may_be_member(self, node_id: int) -> bool:
        """Say whether it is one by what is committed, or by a change that is not or may not be."""
        replica = self.replica
        return node_id in replica.membership.ids_from(replica.commit_index)

    def _take(self, message: Message) -> DropReason | None:
        """Compare the terms, and do what the message says; a reason says why it does not count."""
        current_term = self.replica.current_term
        if message.type in _VOTES and not self._may_be_member(message.sender):
            self._refuse(message)
            return None
        if message.term < current_term:
            if message.type not in _RESPONSES:
                return DropReason.STALE
            self._refuse(message)
            return None
        if message.term > current_term and message.type not in _NOT_ENTERED_BEFORE:
            self._enter(message.term)
        return self._handlers[message.type](message)

    def _refuse(self, request: Message) -> None:
        """Answer with a refusal, and with this node's own term."""
        self._respond(request, self.replica.current_term, success=False)

    def _respond(self, request: Message, term: int, *, success: bool) -> None:
        replica = self.replica
        response = Message(
            group_id=replica.group_id,
            type=_RESPONSES[request.type],
            sender=replica.node_id,
            term=term,
            success=success,
        )
        replica.send(request.sender, response)

    # Who leads.

    def _enter(self, term: int) -> None:
        """Enter a later term without a vote, and without knowing its leader."""
        self.replica.storage.save_term(term, None)
        self._follow(None)

    def _follow(self, leader_id: int | None) -> None:
        """Be a follower: of the leader that was heard just now, or until there is one."""
        was_follower = self.election.role is Role.FOLLOWER
        self.election.follow(leader_id)
        if self.leader is not None:
            self.leader.end()
            self.leader = None
        if not was_follower:
            self._tell_role()

    def _tell_role(self) -> None:
        self.replica.effects.append(RoleChanged(self.election.role, self.replica.current_term))

    def _on_leaders_request(self, message: Message) -> DropReason | None:
        """Follow who sends it: there is one leader in a term."""
        if self.leader is not None:
            return DropReason.UNEXPECTED
        self._follow(message.sender)
        if message.type is MessageType.APPEND_ENTRIES:
            self._follower.append_entries(message)
        else:
            self._follower.install_snapshot(message)
        return None

    def _on_answer(self, message: Message) -> DropReason | None:
        """Let the leader that asked know."""
        leader = self.leader
        if leader is None:
            return DropReason.UNEXPECTED
        if message.type is MessageType.APPEND_ENTRIES_RESPONSE:
            leader.on_append_response(message)
        else:
            leader.on_snapshot_response(message)
        return None

    def _on_timeout_now(self, message: Message) -> DropReason | None:
        """Campaign at once: the leader has handed over, so nobody is asked whether he is heard."""
        if message.sender != self.election.leader_id or not self._may_campaign:
            return DropReason.UNEXPECTED
        self._campaign(is_handed_over=True)
        return None

    # Whom it votes for.

    @property
    def _may_campaign(self) -> bool:
        replica = self.replica
        is_voter = replica.node_id in replica.membership.voters
        return is_voter and replica.storage.metadata.is_complete

    def _stand(self) -> None:
        """Campaign, or ask first whether that could succeed. A single voter need not ask."""
        is_alone = self.replica.membership.is_quorum({self.replica.node_id})
        if self.replica.config.pre_vote and not is_alone:
            self.election.pre_campaign()
            self._tell_role()
            self._ask_for_votes(
                MessageType.PRE_VOTE, self.replica.current_term + 1, is_handed_over=False
            )
        else:
            self._campaign()

    def _campaign(self, *, is_handed_over: bool = False) -> None:
        """Enter the next term and vote for itself (Raft paper, section 5.2)."""
        replica = self.replica
        replica.storage.save_term(replica.current_term + 1, replica.node_id)
        self.election.campaign()
        self._tell_role()
        self._ask_for_votes(
            MessageType.REQUEST_VOTE, replica.current_term, is_handed_over=is_handed_over
        )
        self._lead_if_elected()

    def _ask_for_votes(self, message_type: MessageType, term: int, *, is_handed_over: bool) -> None:
        replica = self.replica
        for voter in sorted(replica.membership.voters - {replica.node_id}):
            request = Message(
                group_id=replica.group_id,
                type=message_type,
                sender=replica.node_id,
                term=term,
                last_log_index=replica.log.last_index,
                last_log_term=replica.log.last_term,
                success=is_handed_over,
            )
            replica.send(voter, request)

    def _lead_if_elected(self) -> None:
        replica = self.replica
        if replica.membership.is_quorum(self.election.votes):
            self.election.lead()
            self._tell_role()
            self.leader = Leader(replica)
            self.leader.begin()

    def _would_elect(self, message: Message) -> bool:
        """Say whether the sender's log is as good as this one, and this one is whole (5.4.1)."""
        log = self.replica.log
        is_up_to_date = (message.last_log_term, message.last_log_index) >= (
            log.last_term,
            log.last_index,
        )
        return is_up_to_date and self.replica.storage.metadata.is_complete

    def _on_pre_vote(self, message: Message) -> None:
        """Say whether the sender would get this vote: neither it nor this node changes by that."""
        current_term = self.replica.current_term
        if (
            message.term > current_term
            and not self.election.hears_leader
            and self._would_elect(message)
        ):
            self._respond(message, message.term, success=True)
        else:
            self._refuse(message)

    def _on_pre_vote_response(self, message: Message) -> None:
        """Campaign once a quorum would vote for this node. What comes later is not needed."""
        next_term = self.replica.current_term + 1
        if not message.success:
            if message.term >= next_term:
                self._enter(message.term)
        elif self.election.role is Role.PRE_CANDIDATE and message.term == next_term:
            self.election.votes.add(message.sender)
            if self.replica.membership.is_quorum(self.election.votes):
                self._campaign()

    def _on_request_vote(self, message: Message) -> None:
        """Vote for the first who asks in a term, if its log is as good as this one."""
        storage = self.replica.storage
        is_later = message.term > self.replica.current_term
        if is_later and self.election.hears_leader and not message.success:
            self._refuse(message)
            return
        is_free = is_later or storage.metadata.voted_for in (None, message.sender)
        grant = is_free and self._would_elect(message)
        vote = message.sender if grant else None
        if is_later:
            storage.save_term(message.term, vote)
            self._follow(None)
        elif grant and storage.metadata.voted_for is None:
            storage.save_term(message.term, vote)
        if grant:
            self.election.wait()
        self._respond(message, message.term, success=grant)

    def _on_vote(self, message: Message) -> None:
        """Lead once a quorum has voted for this node. What comes later is not needed."""
        if self.election.role is Role.CANDIDATE and message.success:
            self.election.votes.add(message.sender)
            self._lead_if_elected()
