"""Programs for three nodes: what a step does, and that a broken node would be noticed."""

import pytest

from durability.simulation.action import Action, Crash, Propose, Tick
from durability.simulation.run import Judged
from fuzz.laws import BrokenLawError
from fuzz.schedule import Step, actions_of, options_of
from fuzz.targets.node_steps import check
from raft.follower import Follower
from raft.message import Message

ROUND = bytes([Step.ROUND, 0, 0])
ELECTION = ROUND * 14


def perform(program: bytes) -> tuple[Judged, list[Action]]:
    judged = Judged(options_of(program), 1)
    done = []
    for action in actions_of(program, judged.cluster):
        done.append(action)
        judged.perform(action)
    return judged, done


def propose(number: int) -> bytes:
    return b"".join(bytes([Step.PROPOSE, node, number]) for node in range(3)) + ROUND * 2


def test_rounds_elect_a_leader_and_commit_what_is_proposed() -> None:
    judged, _ = perform(b"\0" + ELECTION + propose(0) + propose(1) + propose(2))
    leader = judged.cluster.leader()
    assert leader is not None
    assert leader.commit_index >= 4
    assert judged.cluster.session_ids
    assert not judged.result().violations


@pytest.mark.parametrize("kind", Step)
def test_every_kind_of_step_does_something(kind: Step) -> None:
    begin = b"\0" + ELECTION + propose(0) + b"".join(bytes([Step.TICK, n, 1]) for n in range(3))
    plain, _ = perform(begin + ROUND)
    steps = b"".join(bytes([kind, node, number]) for node in range(3) for number in (0, 1, 3))
    changed, _ = perform(
        begin + (bytes([Step.KILL, 0, 0]) if kind is Step.RESTART else b"") + steps
    )
    if kind is not Step.RESTART:
        again, _ = perform(begin)
        lost = len(again.cluster.in_flight) - len(changed.cluster.in_flight)
        assert changed.cluster.digest != again.cluster.digest or lost
    else:
        assert changed.cluster.running() == plain.cluster.running()


def test_a_program_is_cut_to_what_a_run_can_afford() -> None:
    _, done = perform(b"\0" + bytes([Step.PROPOSE, 0, 0]) * 1000 + b"\1")
    assert len(done) == 150
    assert all(isinstance(action, Propose) for action in done)


def test_numbers_are_taken_modulo_what_there_is() -> None:
    _, done = perform(b"\0" + bytes([Step.TICK, 255, 255, Step.CUT_POWER, 4, 3, 255]))
    assert done == [*[Tick(1)] * 4, Crash(2, power_cut=True, operations=2)]


def test_each_setting_is_a_bit() -> None:
    assert len({options_of(bytes([bits])) for bits in range(16)}) == 16
    assert options_of(b"") == options_of(b"\0") == options_of(b"\x10")


def test_a_node_that_acknowledges_what_it_does_not_store_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append = Follower.append_entries

    def forgetful(self: Follower, message: Message) -> None:
        if message.entries_count:
            self._respond(message, success=True, index=message.prev_log_index + 1)
        else:
            append(self, message)

    program = b"\0" + ELECTION + propose(0) + propose(1)
    check(program)
    monkeypatch.setattr(Follower, "append_entries", forgetful)
    with pytest.raises(BrokenLawError):
        check(program)
