"""Several runs and committers at one store, and what a run leaves that dies at its making."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import icechunk
import pytest
import zarr

from tests.integration.killed_runs import Starter
from tests.integration.small_sites import SITE, make_block, make_spec
from twin.errors import InputError, StoreError
from twin.store.layout import jobs_of, prepare_store
from twin.store.location import storage
from twin.store.verify import verify
from twin.store.writer import claimed, create_site, write_site

FORMS = ("{}", "icechunk:{}")
SPEC = make_spec(2, 8, 2, variables=("rss",))


def run_here(store, spec=SPEC) -> str:
    return write_site(store, SITE, spec, lambda job: make_block(spec, job))


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    starter = Starter()
    yield starter
    starter.close()


@pytest.mark.parametrize("form", FORMS)
def test_two_runs_at_once(form: str, tmp_path: Path, starter: Starter) -> None:
    """Whichever comes first wins; the other is told, and nothing is lost."""
    expected = run_here(tmp_path / "whole.zarr")
    refusals = 0
    for number in range(4):
        store = form.format(tmp_path / str(number))
        starter.start(store, SPEC)
        starter.start(store, SPEC)
        outcomes = starter.end()
        assert 0 in [code for code, _ in outcomes]
        for code, text in outcomes:
            assert code == 0 or "found another run at work. Wait for it to end" in text
            refusals += code != 0
        assert run_here(store) == expected
        assert verify(store) == []
    assert refusals >= 2


@pytest.mark.parametrize("form", FORMS)
def test_a_claimed_site_is_refused_and_others_are_not(form: str, tmp_path: Path) -> None:
    store = form.format(tmp_path / "store")
    with claimed(store, SITE):
        with pytest.raises(StoreError, match="found another run at work"):
            run_here(store)
        with claimed(store, "hall"):
            create_site(store, "hall", SPEC)
    run_here(store)


def test_no_commit_is_lost_on_a_local_disk(tmp_path: Path, starter: Starter) -> None:
    spec = make_spec(5, 16, 2, variables=("rss",))
    assert len(jobs_of(spec)) == 40
    store = f"icechunk:{tmp_path / 'store'}"
    starter.start(store, spec)
    assert starter.end() == [(0, "")]
    assert run_here(tmp_path / "whole.zarr", spec) == run_here(store, spec)
    messages = [entry.message for entry in storage(store).history()]
    assert set(messages) >= {f"{SITE}: {job.name(spec)}" for job in jobs_of(spec)}


def test_no_commit_is_lost_in_close_succession(tmp_path: Path) -> None:
    """Four committers that do nothing else, which without a lock lose some."""
    place = storage(f"icechunk:{tmp_path / 'store'}")
    prepare_store(place)

    def commit(committer: int) -> None:
        for number in range(10):
            with place.change(f"{committer}-{number}") as opened:
                zarr.create_group(opened, path=f"{committer}-{number}", zarr_format=3)

    with ThreadPoolExecutor(4) as committers:
        list(committers.map(commit, range(4)))
    names = {f"{committer}-{number}" for committer in range(4) for number in range(10)}
    assert {entry.message for entry in place.history()} >= names
    assert set(place.names()) == {*names, "zarr.json"}


@pytest.mark.parametrize("staged", [False, True])
def test_half_made_repository_is_made_whole(staged: bool, tmp_path: Path) -> None:
    """As a run leaves it that is killed while it makes the repository."""
    folder = tmp_path / "store"
    icechunk.Repository.create(icechunk.local_filesystem_storage(str(folder)))
    for name in ("refs", "repo"):
        place = folder / name
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
    if staged:
        (snapshot,) = (folder / "snapshots").iterdir()
        snapshot.rename(snapshot.with_name(f"{snapshot.name}#1"))
    store = f"icechunk:{folder}"
    with pytest.raises(InputError, match="nothing there"):
        verify(store)
    assert run_here(store) == run_here(tmp_path / "whole.zarr")
    assert verify(store) == []


def test_folder_with_other_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="a folder with other content"):
        run_here(f"icechunk:{tmp_path}")
    assert [path.name for path in tmp_path.rglob("*")] == ["snapshots", "holiday.jpg"]
