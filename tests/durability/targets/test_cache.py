import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from durability.errors import MechanismError, TargetError
from durability.targets.cache import Package, install, installed_versions, server_of

WHEEL = {
    "store.data/scripts/store-server": "#!/bin/sh\necho served\n",
    "store-1.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: store\nVersion: 1.5\n",
    "store-1.5.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "store-1.5.dist-info/RECORD": "",
}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "raft-durability" / "targets"


def package(index: Path) -> Package:
    """A package whose wheels lie in a folder."""
    requirement = f"{index}/store-{{version}}-py3-none-any.whl"
    return Package("store", "1.5", (requirement,), "bin/store-server", "store-deb", "0.")


def test_what_is_installed_is_found_by_name_and_version(tmp_path: Path, cache: Path) -> None:
    with zipfile.ZipFile(tmp_path / "store-1.5-py3-none-any.whl", "w") as wheel:
        for name, text in WHEEL.items():
            wheel.writestr(name.replace("store.data", "store-1.5.data"), text)
    store = package(tmp_path)
    assert installed_versions(store) == []
    server = install(store, "1.5")
    assert server == server_of(store, "1.5") == str(cache / "store-1.5/bin/store-server")
    assert subprocess.check_output([server]) == b"served\n"
    assert installed_versions(store) == ["1.5"]
    assert os.listdir(cache) == ["store-1.5"]
    (tmp_path / "store-1.5-py3-none-any.whl").unlink()
    assert install(store, "1.5") == server, "it is there: nothing is to be done"


def test_an_installation_that_fails_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(MechanismError, match=r"pip install .*store-2-py3"):
        install(package(tmp_path), "2")
    assert os.listdir(cache) == []
    with pytest.raises(MechanismError, match="not installed: durability targets --install store@2"):
        server_of(package(tmp_path), "2")


APT_GET = """#!/bin/sh
[ "$*" = "download store-deb=0.9*" ] || { echo "no $*" >&2; exit 100; }
mkdir -p pack/DEBIAN pack/usr/bin
printf 'Package: store-deb\\nVersion: 0.9\\nArchitecture: all\\n' > pack/DEBIAN/control
printf 'Maintainer: A <a@example.org>\\nDescription: store\\n' >> pack/DEBIAN/control
echo 'exit 1' > pack/DEBIAN/postinst; chmod 755 pack/DEBIAN/postinst
printf '#!/bin/sh\\necho old' > pack/usr/bin/store
dpkg-deb --build pack store.deb >/dev/null && rm -r pack
"""


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="this is no Debian")
def test_a_version_of_debian_is_unpacked_and_not_installed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scripts, which would start a daemon, do not run."""
    (tmp_path / "bin").mkdir()
    apt_get = tmp_path / "bin" / "apt-get"
    apt_get.write_text(APT_GET)
    apt_get.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    server = install(package(tmp_path), "0.9")
    assert server == str(cache / "store-0.9/usr/bin/store")
    assert subprocess.check_output([server]) == b"old\n"
    with pytest.raises(MechanismError, match=r"no download store-deb=0\.8"):
        install(package(tmp_path), "0.8")


def test_a_machine_without_debians_tools_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MechanismError, match="apt-get is not on this machine"):
        install(package(tmp_path), "0.9")


@pytest.mark.parametrize("version", ["../1", "", "x", "1/2", "-r", "1 2"])
def test_what_is_no_version_is_refused(version: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="is not a version"):
        install(package(tmp_path), version)
