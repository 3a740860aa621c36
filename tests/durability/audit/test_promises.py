import copy
import re

import msgspec
import pytest

from durability.audit.promises import Heard, Promises
from durability.audit.recovered import DirectoryAudit
from durability.targets import catalogue
from durability.targets.contract import Call, Speech, Target

TARGET = Target(
    name="store",
    workload=lambda _: Call(lambda: None),
    recovery=lambda _: Call(lambda: None),
    speech=Speech(
        acknowledged=re.compile(r"^ack (?P<id>.+)$"),
        announced=re.compile(r"^item (?P<id>.+)$"),
        recovered=re.compile(r"^item (?P<id>.+)$"),
    ),
)
FIRST_RUN = Heard("run", ["item 1", "ack 1", "item 2", "item 3"])


def kinds(promises: Promises, *recovered: str) -> set[str]:
    return {violation.kind for violation in promises.ledger.judge(recovered)}


def test_a_second_run_goes_on_from_what_the_first_one_left() -> None:
    """Item 3 was lost in the first crash, which is legal, and is written again."""
    second_run = Heard("run", ["item 3", "ack 3", "item 4"])
    promises = Promises.of(TARGET, [FIRST_RUN, Heard("items", ["1", "2"]), second_run])
    assert kinds(promises, "1", "2", "3") == set()
    assert kinds(promises, "1", "2", "3", "4") == set()
    assert kinds(promises, "1", "2") == {"lost"}
    assert kinds(promises, "1", "3") == {"order"}
    assert kinds(promises, "2", "3") == {"lost"}
    assert kinds(promises, "1", "2", "3", "3") == {"duplicated"}


def test_without_what_recovery_showed_a_legal_loss_looks_like_a_wrong_order() -> None:
    promises = Promises.of(TARGET, [FIRST_RUN, Heard("run", ["item 3", "ack 3"])])
    assert kinds(promises, "1", "3") == {"order"}


def test_what_was_acknowledged_before_a_crash_stays_promised() -> None:
    promises = Promises.of(TARGET, [FIRST_RUN, Heard("items", ["1", "2"])])
    assert kinds(promises) == {"lost"}
    assert kinds(promises, "1") == set()  # a second crash may take what nobody was promised


def test_a_recovery_that_a_crash_ended_promises_what_it_showed_and_announces_what_it_proposes() -> (
    None
):
    left = [FIRST_RUN, Heard("items", ["1", "2"])]
    recovery = Heard("recovery", ["item 1", "item 2", "proposing 9", "ack 7"])
    raft = catalogue.find("reference")
    promises = Promises.of(raft, [*left, recovery])
    assert kinds(promises, "1", "2", "9") == set()
    assert kinds(promises, "1", "2") == set()
    assert kinds(promises, "1", "9") == {"lost"}
    assert kinds(promises, "2", "1") == {"order"}
    assert kinds(Promises.of(TARGET, [*left, recovery]), "1", "2", "9") == {"invented"}


def test_what_it_accepted_is_promised_and_its_term_does_not_fall() -> None:
    lines = ["state 3 1 0 1 2 0", "item 1", "elected 4", "proposing 9", "accepted 9"]
    promises = Promises.of(catalogue.find("reference"), [FIRST_RUN, Heard("recovery", lines)])
    assert kinds(promises, "1", "9") == set()
    assert kinds(promises, "1") == {"lost"}
    assert kinds(promises, "1", "2", "9") == {"invented"}  # it was gone when 9 took its place
    at_rest = DirectoryAudit(path="", format="v2", term=3, voted_for=1, node_id=1)
    found = {one.kind for one in promises.raft.judge([], at_rest, at_rest)}
    assert "term-regressed" in found
    at_rest = msgspec.structs.replace(at_rest, term=4)
    assert "term-regressed" not in {one.kind for one in promises.raft.judge([], at_rest, at_rest)}


@pytest.mark.parametrize("of", ["run", "recovery"])
def test_a_bootstrap_is_promised_by_whoever_says_so(of: str) -> None:
    heard = Heard("run" if of == "run" else "recovery", ["bootstrapped"])
    assert Promises.of(TARGET, [heard]).raft.bootstrapped
    assert not Promises.of(TARGET, [Heard("items", ["bootstrapped"])]).raft.bootstrapped


def test_copies_hear_for_themselves() -> None:
    promises = Promises.of(TARGET, [Heard("run", ["item 1", "ack 1"])])
    later = copy.deepcopy(promises)
    later.hear(Heard("run", ["item 2", "ack 2", "bootstrapped"]))
    assert kinds(promises, "1") == set()
    assert kinds(later, "1") == {"lost"}
    assert later.raft.bootstrapped
    assert not promises.raft.bootstrapped
