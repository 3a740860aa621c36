"""Changed modules in a child: what is found, and what becomes of a change that is no decoder."""

import resource

import pytest

from durability.errors import InconclusiveError
from durability.mutants.edited import edit, source
from fuzz.corpus import Corpus
from fuzz.mutants.searches import UNIFORM_INPUTS, draw_by_hypothesis, draw_uniformly, mutate, replay
from fuzz.mutants.trial import Changed, Search, attempt
from fuzz.target import Check, Target
from fuzz.targets import load

PATHS = Corpus.find().files("peer")
SEARCHES = [replay(PATHS), mutate(PATHS, 1, 100), draw_uniformly(1), draw_by_hypothesis(1)]


def changed(old: str, new: str) -> Changed:
    return Changed("raft.peer", compile(edit("raft/peer.py", old, new), "raft/peer.py", "exec"))


UNCHANGED = Changed("raft.peer", compile(source("raft/peer.py"), "raft/peer.py", "exec"))
ROLE = ("        if role >= len(_ROLES):\n", "        if role > len(_ROLES):\n")


@pytest.mark.parametrize("search", SEARCHES)
def test_nothing_is_found_where_nothing_is_changed(search: Search) -> None:
    assert attempt(UNCHANGED, "peer", search).executions == 0


def test_the_changed_module_is_what_is_tested() -> None:
    found = attempt(changed(*ROLE), "peer", SEARCHES[0])
    assert 0 < found.executions <= len(PATHS)
    assert "IndexError" in found.message
    assert attempt(changed(*ROLE), "peer", SEARCHES[1]).executions
    assert attempt(changed(*ROLE), "peer", SEARCHES[3]).executions
    assert attempt(changed(*ROLE), "peer", SEARCHES[2]).executions == 0


def test_an_endless_loop_is_found() -> None:
    line = "        if role >= len(_ROLES):\n"
    endless = changed(line, f"        while role == 1:\n            pass\n{line}")
    assert "HangError" in attempt(endless, "peer", SEARCHES[0]).message


@pytest.mark.parametrize("search", SEARCHES)
def test_a_module_that_cannot_be_imported_is_no_find(search: Search) -> None:
    broken = Changed("raft.peer", compile("raise OSError", "raft/peer.py", "exec"))
    with pytest.raises(InconclusiveError, match="cannot be imported: OSError"):
        attempt(broken, "peer", search)


def test_a_module_without_what_others_import_is_no_find() -> None:
    path = "durability/targets/program.py"
    hollow = Changed("durability.targets.program", compile("", path, "exec"))
    with pytest.raises(InconclusiveError, match="it has not what others import: ImportError"):
        attempt(hollow, "toml_target", SEARCHES[0])


def test_what_keeps_a_target_from_being_made_ready_is_found() -> None:
    """The directories that are damaged are made by the node itself."""
    content = edit("raft/recovery.py", "good[0]", "good[1]")
    forgetful = Changed("raft.recovery", compile(content, "raft/recovery.py", "exec"))
    found = attempt(forgetful, "recovery", SEARCHES[0])
    assert found.executions == 1
    assert found.message.startswith("before any input: IndexError")


def test_memory_is_bounded() -> None:
    line = "        if role >= len(_ROLES):\n"
    greedy = changed(line, f"        bytearray(2**31)\n{line}")
    assert "MemoryError" in attempt(greedy, "peer", SEARCHES[0]).message


def test_what_the_machine_does_to_the_unchanged_module_too_is_no_find() -> None:
    """The file that an input is written to cannot be written: every input breaks a law."""
    paths = Corpus.find().files("toml_target")

    def replay_on_a_full_disk(target: Target, check: Check) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        replay(paths)(target, check)

    path = "durability/targets/program.py"
    harmless = Changed("durability.targets.program", compile(source(path), path, "exec"))
    assert attempt(harmless, "toml_target", replay(paths[:3])).executions == 0
    with pytest.raises(InconclusiveError, match=r"as it is, unchanged: .*OSError"):
        attempt(harmless, "toml_target", replay_on_a_full_disk)


def test_a_target_that_can_never_be_made_ready_is_no_find(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> Target:
        raise OSError(f"no directory for {name}")

    monkeypatch.setattr("fuzz.mutants.trial.load", fails)
    with pytest.raises(InconclusiveError, match="unchanged: before any input: OSError"):
        attempt(changed(*ROLE), "peer", SEARCHES[0])


def test_the_control_has_the_inputs_up_to_the_one_that_was_found_and_no_other() -> None:
    """The search breaks a law by itself right behind the input that tells the change."""
    number = attempt(changed(*ROLE), "peer", SEARCHES[0]).executions
    inputs = [path.read_bytes() for path in PATHS[:number]]

    def goes_on(target: Target, check: Check) -> None:
        del target
        for data in inputs:
            check(data)
        raise OSError("one input too many")

    assert attempt(changed(*ROLE), "peer", goes_on).executions == number
    with pytest.raises(InconclusiveError, match="ended with"):
        attempt(UNCHANGED, "peer", goes_on)


def test_a_child_that_fails_has_shown_nothing() -> None:
    def fails(target: Target, check: Check) -> None:
        del target, check
        raise OSError("no such input")

    with pytest.raises(InconclusiveError, match="ended with"):
        attempt(UNCHANGED, "peer", fails)


def test_uniform_inputs_are_many_and_depend_on_the_seed() -> None:
    layout = load("peer").layout

    def drawn(seed: int) -> list[bytes]:
        inputs: list[bytes] = []
        target = Target(check=inputs.append, probe=inputs.append, layout=layout)
        draw_uniformly(seed)(target, inputs.append)
        return inputs

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(drawn(1)) == UNIFORM_INPUTS
