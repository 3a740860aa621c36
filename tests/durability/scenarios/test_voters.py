"""The group that is measured, and the bare writes beside it."""

from pathlib import Path

import pytest

from durability.scenarios.voters import BareFiles, elected, measure, percentile
from raft import Node
from raft.errors import DiskError


@pytest.mark.parametrize("voters", [1, 3])
def test_proposals_and_bare_writes_are_measured_by_turns(tmp_path: Path, voters: int) -> None:
    found = measure(str(tmp_path), voters, 5)
    assert len(found.propose_us) == len(found.one_us) == len(found.majority_us) == 5
    assert min(*found.propose_us, *found.one_us, *found.majority_us) > 0
    sizes = {path: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()}
    logs = [size for path, size in sizes.items() if path.suffix == ".segment"]
    bare = sizes[tmp_path / "bare1"] // 2
    assert len(logs) == voters
    # As many bytes each; the logs also have a header, the configuration and the leader's entry.
    assert all(0 < size - bare < 300 for size in logs)
    assert all(sizes[tmp_path / f"bare{number}"] == bare for number in range(2, voters + 1))


def test_a_majority_is_the_first_file_and_half_of_the_others(tmp_path: Path) -> None:
    with BareFiles(str(tmp_path), 3) as files:
        assert files.write_majority() > 0
    assert len({path.stat().st_size for path in tmp_path.iterdir()}) == 1


def test_a_follower_that_fails_ends_the_group_instead_of_leaving_it_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(node: Node, message: object) -> None:
        del node, message
        raise DiskError("no space left")

    with elected(str(tmp_path), 3) as group:
        monkeypatch.setattr(Node, "step", fail)
        with pytest.raises(DiskError, match="no space left"):
            group.propose()


def test_percentiles_are_times_that_were_measured() -> None:
    times = [float(number) for number in range(1, 101)]
    assert [percentile(times, percent) for percent in (50, 95, 99)] == [51.0, 96.0, 100.0]
    assert percentile([7.0], 99) == 7.0
