"""Every input that was ever worth keeping still obeys all the laws of its target."""

from pathlib import Path

import pytest

from durability.errors import UsageError
from fuzz.corpus import REGRESSIONS, Corpus
from fuzz.finding import file_name
from fuzz.targets import TARGETS, load

CORPUS = Corpus.find()
INPUTS = [(target, path) for target in TARGETS for path in CORPUS.files(target)]


@pytest.mark.parametrize(
    ("target", "path"), INPUTS, ids=[f"{target}-{path.name}" for target, path in INPUTS]
)
def test_replay(target: str, path: Path) -> None:
    data = path.read_bytes()
    assert path.name == file_name(data)
    load(target).check(data)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_inputs(target: str) -> None:
    assert len(CORPUS.files(target)) >= 5


def test_a_finding_is_kept_where_replay_finds_it(tmp_path: Path) -> None:
    corpus = Corpus.find(str(tmp_path))
    path = corpus.keep("peer", b"finding")
    assert path == tmp_path / "peer" / REGRESSIONS / file_name(b"finding")
    assert corpus.files("peer") == [path]
    assert corpus.directories("peer") == [tmp_path / "peer"]
    assert corpus.files("message") == corpus.directories("message") == []


def test_an_installed_package_keeps_findings_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz.corpus._PACKAGE", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpora" / "peer").mkdir(parents=True)
    (tmp_path / "corpora" / "peer" / "seed").write_bytes(b"seed")
    kept = Corpus.find().keep("peer", b"finding")
    assert kept.parts[:2] == ("durability-findings", "fuzz")
    assert [path.name for path in Corpus.find().files("peer")] == ["seed", kept.name]


def test_a_corpus_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Corpus.find(str(tmp_path / "none"))
