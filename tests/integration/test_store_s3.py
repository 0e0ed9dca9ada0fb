"""Stores in object storage, against a server process that speaks S3."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from datetime import timedelta

import icechunk
import numpy as np
import pytest

from tests.integration.flaky_proxy import FlakyProxy, flaky
from tests.integration.killed_runs import Starter, kill
from tests.integration.s3_server import Server, served
from tests.integration.small_sites import SITE, make_block, make_spec, write_jobs
from twin.errors import InputError, StoreError
from twin.seeds import stream
from twin.store import objects
from twin.store.layout import jobs_of
from twin.store.location import storage
from twin.store.reader import environments, open_site
from twin.store.verify import verify
from twin.store.writer import claimed, create_site, pending_jobs, publish, write_site

SPEC = make_spec(1, 4, 2, variables=("rss",))
FORMS = ("s3", "icechunk+s3")
SERVERS = ("moto", "minio") if shutil.which("minio") else ("moto",)
# Where Icechunk keeps which snapshot a branch or tag means, in its first and second release.
BRANCH = "/(refs/|repo)"


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[Server]:
    with served(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def bucket(server: Server, request: pytest.FixtureRequest) -> str:
    digits = stream(0, request.node.name).integers(10, size=12)
    name = "b" + "".join(map(str, digits))
    server.client().create_bucket(Bucket=name)
    return name


@pytest.fixture(params=FORMS)
def store(bucket: str, request: pytest.FixtureRequest) -> str:
    return f"{request.param}://{bucket}/some/store"


@pytest.fixture(scope="module")
def starter(server: Server) -> Iterator[Starter]:
    assert server
    starter = Starter()
    yield starter
    starter.close()


def run_here(store, spec=SPEC) -> str:
    return write_site(store, SITE, spec, lambda job: make_block(spec, job))


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> str:
    """Digest of the same site on a disk."""
    return run_here(tmp_path_factory.mktemp("disk") / "store.zarr")


def test_a_site_is_what_it_is_on_a_disk(
    store: str, expected: str, server: Server, bucket: str, tmp_path
) -> None:
    config = create_site(store, SITE, SPEC)
    write_jobs(store, SPEC, jobs_of(SPEC)[:1])
    with pytest.raises(StoreError, match="1 of 2 jobs are missing"):
        open_site(store, SITE)
    assert config == SPEC.digest
    assert pending_jobs(store, SITE) == jobs_of(SPEC)[1:]
    assert run_here(store) == expected
    assert verify(store) == []
    run_here(tmp_path)
    for found, planned in zip(environments(store, SITE), environments(tmp_path, SITE), strict=True):
        np.testing.assert_array_equal(found.features["rss"], planned.features["rss"])
        np.testing.assert_array_equal(found.position, planned.position)
        assert found.ap == planned.ap
    with open_site(store, SITE) as there, open_site(tmp_path, SITE) as here:
        np.testing.assert_array_equal(there["rss"].to_numpy(), here["rss"].to_numpy())
    assert [key for key in server.keys(bucket) if "claims" in key] == []


def test_four_writers_and_no_commit_is_lost(bucket: str, starter: Starter, tmp_path) -> None:
    store = f"icechunk+s3://{bucket}/store"
    spec = make_spec(4, 6, 2, variables=("rss",))
    starter.start(store, spec)
    assert starter.end() == [(0, "")]
    assert run_here(tmp_path, spec) == run_here(store, spec)
    done = {entry.message for entry in storage(store).history()}
    assert done >= {f"{SITE}: {job.name(spec)}" for job in jobs_of(spec)}


def test_killed_runs_are_taken_up(
    store: str,
    starter: Starter,
    expected: str,
    server: Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The claim of a run that was killed counts until it lapses."""
    moments = stream(4, "moments of the kill", store)
    claims = 0
    for number in range(2):
        place = f"{store}{number}"
        group = starter.start(place, SPEC)
        time.sleep(float(moments.uniform(0.2, 0.6)))
        kill(group)
        assert starter.end() == [(-signal.SIGKILL, "")]
        claim = [key for key in server.keys(bucket) if key.endswith(f"{number}.claims/room.json")]
        claims += len(claim)
        with pytest.raises(StoreError, match=r"found a run \(") if claim else nullcontext():
            run_here(place)
        with monkeypatch.context() as patch:
            patch.setattr(objects, "_LAPSES_AFTER_S", 0.0)
            assert run_here(place) == expected
        assert verify(place) == []
    assert claims > 0


def test_two_runs_at_once(store: str, starter: Starter, expected: str) -> None:
    starter.start(store, SPEC)
    starter.start(store, SPEC)
    outcomes = starter.end()
    assert sorted(code for code, _ in outcomes) == [0, 1]
    assert any("at work. Wait for it to end" in text for _, text in outcomes)
    assert run_here(store) == expected
    assert verify(store) == []


def test_half_made_repository_is_made_whole(server: Server, bucket: str, expected: str) -> None:
    store = f"icechunk+s3://{bucket}/store"
    storage(store).prepare()
    for key in server.keys(bucket):
        if key.startswith(("store/refs/", "store/repo")):
            server.client().delete_object(Bucket=bucket, Key=key)
    assert server.keys(bucket)
    assert run_here(store) == expected


@pytest.mark.parametrize("renewed_every_s", [0.05, 3600.0])
def test_a_holder_that_slept_is_told_at_the_end(
    store: str, renewed_every_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake = threading.Event()
    renew = objects._Claim.renew

    def renewed_awake(claim: objects._Claim) -> None:
        awake.wait()
        renew(claim)

    monkeypatch.setattr(objects, "_RENEWED_EVERY_S", renewed_every_s)
    monkeypatch.setattr(objects._Claim, "renew", renewed_awake)
    slept = ExitStack()
    slept.enter_context(claimed(store, SITE))
    # As of a machine that wakes up after its claim has lapsed.
    monkeypatch.setattr(objects, "_LAPSES_AFTER_S", 0.0)
    with claimed(store, SITE):
        awake.set()
        time.sleep(0.3)
        monkeypatch.undo()
        with pytest.raises(StoreError, match="another run took it over"):
            slept.close()
        with pytest.raises(StoreError, match=r"found a run \("), claimed(store, SITE):
            pass


def test_a_claim_is_renewed(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_LAPSES_AFTER_S", 0.5)
    monkeypatch.setattr(objects, "_RENEWED_EVERY_S", 0.05)
    with claimed(store, SITE):
        time.sleep(1.0)
        with pytest.raises(StoreError, match=r"found a run \("), claimed(store, SITE):
            pass
        with claimed(store, "hall"):
            pass


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyProxy]:
    """A proxy before the server, which so far lets everything pass."""
    with flaky(server.url, 0.0, seed=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def test_a_fifth_of_all_requests_fails(
    store: str, proxy: FlakyProxy, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sooner = {"init_backoff": timedelta(milliseconds=20), "max_backoff": timedelta(seconds=1)}
    monkeypatch.setitem(objects._RETRIES, "backoff", {**sooner, "base": 2})
    proxy.share = 0.2
    assert run_here(store) == expected
    assert len(environments(store, SITE)) == 1
    sys.stdout.write(f"{dict(proxy.failures)} of {proxy.requests} requests\n")
    assert proxy.failures.total() > 0.1 * proxy.requests
    assert all(proxy.failures[kind] for kind in ("500", "503", "dropped", "answer dropped"))


@pytest.mark.parametrize(
    ("form", "part", "fault"),
    [
        ("s3", "store.claims/room", "dropped"),
        ("s3", "store.claims/room", "answer dropped"),
        ("icechunk+s3", BRANCH, "dropped"),
        ("icechunk+s3", BRANCH, "answer dropped"),
    ],
)
def test_one_put_fails(
    bucket: str, proxy: FlakyProxy, fault: str, form: str, part: str, expected: str
) -> None:
    proxy.next_fault = (f"PUT .*{part}", fault)
    assert run_here(f"{form}://{bucket}/store") == expected
    assert proxy.failures == {fault: 1}


@pytest.mark.parametrize("change", ["lay out", "r0000-p0001", "tag"])
def test_a_commit_whose_answer_is_lost_counts(
    bucket: str, proxy: FlakyProxy, change: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent again, and then finds that the branch has moved: by itself."""
    store = f"icechunk+s3://{bucket}/store"
    commit, create_tag = icechunk.Session.commit, icechunk.Repository.create_tag

    def commit_unanswered(session, message, *args, **settings):
        if change in message:
            proxy.next_fault = (f"PUT .*{BRANCH}", "answer dropped")
        return commit(session, message, *args, **settings)

    def tag_unanswered(repository, *args):
        if change == "tag":
            proxy.next_fault = (f"PUT .*{BRANCH}", "answer dropped")
        return create_tag(repository, *args)

    monkeypatch.setattr(icechunk.Session, "commit", commit_unanswered)
    monkeypatch.setattr(icechunk.Repository, "create_tag", tag_unanswered)
    assert run_here(store) == expected
    assert proxy.failures == {"answer dropped": 1}
    history = storage(store).history()
    assert len({entry.message for entry in history}) == len(history)
    assert history[0].tags == (f"{SITE}-{expected[:12]}",)


def test_keys_that_expire_leave_a_store_that_can_be_taken_up(
    store: str, proxy: FlakyProxy, expected: str
) -> None:
    create_site(store, SITE, SPEC)
    jobs = jobs_of(SPEC)
    write_jobs(store, SPEC, jobs[:1])
    proxy.next_fault = ("PUT", "403")
    with pytest.raises(StoreError, match=r"r0000-p0001: .*ExpiredToken.*Set AWS_ACCESS"):
        write_jobs(store, SPEC, jobs[1:])
    assert pending_jobs(store, SITE) == jobs[1:]
    write_jobs(store, SPEC, jobs[1:])
    proxy.next_fault = ("PUT", "403")
    with pytest.raises(StoreError, match=r"ExpiredToken|object store service error"):
        publish(store, SITE)
    with pytest.raises(StoreError, match="not published, 0 of 2 jobs are missing"):
        open_site(store, SITE)
    assert publish(store, SITE) == expected


def test_server_that_does_not_answer(
    bucket: str, proxy: FlakyProxy, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"s3://{bucket}/store"
    monkeypatch.setitem(objects._RETRIES, "max_retries", 2)
    begin = time.perf_counter()
    proxy.share = 1.0
    with pytest.raises(StoreError, match="once the storage answers"):
        run_here(store)
    for read in (verify, lambda store: open_site(store, SITE)):
        with pytest.raises(StoreError, match="once the storage answers"):
            read(store)
    assert time.perf_counter() - begin < 10
    proxy.share = 0.0
    create_site(store, SITE, SPEC)
    proxy.share = 1.0
    with pytest.raises(StoreError, match="once the storage answers"):
        write_jobs(store, SPEC, jobs_of(SPEC))
    proxy.share = 0.0
    assert pending_jobs(store, SITE) == jobs_of(SPEC)
    assert run_here(store) == expected


def test_bucket_that_is_not_there(store: str) -> None:
    other = store.replace("://", "://no-")
    with pytest.raises((StoreError, InputError), match="NoSuchBucket"):
        run_here(other)
    with pytest.raises((StoreError, InputError), match=r"Make the bucket|nothing there"):
        verify(other)


@pytest.mark.parametrize(
    ("right", "message"),
    [
        ("wrong key", "InvalidAccessKeyId.*Set AWS_ACCESS_KEY_ID"),
        ("wrong secret", "SignatureDoesNotMatch.*Set AWS_ACCESS_KEY_ID"),
        ("none", "AccessDenied.*Give this user the right"),
        ("reading", "AccessDenied"),
    ],
)
def test_keys_without_the_right(
    store: str,
    right: str,
    message: str,
    server: Server,
    bucket: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "minio" in request.node.name:
        pytest.skip("users are made in moto's way")
    iam = server.client("iam")
    name = f"{right.replace(' ', '-')}-{bucket}"
    iam.create_user(UserName=name)
    actions = {"none": [], "reading": ["s3:GetObject", "s3:ListBucket"]}.get(right, ["s3:*"])
    for action in actions:
        rule = {"Effect": "Allow", "Action": action, "Resource": "*"}
        iam.put_user_policy(
            UserName=name,
            PolicyName=action[3:].replace("*", "all"),
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [rule]}),
        )
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    if right != "wrong key":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    if right != "wrong secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    server.check_keys("0")
    try:
        with pytest.raises((StoreError, InputError), match=message):
            run_here(store)
    finally:
        server.check_keys("inf")
    monkeypatch.undo()
    assert server.keys(bucket) == []
