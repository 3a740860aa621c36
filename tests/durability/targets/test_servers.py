"""Real servers. They are skipped where they are not installed; CI installs them."""

from pathlib import Path

import pytest

from durability.errors import MechanismError
from durability.targets import catalogue
from tests.durability.commands import Done, durability, program

HELD, VIOLATION, USAGE, INCONCLUSIVE = range(4)


def crash(name: str, *arguments: str, cwd: Path) -> Done:
    try:
        catalogue.find(name)
    except MechanismError as error:
        pytest.skip(f"{name} is {error}")
    return durability("crash", name, "--seed", "1", *arguments, cwd=str(cwd), timeout_s=300)


@pytest.mark.parametrize(
    ("name", "status", "kinds"), [("served", HELD, []), ("served_early", VIOLATION, ["lost"])]
)
def test_a_described_server_comes_out_as_it_must(
    name: str, status: int, kinds: list[str], tmp_path: Path
) -> None:
    arguments = ("--kills", "25", "--tear", "none", "--seed", "1")
    done = durability("crash", program(name), *arguments, cwd=str(tmp_path))
    assert done.status == status, done.stdout + done.stderr
    assert [violation["kind"] for violation in done.document["violations"]] == kinds
    assert done.document["landed"] == 25
    assert done.document["acked"] > 500
    if kinds:
        again = durability("replay", ".", cwd=str(tmp_path))
        assert again.status == VIOLATION


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"serve", "{data}", "{port}"', '"nothing"', "its server did not become ready"),
        ('"drive", "{port}"', '"nothing"', "its client exited with 1"),
    ],
)
def test_a_server_that_is_not_driven_shows_nothing(
    before: str, after: str, said: str, tmp_path: Path
) -> None:
    text = Path(program("served")).read_text()
    assert before in text
    described = tmp_path / "broken.toml"
    server = Path(program("served")).parent / "server.py"
    described.write_text(text.replace(before, after).replace("server.py", str(server)))
    done = durability("crash", str(described), "--kills", "3", cwd=str(tmp_path))
    assert done.status == INCONCLUSIVE, done.stdout
    (reason,) = done.document["reasons"]
    assert reason.startswith(f"served: {said}: ")
    assert "IndexError" in reason or "ValueError" in reason


@pytest.mark.parametrize(("name", "kills"), [("nats", 20), ("etcd@3.4.23", 6)])
def test_a_server_that_keeps_its_promises_holds(name: str, kills: int, tmp_path: Path) -> None:
    done = crash(name, "--kills", str(kills), cwd=tmp_path)
    assert done.status == HELD, done.stdout + done.stderr
    assert done.document["landed"] == kills
    assert done.document["acked"] > 10 * kills
    assert done.document["lost"] == 0


@pytest.mark.parametrize(("name", "turns"), [("nats", 3), ("etcd@3.4.23", 1)])
def test_a_server_holds_on_what_kills_have_left(name: str, turns: int, tmp_path: Path) -> None:
    done = crash(name, "--kills", str(turns), "--chain", "--links", "2", cwd=tmp_path)
    assert done.status == HELD, done.stdout + done.stderr
    assert done.document["kills_by_link"] == [turns, turns]


def test_a_server_holds_when_its_recovery_is_killed(tmp_path: Path) -> None:
    done = crash("nats", "--kills", "5", "--in-recovery", cwd=tmp_path)
    assert done.status == HELD, done.stdout + done.stderr
    assert done.document["recoveries_killed"] > 0


def test_a_server_holds_in_every_state_of_one_run(tmp_path: Path) -> None:
    done = crash("nats", "--offline", "--tear", "none", cwd=tmp_path)
    assert done.status == HELD, done.stdout + done.stderr
    assert done.document["coverage"] == 1
    assert done.document["states"] > 200


def test_a_server_that_replies_too_early_is_found_in_one_run(tmp_path: Path) -> None:
    """Each state starts a server: the first few must do."""
    arguments = ("--offline", "--tear", "none", "--cross-check", "0", "--budget", "6")
    done = durability("crash", program("served_early"), *arguments, cwd=str(tmp_path))
    assert done.status == VIOLATION, done.stdout + done.stderr
    assert [violation["kind"] for violation in done.document["violations"]] == ["lost"]


@pytest.mark.parametrize("name", ["etcd-bootstrap", "etcd-bootstrap@3.4.23"])
@pytest.mark.parametrize("offset", [4096, 8192, 12288])
def test_etcd_cannot_open_a_database_whose_first_write_was_cut(
    name: str, offset: int, tmp_path: Path
) -> None:
    """bbolt creates it by one write of four pages (etcd-io/etcd#16596, there by a power cut)."""
    done = crash(name, "--at", str(offset + 1000), "--tear", "page", cwd=tmp_path)
    assert done.status == VIOLATION, done.stdout + done.stderr
    assert [violation["kind"] for violation in done.document["violations"]] == ["recovery-failed"]
    assert "cut at a page, as the kernel does" in done.document["violations"][0]["message"]


@pytest.mark.parametrize("name", ["etcd-bootstrap", "etcd-bootstrap@3.4.23"])
def test_etcd_waits_for_ever_without_the_first_entry_of_its_log(name: str, tmp_path: Path) -> None:
    """Its log has a name, but no member in it yet (etcd-io/etcd#12578).

    Another thread may write to the database first, and then this position is another moment.
    """
    for _ in range(4):
        done = crash(name, "--at", "16464+1", "--tear", "none", cwd=tmp_path)
        if done.status == VIOLATION:
            break
    assert [violation["kind"] for violation in done.document["violations"]] == ["recovery-hung"]
