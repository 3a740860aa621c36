"""Torn models: a page that is overwritten in place may keep some of its sectors, no other may."""

from itertools import product

import pytest

from durability.crash.models import MODELS, Model
from durability.crash.validation.script import Script
from durability.errors import UsageError
from tests.durability.crash.runs import states

PAGE = 4096


def overwritten() -> Script:
    script = Script()
    file = script.create(b"data", b"A" * PAGE)
    return script.sync_all().write(file, 0, b"B" * PAGE)


def appended() -> Script:
    script = Script()
    file = script.create(b"log", b"A" * PAGE)
    return script.sync_all().append(file, b"B" * PAGE)


def renamed() -> Script:
    script = Script()
    script.create(b"meta", b"A" * PAGE)
    script.sync_all().create(b"new", b"B" * PAGE)
    return script.rename(b"new", b"meta")


def contents(model: Model, script: Script) -> set[bytes]:
    """Return what a cut may leave in the files of a run."""
    drawn = states(model, script.trace(), exhaustive=True)
    return {content for state in drawn for content in state.content.files.values()}


def written(model: Model, script: Script) -> set[bytes]:
    """Return those that are whole pages of what the run wrote."""
    return {found for found in contents(model, script) if len(found) == PAGE and found.isalpha()}


@pytest.mark.parametrize("name", ["ext4-ordered", "ext4-writeback", "xfs", "posix-default"])
@pytest.mark.parametrize("sector_bytes", [512, 1024, 2048])
def test_each_sector_that_is_overwritten_is_old_or_new(name: str, sector_bytes: int) -> None:
    sectors = product((b"A" * sector_bytes, b"B" * sector_bytes), repeat=PAGE // sector_bytes)
    assert written(MODELS[name], overwritten()) == {b"A" * PAGE, b"B" * PAGE}
    assert written(MODELS[name].torn(sector_bytes), overwritten()) == set(map(b"".join, sectors))


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.logged])
@pytest.mark.parametrize("script", [appended(), renamed()], ids=["appended", "renamed"])
def test_a_page_that_is_not_overwritten_is_not_torn(name: str, script: Script) -> None:
    model = MODELS[name]
    assert contents(model.torn(), script) == contents(model, script)


@pytest.mark.parametrize(
    "name", ["prefix", "ext4-datajournal", "btrfs", "lost-unsynced", "posix-strict", "alice-2014"]
)
def test_what_is_not_overwritten_in_place_or_torn_already_is_the_same_model(name: str) -> None:
    assert MODELS[name].torn() is MODELS[name]
    assert Model.named(f"{name}-torn-512") is MODELS[name]


def test_a_torn_model_has_a_name_that_leads_to_it() -> None:
    torn = MODELS["xfs"].torn(1024)
    assert torn.name == "xfs-torn-1024"
    assert Model.named(torn.name) == torn
    assert torn.torn() == Model.named("xfs-torn-512")
    assert MODELS["xfs"].torn(PAGE) is MODELS["xfs"]


@pytest.mark.parametrize("sector_bytes", [-512, 0, 256, 513, 8192])
def test_what_is_no_size_of_a_sector_is_refused(sector_bytes: int) -> None:
    for name in ("ext4-ordered", "btrfs"):
        with pytest.raises(UsageError, match=f"no sector has {sector_bytes} bytes"):
            MODELS[name].torn(sector_bytes)


@pytest.mark.parametrize("name", ["xfs-torn-", "xfs-torn-x", "xfs-torn--512", "-torn-512", "xf"])
def test_what_names_no_model_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"no model '{name}'"):
        Model.named(name)


def test_a_disk_that_tears_is_less_realistic_than_the_same_that_does_not() -> None:
    before = [model.name for model in Model.named("xfs-torn-1024").more_realistic()]
    assert before[-3:] == ["ext4-ordered", "ext4-ordered-torn-1024", "xfs"]
    assert "ext4-ordered-torn-1024" not in [one.name for one in MODELS["btrfs"].more_realistic()]
    assert MODELS["prefix"].more_realistic() == []
