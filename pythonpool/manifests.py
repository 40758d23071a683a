"""PythonPool manifests on disk: YAML files to pools, and every mistake in them as one line.

Called by `up` and `validate`. A line begins with the file, and the line where the document begins:
`pools.yaml:14: spec.replicas is -1, must be at least 0`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pythonpool import names
from pythonpool.errors import InvalidArgument
from pythonpool.pool import PythonPool, validation_lines
from pythonpool.spec.mistakes import value_text
from pythonpool.spec.yamltext import Document, YamlMistake, documents

MAX_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ManifestPool:
    """A pool and where it was read.

    Attributes:
        pool: the valid resource.
        file: the file as it was named.
        line: the line at which its document begins, from 1.
        folder: the absolute folder of the file; it is on the import path of the pool's workers.
    """

    pool: PythonPool
    file: Path
    line: int
    folder: Path

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.pool.name


def check_manifests(paths: Sequence[str | Path]) -> tuple[list[ManifestPool], list[str]]:
    """The valid pools of all files, and a line for each mistake; no line: all is well."""
    pools: list[ManifestPool] = []
    found: list[str] = []
    if not paths:
        found.append("no manifest is named, must be at least one YAML file")
    for path in paths:
        good, bad = _of_file(Path(path))
        pools.extend(good)
        found.extend(bad)
    found.extend(_names_given_twice(pools))
    return pools, found


def read_manifests(paths: Sequence[str | Path]) -> list[ManifestPool]:
    """All pools of all files, in their order.

    Raises:
        InvalidArgument: one line, the mistakes of all files joined by `; `.
    """
    pools, found = check_manifests(paths)
    if found:
        raise InvalidArgument("; ".join(found))
    return pools


def refuse_for_one_machine(pool: PythonPool) -> list[str]:
    """A line for each thing that is right in a cluster and can not be had on one machine."""
    return [
        f"spec.env[{index}] takes {variable.name} from a Secret, which one machine does not have: "
        f"must be given by value here"
        for index, variable in enumerate(pool.spec.env)
        if variable.value_from is not None
    ]


def _of_file(path: Path) -> tuple[list[ManifestPool], list[str]]:
    pools: list[ManifestPool] = []
    found: list[str] = []
    try:
        read = documents(_text(path))
    except YamlMistake as mistake:
        return [], [f"{path}{f':{mistake.line}' if mistake.line else ''}: {mistake}"]
    folder = path.resolve().parent
    for document in read:
        where = f"{path}:{document.line}"
        wrong = _wrong_kind(document)
        if wrong:
            found.append(f"{where}: {wrong}")
            continue
        try:
            pool = PythonPool.model_validate(document.content, by_alias=True, by_name=False)
        except ValidationError as error:
            found.extend(f"{where}: {line}" for line in validation_lines(error))
        else:
            pools.append(ManifestPool(pool, path, document.line, folder))
    return pools, found


def _text(path: Path) -> str:
    """The text of a file, or a mistake that says why there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        raise YamlMistake("is a folder, must be a YAML file", 0) from None
    except FileNotFoundError:
        raise YamlMistake("does not exist, must be a YAML file", 0) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise YamlMistake(f"can not be read: {reason}", 0) from None
    if len(data) > MAX_FILE_BYTES:
        raise YamlMistake("is too large, must be at most 4 MiB", 0)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlMistake("is not UTF-8 text", data.count(b"\n", 0, error.start) + 1) from None


def _wrong_kind(document: Document) -> str:
    """Why a document is no PythonPool at all; empty when it is one."""
    content: Any = document.content
    if not isinstance(content, dict):
        return f"the document is {value_text(content)}, must be a {names.KIND}"
    kind, version = content.get("kind"), content.get("apiVersion")
    if kind != names.KIND:
        said = "missing" if kind is None else value_text(kind)
        return f"kind is {said}, must be {names.KIND}"
    if version != names.API_VERSION:
        said = "missing" if version is None else value_text(version)
        return f"apiVersion is {said}, must be {names.API_VERSION}"
    return ""


def _names_given_twice(pools: Iterable[ManifestPool]) -> list[str]:
    first: dict[str, ManifestPool] = {}
    found = []
    for pool in pools:
        before = first.setdefault(pool.name, pool)
        if before is not pool:
            found.append(
                f'{pool.file}:{pool.line}: metadata.name is "{pool.name}", which stands at '
                f"{before.file}:{before.line} already, must be another name"
            )
    return found
