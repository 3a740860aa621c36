from typing import Any

from durability.report.figures import Records, facts, tables
from durability.report.result import Result
from tests.durability.report.results import figures


def shown(**of: Any) -> dict[str, str]:
    return dict(facts(Result("crash", figures=of)))


def test_known_figures_have_a_label_and_a_unit() -> None:
    found = dict(facts(Result("crash", seed=7, elapsed_s=3.42, figures=figures())))
    assert found["acknowledged"] == "31,204 items"
    assert found["rate"] == "61.3 kills/s"
    assert found["write stream"] == "24,576 bytes"
    assert found["kills with a violation"] == "none"
    assert found["seed"] == "7"
    assert found["time"] == "3.4 s"


def test_unknown_figures_are_shown_by_their_name() -> None:
    assert shown(worlds=12345, confirmed=True, voted_for=None, model="xfs") == {
        "worlds": "12,345",
        "confirmed": "yes",
        "voted_for": "-",
        "model": "xfs",
        "time": "0.0 s",
    }


def test_collections_of_scalars_are_facts() -> None:
    found = shown(failed=["a", "b"], passed=[], violating_kills={"lost": 1200, "order": 3})
    assert found["failed"] == "a, b"
    assert found["passed"] == "none"
    assert found["kills with a violation"] == "lost 1,200, order 3"


def test_no_seed_is_not_a_fact() -> None:
    assert "seed" not in shown(kills=1)


def test_records_are_a_table_of_their_scalars() -> None:
    histories = [
        {"path": "a.jsonl", "operations": 1200, "counterexample": [1, 2]},
        {"path": "b.jsonl", "counterexample": []},
    ]
    result = Result("history", figures={"histories": histories})
    rows: list[tuple[str, ...]] = [("a.jsonl", "1,200"), ("b.jsonl", "-")]
    assert list(tables(result)) == [Records("histories", ("path", "operations"), rows)]
    assert [label for label, _ in facts(result)] == ["time"]


def test_records_by_name_are_a_table_too() -> None:
    result = Result("powerloss", figures={"models": {"xfs": {"legal": 40}, "btrfs": {"legal": 39}}})
    rows: list[tuple[str, ...]] = [("xfs", "40"), ("btrfs", "39")]
    assert list(tables(result)) == [Records("models", ("name", "legal"), rows)]
    assert [label for label, _ in facts(result)] == ["time"]


def test_an_audited_directory_shows_the_columns_that_matter() -> None:
    record = {"path": "d", "format": "v2", "durable_index": 3, "last_index": 5, "peers": []}
    [table] = tables(Result("audit", figures={"directories": [record]}))
    assert "last_index" in table.columns
    assert "durable_index" not in table.columns


def test_a_scenario_is_a_table_of_its_own() -> None:
    landing = {"fault": "SIGKILL", "ordered": 1000, "landed": 998, "evidence": "signal 9"}
    scenario = {
        "id": "S05",
        "verdict": "held",
        "landing": [landing],
        "figures": {"torn": 1042},
        "elapsed_s": 7.26,
    }
    result = Result("scenario", figures={"scenarios": [scenario, {**scenario, "id": "S16"}]})
    rows: list[tuple[str, ...]] = [
        ("verdict", "held"),
        ("SIGKILL", "landed 998 of 1,000"),
        ("", "signal 9"),
        ("torn", "1,042"),
        ("time", "7.3 s"),
    ]
    columns = ("figure", "value")
    assert list(tables(result)) == [Records("S05", columns, rows), Records("S16", columns, rows)]
