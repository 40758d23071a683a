"""Output within bounds: lines, buckets, tails, and stacks without frames of ours."""

from pathlib import Path

import pytest

import pythonpool_worker
from pythonpool_worker.keeper.cgroup import OomCount, container, cpu_quota
from pythonpool_worker.keeper.killing import shown_stack
from pythonpool_worker.keeper.launch import environment
from pythonpool_worker.keeper.output import MAX_LINE_BYTES, LineCutter, Tail, TokenBucket

HOUSE = Path(pythonpool_worker.__file__).parent


@pytest.mark.parametrize(
    ("fed", "lines", "rest"),
    [
        ([b"one\ntwo\n"], [b"one", b"two"], []),
        ([b"on", b"e\n\n\ntw", b"o"], [b"one"], [b"two"]),
        ([b" 10 %\r 20 %\r\n"], [b" 20 %"], []),
        ([b"windows\r\n"], [b"windows"], []),
        ([b"\r 1 %\r 2 %"], [], [b" 2 %"]),
        ([b"x" * (MAX_LINE_BYTES + 1) + b"\n"], [b"x" * MAX_LINE_BYTES, b"x"], []),
        ([b"x" * MAX_LINE_BYTES, b"y"], [b"x" * MAX_LINE_BYTES], [b"y"]),
    ],
)
def test_bytes_become_lines_however_they_were_cut(
    fed: list[bytes], lines: list[bytes], rest: list[bytes]
) -> None:
    cutter = LineCutter()

    assert [line for data in fed for line in cutter.feed(data)] == lines
    assert cutter.flush() == rest
    assert cutter.flush() == []


def test_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    bucket = TokenBucket(0.0, rate=100, burst=1000)

    assert bucket.take(1000, 0.0)
    assert not bucket.take(1, 0.0)
    assert bucket.take(50, 0.5)
    assert not bucket.take(1, 0.5)
    assert bucket.take(1000, 60.0)


def test_tail_keeps_the_last_lines_cut() -> None:
    tail = Tail()
    for number in range(25):
        tail.add(f"{number} " + "x" * 1000)

    lines = tail.text().splitlines()
    assert (len(lines), lines[0][:2], len(lines[0])) == (20, "5 ", 400)


def test_stack_is_shown_without_our_frames() -> None:
    """The reader's own code is what helps."""
    dump = (
        "Current thread 0x01 (most recent call first):\n"
        '  File "/home/me/shop.py", line 7 in price\n'
        f'  File "{HOUSE}/executor/calls.py", line 1 in _run\n'
        f'  File "{HOUSE}/template/main.py", line 1 in main\n'
        '  File "<frozen runpy>", line 88 in _run_code\n'
    )

    assert shown_stack(dump.encode()).splitlines() == dump.splitlines()[:2]


def test_stack_of_our_code_alone_is_shown_whole() -> None:
    dump = f'Current thread 0x01:\n  File "{HOUSE}/executor/main.py", line 1 in x\n'

    assert shown_stack(dump.encode()) == dump.rstrip()
    assert shown_stack(b"") == ""


def test_version_2_of_cgroups_is_read(tmp_path: Path) -> None:
    """Over the line the file pages that can be dropped do not count."""
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 300\n")
    found = container(v2=tmp_path, v1=tmp_path / "none")

    assert found is not None
    assert found.limit_bytes == 1000
    assert (found.used_bytes(950), found.used_bytes(800)) == (900, 600)


def test_version_1_of_cgroups_is_read(tmp_path: Path) -> None:
    (tmp_path / "memory.usage_in_bytes").write_text("900\n")
    (tmp_path / "memory.stat").write_text(
        "inactive_file 1\nhierarchical_memory_limit 1000\ntotal_inactive_file 300\n"
    )
    found = container(v2=tmp_path / "none", v1=tmp_path)

    assert found is not None
    assert (found.limit_bytes, found.used_bytes(800)) == (1000, 600)


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_no_limit_is_no_container(tmp_path: Path, limit: str) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.stat").write_text(f"hierarchical_memory_limit {limit.replace('max', '0')}")

    assert container(v2=tmp_path, v1=tmp_path) is None
    assert container(v2=tmp_path / "none", v1=tmp_path / "none") is None


@pytest.mark.parametrize(
    ("quota", "cores"), [("max", None), ("-1", None), ("50000", 1), ("150000", 2), ("400000", 4)]
)
def test_cpu_limit_is_read_in_whole_cores(tmp_path: Path, quota: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    (tmp_path / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")

    assert cpu_quota(v2=tmp_path, v1=tmp_path / "none") == cores
    assert cpu_quota(v2=tmp_path / "none", v1=tmp_path) == cores
    assert cpu_quota(v2=tmp_path / "none", v1=tmp_path / "none") is None


def test_environment_of_executors_has_one_thread_unless_the_pool_says_more() -> None:
    given = environment({"HOME": "/h", "OMP_NUM_THREADS": "4"}, 2)

    assert (given["OMP_NUM_THREADS"], given["OPENBLAS_NUM_THREADS"]) == ("4", "1")
    assert (given["NPROC"], given["HOME"]) == ("2", "/h")
    assert "NPROC" not in environment({}, None)


def test_kernel_kills_are_seen_for_some_seconds(tmp_path: Path) -> None:
    """The dead die slowly; an old kill explains no new death."""
    (tmp_path / "memory.events").write_text("oom 1\noom_kill 1\n")
    count = OomCount(in_container=True, v2=tmp_path, v1=tmp_path)
    count.note(10.0)
    assert not count.has_risen()

    (tmp_path / "memory.events").write_text("oom 2\noom_kill 2\n")
    count.note(11.0)
    assert count.has_risen()
    for second in range(12, 20):
        count.note(float(second))
    assert not count.has_risen()


def test_kernel_kills_outside_the_workers_own_container_convict_nobody(tmp_path: Path) -> None:
    """On one machine, and where no container counts, a rise is somebody else's."""
    (tmp_path / "memory.events").write_text("oom_kill 1\n")
    beside = OomCount(in_container=False, v2=tmp_path, v1=tmp_path)
    uncounted = OomCount(in_container=True, v2=tmp_path / "none", v1=tmp_path / "none")
    for count in (beside, uncounted):
        count.note(10.0)

    (tmp_path / "memory.events").write_text("oom_kill 2\n")
    assert not beside.has_risen()
    # What the kernel counts for the machine rises, or not: it is not looked at.
    assert not uncounted.has_risen()
