"""The files for ClusterFuzzLite, OSS-Fuzz and GitHub: their form, and what can be run of them here.

None of the services is here, so a build in their image, and a run, are not shown by this.
"""

import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from fuzz.campaign import PROJECT, environment
from fuzz.cli import main
from fuzz.corpus import Corpus
from fuzz.targets import TARGETS

WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("fuzz_*.yml"))
SCRIPTS = [PROJECT / ".clusterfuzzlite" / "build.sh", PROJECT / "fuzz" / "oss_fuzz" / "build.sh"]
PROJECTS = [
    PROJECT / ".clusterfuzzlite" / "project.yaml",
    PROJECT / "fuzz" / "oss_fuzz" / "project.yaml",
]
DOCKERFILES = [
    PROJECT / ".clusterfuzzlite" / "Dockerfile",
    PROJECT / "fuzz" / "oss_fuzz" / "Dockerfile",
]

pytestmark = pytest.mark.skipif(
    not SCRIPTS[0].exists(), reason="these files are in a checkout, not in a source archive"
)


def steps(workflow: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load(workflow.read_text())
    # YAML 1.1 takes the key `on` for a truth value.
    assert document[True]
    return [step for job in document["jobs"].values() for step in job["steps"]]


def modes() -> dict[str, str]:
    return {
        step["with"]["mode"]: workflow.name
        for workflow in WORKFLOWS
        for step in steps(workflow)
        if "run_fuzzers" in step.get("uses", "")
    }


def test_there_is_a_workflow_for_each_mode_that_clusterfuzzlite_has() -> None:
    assert modes() == {
        "code-change": "fuzz_pull_request.yml",
        "batch": "fuzz_batch.yml",
        "prune": "fuzz_daily.yml",
        "coverage": "fuzz_daily.yml",
    }


def test_findings_of_a_pull_request_are_shown_as_sarif() -> None:
    (workflow,) = (path for path in WORKFLOWS if path.name == "fuzz_pull_request.yml")
    run, upload = steps(workflow)[1:]
    assert run["with"]["output-sarif"] is True
    assert upload["with"]["sarif_file"] == "cifuzz-sarif/results.sarif"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_names_a_version_of_each_action_and_the_language(workflow: Path) -> None:
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+", step["uses"])
        if "build_fuzzers" in step.get("uses", ""):
            assert step["with"]["language"] == "python"


def test_the_commands_of_a_workflow_exist() -> None:
    commands = [
        step["run"].split()[1:]
        for workflow in WORKFLOWS
        for step in steps(workflow)
        if step.get("run", "").startswith("raft-fuzz")
    ]
    assert [command[0] for command in commands] == ["replay", "run", "mutants"]
    for command in commands:
        known = CliRunner().invoke(main, [command[0], "--help"]).output
        assert all(option in known for option in command if option.startswith("--"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
def test_a_build_script_is_a_script(script: Path) -> None:
    assert script.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_both_build_alike() -> None:
    assert ".clusterfuzzlite/build.sh" in SCRIPTS[1].read_text()
    for project in PROJECTS:
        assert yaml.safe_load(project.read_text())["language"] == "python"
    for dockerfile in DOCKERFILES:
        text = dockerfile.read_text()
        assert text.startswith("FROM gcr.io/oss-fuzz-base/base-builder-python\n")
        for name in re.findall(r"^COPY (\S+\.sh)", text, re.MULTILINE):
            root = PROJECT if "/" in name else dockerfile.parent
            assert (root / name).exists()


def test_the_build_makes_each_target_with_its_corpus_and_its_dictionary(tmp_path: Path) -> None:
    """Run it with stand-ins for the image's tools: pip3, and what compiles an executable."""
    tools, source, out, work = (tmp_path / name for name in ("tools", "source", "out", "work"))
    for folder in (tools, source, out, work):
        folder.mkdir()
    (source / "raft-durability").symlink_to(PROJECT)
    stand_ins = {
        "pip3": "",
        "compile_python_fuzzer": 'cp "$1" "$OUT/$(basename "$1" .py)"\n',
        "zip": f'shift 2; exec {sys.executable} -m zipfile -c "$@"\n',
    }
    for name, body in stand_ins.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}")
        (tools / name).chmod(0o755)
    places = {"SRC": str(source), "OUT": str(out), "WORK": str(work)}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([str(SCRIPTS[0])], env={**os.environ, **places, "PATH": path}, check=True)
    made = {path.name for path in out.iterdir()}
    for target in TARGETS:
        assert f'TARGET = "{target}"' in (out / f"fuzz_{target}").read_text()
        assert {f"fuzz_{target}_seed_corpus.zip", f"fuzz_{target}.options"} <= made
        with zipfile.ZipFile(out / f"fuzz_{target}_seed_corpus.zip") as seeds:
            assert len(seeds.namelist()) == len(Corpus.find().files(target))
        dictionary = (PROJECT / "fuzz" / "dictionaries" / f"{target}.dict").exists()
        assert (f"fuzz_{target}.dict" in made) is dictionary
    assert len([name for name in made if "." not in name and "zip" not in name]) == len(TARGETS)


def test_an_executable_runs_its_target(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    entry = tmp_path / "fuzz_peer.py"
    text = (PROJECT / "fuzz" / "oss_fuzz" / "entry.py").read_text()
    entry.write_text(re.sub(r'^TARGET = "\w+"', 'TARGET = "peer"', text, flags=re.MULTILINE))
    seeds = str(PROJECT / "corpora" / "peer")
    done = subprocess.run(
        [sys.executable, "-P", str(entry), "-runs=2000", "-seed=1", str(tmp_path), seeds],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert "Instrumenting raft.peer" in done.stderr
    assert re.search(r"Done 2000 runs", done.stderr)
