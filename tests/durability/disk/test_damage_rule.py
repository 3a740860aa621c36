"""The rule by which a recovery of a damaged disk is judged."""

import pytest

from durability.audit.guarantees import breach
from durability.audit.judgement import Judgement
from durability.audit.promises import Heard, Promises
from durability.audit.recovered import DirectoryAudit
from durability.crash.content import Content
from durability.disk.damage_rule import ended, judge_damage
from durability.targets import catalogue
from tests.durability.commands import program

INTACT = DirectoryAudit(path="", format="v2")
TORN = DirectoryAudit(path="", format="v2", tail="torn")
ROTTEN = DirectoryAudit(
    path="", format="v2", verdict="violation", violations=[breach("corrupt", "record 3")]
)
ITEMS = ["1", "2", "3"]
STAYS_OUT = ["not-elected", "not-accepting"]
BROKEN_BY_RECOVERY = ["corrupt", "log-gap", "commit-beyond-log", "unclean-tail", "temporary-left"]


def judgement(*kinds: str, recovered: list[str]) -> Judgement:
    """Return what a recovery comes to that shows some of the items, and breaks guarantees."""
    violations = [breach(kind, kind) for kind in kinds]
    lost = len(set(ITEMS) - set(recovered))
    return Judgement(len(ITEMS), lost, recovered, violations, [], [])


def met(of: Judgement, before: DirectoryAudit | None, *, is_rot: bool) -> tuple[str, list[str]]:
    """Return the end, and the kinds of the violations."""
    end, violations = ended(of, before, ITEMS[-1], is_rot=is_rot)
    return end, [violation.kind for violation in violations]


@pytest.mark.parametrize("is_rot", [True, False])
@pytest.mark.parametrize("before", [None, INTACT, TORN, ROTTEN])
@pytest.mark.parametrize(
    ("kinds", "recovered", "expected"),
    [
        ((), ITEMS, ("intact", [])),
        (("recovery-failed",), [], ("refused", [])),
        (("lost", "not-elected", "not-accepting"), [], ("refused", [])),
        (("invented",), [*ITEMS, "x"], ("wrong", ["damage-served"])),
        (("order", "lost"), ["2", "1"], ("wrong", ["damage-served"])),
        (("recovery-hung",), [], ("wrong", ["recovery-hung"])),
        (("recovery-signalled",), [], ("wrong", ["recovery-signalled"])),
        (("lost", "report-disagrees"), ["1"], ("wrong", ["lost", "report-disagrees"])),
        (("not-elected", "not-accepting", "log-gap"), [], ("wrong", [*STAYS_OUT, "log-gap"])),
        (("not-accepting",), ITEMS, ("wrong", ["not-accepting"])),
        (("audit",), ITEMS, ("wrong", ["audit"])),
        (("audit", "lost"), ["1"], ("untold", [])),
        (("audit", "lost", "invented"), ["1", "x"], ("wrong", ["damage-served"])),
        *(((kind,), ITEMS, ("wrong", [kind])) for kind in BROKEN_BY_RECOVERY),
    ],
)
def test_what_is_right_or_wrong_whatever_the_files_prove(
    kinds: tuple[str, ...],
    recovered: list[str],
    before: DirectoryAudit | None,
    is_rot: bool,
    expected: tuple[str, list[str]],
) -> None:
    assert met(judgement(*kinds, recovered=recovered), before, is_rot=is_rot) == expected


Met = tuple[str, list[str]]
HIDDEN: Met = ("wrong", ["damage-hidden"])
LOST: Met = ("lost", [])


@pytest.mark.parametrize(
    ("before", "recovered", "rot", "lying"),
    [
        (ROTTEN, ["1"], HIDDEN, HIDDEN),  # the files prove it
        (INTACT, ["1"], HIDDEN, LOST),  # a drive can go back as a whole, rot cannot
        (TORN, ["1"], LOST, LOST),  # a power cut leaves that, too
        (None, ["1", "2"], LOST, LOST),  # likewise, by what is shown
        (None, ["1"], HIDDEN, LOST),
        (None, ["1", "3"], HIDDEN, LOST),  # the tail is there
    ],
)
def test_what_is_missing_without_a_word_is_a_violation_where_it_is_proven(
    before: DirectoryAudit | None, recovered: list[str], rot: Met, lying: Met
) -> None:
    for kind in "lost", "not-a-member", "term-regressed", "vote-changed", "not-elected":
        of = judgement(kind, recovered=recovered)
        assert met(of, before, is_rot=True) == rot
        assert met(of, before, is_rot=False) == lying


def test_what_is_wrong_at_rest_already_is_the_damage_and_not_how_it_was_met() -> None:
    of = judgement(recovered=ITEMS)
    of.violations.extend(ROTTEN.violations)
    assert met(of, ROTTEN, is_rot=True) == ("intact", [])


def test_who_is_elected_late_but_accepts_has_not_refused() -> None:
    of = judgement("lost", "not-elected", recovered=["1"])
    assert met(of, ROTTEN, is_rot=True) == HIDDEN


def test_what_the_own_audit_cannot_tell_shows_nothing() -> None:
    target = catalogue.find(program("careful_log"))
    promises = Promises.of(target, [Heard("run", ["ack 1", "ack 2"])])
    nothing = Content({}, {}, frozenset())
    of = judgement("audit", "lost", recovered=["1"])
    end, judged = judge_damage(target, nothing, promises, of, "lying")
    assert (end, judged.violations) == ("untold", [])
    assert ["own audit" in fault for fault in judged.faults] == [True]
    end, judged = judge_damage(target, nothing, promises, judgement(recovered=ITEMS), "lying")
    assert (end, judged.is_clean) == ("intact", True)
