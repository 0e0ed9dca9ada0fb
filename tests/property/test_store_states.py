"""Any sequence of layouts, writes, crashes, damage and publications, against a simple model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import icechunk
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from icechunk import IcechunkStore
from zarr.storage import LocalStore

from tests.integration.small_sites import SITE, make_block, make_spec
from twin.errors import InputError, StoreError
from twin.store.layout import Job, jobs_of
from twin.store.reader import open_site
from twin.store.spec import SiteSpec
from twin.store.verify import verify
from twin.store.writer import create_site, pending_jobs, publish, write_shard, write_site

SPECS = tuple(make_spec(1, 6, 2, variables=("rss",), config={"seed": seed}) for seed in (3, 4))
JOBS = jobs_of(SPECS[0])
NEVER = 1000
# Of all contents that were published so far, in whatever form of store.
DIGESTS: dict[tuple[int, ...], str] = {}

specs = st.sampled_from(SPECS)
# The same job may be done again with other values before the site is published.
variants = st.integers(1, 2)


def lives(most: int) -> st.SearchStrategy[int]:
    """After how many changes of the storage a run dies; half of all runs live."""
    dies = st.one_of(st.integers(0, 1), st.integers(0, most))
    return st.one_of(st.just(NEVER), dies)


class Killed(BaseException):
    """Passes every handler of ordinary errors, as a kill would."""


@contextmanager
def dies_after(steps: int) -> Iterator[None]:
    """Storage that does so many changes, then leaves half a file and does no more."""
    left = steps

    def mortal(change: Callable) -> Callable:
        async def changing(store, key, *arguments, **settings):
            nonlocal left
            left -= 1
            if left < 0:
                if left == -1 and arguments and isinstance(store, LocalStore):
                    part = (store.root / key).with_suffix(".0123.partial")
                    part.parent.mkdir(parents=True, exist_ok=True)
                    part.write_bytes(arguments[0].to_bytes()[:1])
                raise Killed
            return await change(store, key, *arguments, **settings)

        return changing

    def mortal_commit(commit: Callable) -> Callable:
        def committing(session, *arguments, **settings):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            snapshot = commit(session, *arguments, **settings)
            left -= 1
            if left < 0:
                raise Killed
            return snapshot

        return committing

    with (
        mock.patch.object(icechunk.Session, "commit", mortal_commit(icechunk.Session.commit)),
        mock.patch.multiple(
            LocalStore, **{name: mortal(getattr(LocalStore, name)) for name in CHANGES}
        ),
        mock.patch.multiple(
            IcechunkStore, **{name: mortal(getattr(IcechunkStore, name)) for name in CHANGES}
        ),
    ):
        yield


CHANGES = ("set", "set_if_not_exists", "delete", "delete_dir")


@dataclass(frozen=True)
class State:
    """What the store holds.

    Args:
        spec: of the site; None where none is laid out.
        done: which values finished jobs wrote.
        published: whether readers get it.
        damaged: jobs with a flipped byte.
    """

    spec: SiteSpec | None = None
    done: dict[Job, int] = field(default_factory=dict)
    published: bool = False
    damaged: frozenset[Job] = frozenset()

    @property
    def pending(self) -> tuple[Job, ...]:
        return tuple(job for job in JOBS if job not in self.done)


def block_of(spec: SiteSpec, job: Job, variant: int) -> xr.Dataset:
    block = make_block(spec, job)
    block["rss"] = block["rss"] * variant
    return block


class StoreMachine(RuleBasedStateMachine):
    """A folder of plain Zarr."""

    form = "{}"
    #: Whether a change that is cut short leaves nothing behind.
    atomic = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = self.form.format(self.folder / "store")
        self.model = State()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def expect(self, steps: int, action: Callable[[], object], after: State, *cut: State) -> object:
        """Do it; what is there then is `after`, or where the run died also one of `cut`."""
        try:
            with dies_after(steps):
                result = action()
        except Killed:
            candidates = [self.model, *cut, after]
            found = self.observed()
            fitting = [state for state in candidates if looks(state) == found]
            assert fitting, (found, candidates)
            self.model = fitting[0]
            self.check_jobs()
            return None
        self.model = after
        return result

    def observed(self) -> tuple[object, ...]:
        """What can be told of the store from outside."""
        pending = self.pending()
        return (pending, pending == () and self.read() is not None)

    def pending(self) -> tuple[Job, ...] | None:
        try:
            return pending_jobs(self.store, SITE)
        except (InputError, StoreError):
            return None

    def read(self) -> xr.Dataset | None:
        try:
            with open_site(self.store, SITE) as dataset:
                return dataset.load()
        except (InputError, StoreError):
            return None

    def check_digest(self, digest: str, state: State) -> None:
        """Equal content has equal digests, and other content has others."""
        content = (SPECS.index(state.spec), *(state.done[job] for job in JOBS))
        assert DIGESTS.setdefault(content, digest) == digest
        assert len(set(DIGESTS.values())) == len(DIGESTS)

    def check_jobs(self) -> None:
        """Of the jobs that count as done, the damaged ones are found, and no others."""
        if self.model.spec is None:
            return
        keys = {fault.key for fault in verify(self.store)} - {"jobs", "published"}
        places = [f"realisation 0, points {job.start}:{job.stop}" for job in self.model.damaged]
        assert {key.partition(", ")[2] for key in keys} == set(places)

    @rule(spec=specs, overwrite=st.booleans(), steps=lives(36))
    def create(self, spec: SiteSpec, overwrite: bool, steps: int) -> None:
        def lay_out() -> str:
            return create_site(self.store, SITE, spec, overwrite=overwrite)

        if self.model.spec == spec:
            self.expect(steps, lay_out, self.model)
        elif self.model.spec is None or overwrite:
            self.expect(steps, lay_out, State(spec), *([] if self.atomic else [State()]))
        else:
            with pytest.raises(InputError, match=r"config\.seed"):
                lay_out()

    @precondition(lambda self: self.model.pending and self.model.spec)
    @rule(data=st.data(), variant=variants, steps=lives(5))
    def write(self, data: st.DataObject, variant: int, steps: int) -> None:
        self.write_job(data.draw(st.sampled_from(self.model.pending)), variant, steps)

    @precondition(lambda self: self.model.done)
    @rule(data=st.data(), steps=lives(5))
    def write_again(self, data: st.DataObject, steps: int) -> None:
        job = data.draw(st.sampled_from(sorted(self.model.done)))
        self.write_job(job, 3 - self.model.done[job], steps)

    def write_job(self, job: Job, variant: int, steps: int) -> None:
        model = self.model
        block = block_of(model.spec, job, variant)

        def work() -> None:
            write_shard(self.store, SITE, 0, job.points, block, model.spec.digest)

        if model.published:
            with pytest.raises(StoreError, match="published"):
                work()
            return
        rest = {done: v for done, v in model.done.items() if done != job}
        damaged = model.damaged - {job}
        after = State(model.spec, {**rest, job: variant}, damaged=damaged)
        cut = [] if self.atomic else [State(model.spec, rest, damaged=damaged)]
        self.expect(steps, work, after, *cut)

    @precondition(lambda self: self.model.spec is not None)
    @rule(steps=lives(3))
    def publish(self, steps: int) -> None:
        model = self.model
        if model.pending or model.damaged:
            done = {job: v for job, v in model.done.items() if job not in model.damaged}
            part = [
                State(model.spec, {j: v for j, v in model.done.items() if j not in lost})
                for lost in ({job} for job in model.damaged)
            ]

            def refused() -> None:
                with pytest.raises(StoreError, match="cannot be published"):
                    publish(self.store, SITE)

            self.expect(steps, refused, State(model.spec, done), *([] if self.atomic else part))
            return
        after = State(model.spec, model.done, published=True)
        digest = self.expect(steps, lambda: publish(self.store, SITE), after)
        if digest is not None:
            self.check_digest(digest, after)
            assert list(self.folder.rglob("*.partial")) == []

    @rule(spec=specs, steps=lives(50))
    def whole_run(self, spec: SiteSpec, steps: int) -> None:
        """Lays out, does what is missing, publishes; several times, if damage comes to light."""
        model = self.model
        if model.spec not in (None, spec):
            return

        def run() -> str:
            return write_site(self.store, SITE, spec, lambda job: block_of(spec, job, 1))

        if model.damaged:
            with pytest.raises(StoreError, match="cannot be published"):
                run()
            whole = {**dict.fromkeys(JOBS, 1), **model.done}
            self.model = State(spec, {j: v for j, v in whole.items() if j not in model.damaged})
            return
        order = [job for job in JOBS if job not in model.done]
        stages = [
            State(spec, {**model.done, **dict.fromkeys(order[:count], 1)})
            for count in range(len(order) + 1)
        ]
        after = State(spec, stages[-1].done, published=True)
        digest = self.expect(steps, run, after, State(), *stages)
        if digest is not None:
            self.check_digest(digest, after)

    @invariant()
    def readers_get_the_whole_site_or_none(self) -> None:
        dataset = self.read()
        assert (dataset is not None) == self.model.published
        if dataset is not None:
            assert dataset.attrs["config_digest"] == self.model.spec.digest
            for job, variant in self.model.done.items():
                planned = block_of(self.model.spec, job, variant)
                for name in ("rss", "position", "status"):
                    found = dataset[name].isel(realisation=0, point=job.points)
                    np.testing.assert_array_equal(found.to_numpy(), planned[name].to_numpy())

    @invariant()
    def jobs_pending_are_those_not_done(self) -> None:
        assert self.pending() == looks(self.model)[0]


def looks(state: State) -> tuple[object, ...]:
    return (None if state.spec is None else state.pending, state.published)


class PlainMachine(StoreMachine):
    """Also damages files."""

    @precondition(lambda self: self.model.done and not self.model.published)
    @rule(data=st.data(), name=st.sampled_from(["rss", "position", "status"]))
    def damage(self, data: st.DataObject, name: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.model.done)))
        if job in self.model.damaged:
            return
        folder = self.folder / "store" / SITE / name / "c" / "0"
        number = str(job.block(self.model.spec))
        (file,) = (
            file
            for file in folder.rglob("*")
            if file.is_file() and file.suffix != ".partial"
            if file.relative_to(folder).parts[0] == number
        )
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 0x41
        file.write_bytes(content)
        self.model = State(self.model.spec, self.model.done, damaged=self.model.damaged | {job})
        place = f"{name}, realisation 0, points {job.start}:{job.stop}"
        assert place in {fault.key for fault in verify(self.store)}


class VersionedMachine(StoreMachine):
    """Icechunk in a folder: each change is one commit."""

    form = "icechunk:{}"
    atomic = True


TestPlain = PlainMachine.TestCase
TestPlain.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    # A failing example is short enough as it is found, and minutes of shrinking hide it.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
TestVersioned = VersionedMachine.TestCase
TestVersioned.settings = settings(TestPlain.settings, max_examples=6, stateful_step_count=12)
