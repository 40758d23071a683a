"""Manifests are read from YAML files; what is wrong with a file is one line with its name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pythonpool.errors import InvalidArgument
from pythonpool.manifests import check_manifests, read_manifests, refuse_for_one_machine
from pythonpool.spec.normalised import normalised_spec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Write = Callable[[str, str], Path]


def pool_text(name: str, spec: str = "{adapter: general}") -> str:
    return (
        f"apiVersion: pythonpool.dev/v1alpha1\nkind: PythonPool\n"
        f"metadata: {{name: {name}}}\nspec: {spec}\n"
    )


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def to_file(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def refusal(*paths: str | Path) -> str:
    with pytest.raises(InvalidArgument) as caught:
        read_manifests(paths)
    return caught.value.detail


def test_pools_come_from_several_documents_and_files(write: Write, tmp_path: Path) -> None:
    """In their order, each with the folder that its workers import from."""
    write("a.yaml", "# two pools\n---\n" + pool_text("one") + "---\n" + pool_text("two") + "---\n")
    write("shop/b.yaml", pool_text("three"))

    pools = read_manifests(["a.yaml", "shop/b.yaml"])

    assert [(pool.name, pool.line) for pool in pools] == [("one", 3), ("two", 8), ("three", 1)]
    assert [pool.folder for pool in pools] == [tmp_path, tmp_path, tmp_path / "shop"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "a.yaml: is empty, must hold at least one PythonPool"),
        ("---\n# nothing\n---\n", "a.yaml: is empty, must hold at least one PythonPool"),
        ("a: [1\nb: 2\n", "a.yaml:2: is not YAML: expected ',' or ']', but got ':'"),
        ("a: b: c", "a.yaml:1: is not YAML: mapping values are not allowed here"),
        (
            "a: !shop 1",
            "a.yaml:1: is not YAML: could not determine a constructor for the tag '!shop'",
        ),
        (
            "a: !!python/object/apply:os.system ['true']",
            (
                "a.yaml:1: is not YAML: could not determine a constructor for the tag "
                "'tag:yaml.org,2002:python/object/apply:os.system'"
            ),
        ),
        ("\x00", "a.yaml: is not YAML: special characters are not allowed"),
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3: the key a is given twice, must be given once"),
        ("a: {b: {y: 1}}\n", "a.yaml:1: the key y is not text, must be in quotes"),
        ("a: {[1]: 2}\n", "a.yaml:1: the key of several values is not text, must be in quotes"),
        ("a: &a [*a]\n", "a.yaml:1: an alias refers to itself, must refer to something else"),
        ("[" * 5000, "a.yaml: is nested too deeply, must be at most some hundred levels"),
        ("a: 0x_", "a.yaml: is not YAML: invalid literal for int() with base 16: ''"),
        ("hello", 'a.yaml:1: the document is "hello", must be a PythonPool'),
        ("- 1\n", "a.yaml:1: the document is [1], must be a PythonPool"),
        ("kind: Deployment\n", 'a.yaml:1: kind is "Deployment", must be PythonPool'),
        ("spec: {}\n", "a.yaml:1: kind is missing, must be PythonPool"),
        (
            "kind: PythonPool\napiVersion: pythonpool.dev/v1\n",
            'a.yaml:1: apiVersion is "pythonpool.dev/v1", must be pythonpool.dev/v1alpha1',
        ),
        (
            pool_text("a", "{adapter: general, replicas: -1, concurrency: 0}"),
            (
                "a.yaml:1: spec.replicas is -1, must be at least 0; "
                "a.yaml:1: spec.concurrency is 0, must be at least 1"
            ),
        ),
        (
            pool_text("a") + "---\n" + pool_text("b", "{adapter: general, isolation: no}"),
            "a.yaml:6: spec.isolation is false, must be process or thread",
        ),
        (
            pool_text("a") + "---\n" + pool_text("a"),
            (
                'a.yaml:6: metadata.name is "a", which stands at a.yaml:1 already, '
                "must be another name"
            ),
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(write: Write, text: str, line: str) -> None:
    """File, line, what, and what it must be."""
    write("a.yaml", text)

    assert refusal("a.yaml") == line


def test_a_file_that_can_not_be_read_is_named(write: Write, tmp_path: Path) -> None:
    """Not a traceback of the operating system's."""
    write("folder/x.yaml", "")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe4\n")
    (tmp_path / "big.yaml").write_bytes(b"#" * (4 * 2**20 + 1))

    assert refusal("none.yaml") == "none.yaml: does not exist, must be a YAML file"
    assert refusal("folder") == "folder: is a folder, must be a YAML file"
    assert refusal("latin.yaml") == "latin.yaml:2: is not UTF-8 text"
    assert refusal("big.yaml") == "big.yaml: is too large, must be at most 4 MiB"
    assert refusal("a\0b") == "a\0b: can not be read: embedded null byte"
    assert refusal("big.yaml/a") == "big.yaml/a: can not be read: Not a directory"
    assert refusal() == "no manifest is named, must be at least one YAML file"


def test_all_files_are_looked_at(write: Write) -> None:
    """Good pools are there beside the lines about the bad ones."""
    write("good.yaml", pool_text("one"))
    write("bad.yaml", pool_text("two", "{}"))

    pools, lines = check_manifests(["none.yaml", "good.yaml", "bad.yaml"])

    assert [pool.name for pool in pools] == ["one"]
    assert lines == [
        "none.yaml: does not exist, must be a YAML file",
        "bad.yaml:1: spec.adapter is missing, must be given",
    ]


def test_one_name_in_two_files_is_refused(write: Write) -> None:
    """Also when it is the same file twice."""
    write("a.yaml", pool_text("one"))

    assert refusal("a.yaml", "a.yaml") == (
        'a.yaml:1: metadata.name is "one", which stands at a.yaml:1 already, must be another name'
    )


def test_aliases_that_swell_are_refused(write: Write) -> None:
    """Nine lines could fill the memory of the machine."""
    rows = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    rows += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)]
    write("a.yaml", "\n".join(rows))

    assert refusal("a.yaml") == "a.yaml:5: unfolds to over 100000 values, must be fewer"


def test_scalars_are_those_of_kubectl(write: Write) -> None:
    """What differs between YAML readers would make the two homes differ."""
    config = "{a: 1e3, b: 1:30, c: 2026-01-01, d: y, e: off, f: 010, g: .5, h: ~, i: '1', j: +2}"
    write("a.yaml", pool_text("one", f"{{adapter: general, config: {config}}}"))

    assert read_manifests(["a.yaml"])[0].pool.spec.config == {
        "a": 1000.0,
        "b": "1:30",
        "c": "2026-01-01",
        "d": True,
        "e": False,
        "f": 8,
        "g": 0.5,
        "h": None,
        "i": "1",
        "j": 2,
    }


def test_merge_keys_and_aliases_work(write: Write) -> None:
    """They are plain YAML, and save repeating."""
    spec = "{adapter: general, config: {base: &b {a: 1, c: 2}, more: {<<: *b, c: 3}, same: *b}}"
    write("a.yaml", pool_text("one", spec))

    config = read_manifests(["a.yaml"])[0].pool.spec.config

    assert config == {"base": {"a": 1, "c": 2}, "more": {"a": 1, "c": 3}, "same": {"a": 1, "c": 2}}


def test_a_secret_is_valid_but_not_on_one_machine(write: Write) -> None:
    """`validate` takes it and `up` refuses it, with the variable's name."""
    env = "[{name: A, value: x}, {name: KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}]"
    write("a.yaml", pool_text("one", f"{{adapter: general, env: {env}}}"))

    (found,) = read_manifests(["a.yaml"])

    assert refuse_for_one_machine(found.pool) == [
        (
            "spec.env[1] takes KEY from a Secret, which one machine does not have: "
            "must be given by value here"
        )
    ]


def test_the_three_pools_of_the_contract_are_shipped() -> None:
    """The table of API.md 1, to the letter."""
    rows = {}
    for found in read_manifests([EXAMPLES / "pools.yaml"]):
        spec = normalised_spec(found.pool)
        rows[found.name] = (
            spec["adapter"],
            spec["replicas"],
            spec["local"],
            spec["resources"]["memoryBytes"] // 2**20,
            spec["gpu"]["count"] if spec["gpu"] else None,
            spec["timeoutSeconds"],
            spec["healthCheck"]["periodSeconds"],
        )

    per_core = {"replicas": None, "replicasPerCore": 2, "gpu": "Required"}
    one = {"replicas": 1, "replicasPerCore": None, "gpu": "IfPresent"}
    assert rows == {
        "general": ("general", 4, per_core, 512, None, 30, 30),
        "optimizer": ("optimizer", 2, None, 4096, None, 300, 60),
        "neural": ("neural", 4, one, 8192, 1, 600, 60),
    }


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    """And can be had on one machine."""
    for found in read_manifests([path]):
        assert refuse_for_one_machine(found.pool) == []
