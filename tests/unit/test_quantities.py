"""Quantities mean what they mean in Kubernetes, and are written as it writes them."""

import pytest

from pythonpool.spec.quantities import Cpu, Memory


@pytest.mark.parametrize(
    ("given", "number", "text"),
    [
        ("512Mi", 512 * 2**20, "512Mi"),
        ("1024Mi", 2**30, "1Gi"),
        ("0.5Gi", 2**29, "512Mi"),
        ("1.5Gi", 3 * 2**29, "1536Mi"),
        (".5Ki", 512, "512"),
        ("1.Ki", 1024, "1Ki"),
        ("4Ti", 2**42, "4Ti"),
        ("1Ei", 2**60, "1Ei"),
        ("1000M", 10**9, "1G"),
        ("1500M", 1500 * 10**6, "1500M"),
        ("1e9", 10**9, "1G"),
        ("12E2", 1200, "1200"),
        ("1E", 10**18, "1E"),
        (536870912, 536870912, "536870912"),
        ("1000", 1000, "1k"),
        ("100m", 1, "1"),
        ("1500m", 2, "2"),
        ("0", 0, "0"),
        (0, 0, "0"),
    ],
)
def test_memory_is_read_in_bytes(given: str | int, number: int, text: str) -> None:
    """Rounded up to whole bytes, and canonical: `1024Mi` must not differ from a live `1Gi`."""
    memory = Memory.parse(given)

    assert (memory.bytes, memory.text, str(memory)) == (number, text, text)
    assert Memory.parse(memory.text).bytes == number


@pytest.mark.parametrize(
    ("given", "millis", "cores", "text"),
    [
        ("100m", 100, 0.1, "100m"),
        ("1", 1000, 1.0, "1"),
        (2, 2000, 2.0, "2"),
        ("0.5", 500, 0.5, "500m"),
        ("1.25", 1250, 1.25, "1250m"),
        ("1000m", 1000, 1.0, "1"),
        ("100u", 1, 0.001, "1m"),
        ("0.0001", 1, 0.001, "1m"),
    ],
)
def test_cpu_is_read_in_thousandths(given: str | int, millis: int, cores: float, text: str) -> None:
    """The scheduler knows nothing smaller."""
    cpu = Cpu.parse(given)

    assert (cpu.millis, cpu.cores, cpu.text, str(cpu)) == (millis, cores, text, text)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "Mi",
        ".",
        "1 Gi",
        "1GB",
        "-1",
        "+1",
        "1gi",
        "1K",
        "1e",
        "0x10",
        "1_000",
        "٣",
        "1Mi\n",
        "1" * 33,
        "1e1000",
    ],
)
def test_what_is_no_quantity_is_refused(bad: str) -> None:
    """With the text, in one line."""
    with pytest.raises(ValueError, match="must be a quantity such as"):
        Memory.parse(bad)


@pytest.mark.parametrize("bad", ["1Mi\n", "1" * 33, "1e1000"])
def test_a_quantity_that_no_machine_could_hold_is_refused(bad: str) -> None:
    """Before any arithmetic with it."""
    with pytest.raises(ValueError, match="must be a quantity such as"):
        Memory.parse(bad)
