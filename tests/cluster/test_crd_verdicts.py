"""The real API server and `pythonpool validate` say what they should of every manifest."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from operator_stage import POOLS, Api, Refused, Space
from unit.test_pool_mistakes import MISTAKES, OUTSIDE, manifest

from pythonpool.pool import parse_pool

ROOT = Path(__file__).parents[2]
STORED = sorted((Path(__file__).parent / "stored").glob("v1alpha1-*.yaml"))
SAID = {
    row["validate"]: row["apply"]
    for row in yaml.safe_load((Path(__file__).parent / "refusals.yaml").read_text())
}
"""Line of `validate`, to what the API server says of the same manifest."""
ABOUT = re.compile(r'^\d+: (\w+\.pythonpool\.dev ".*?" is invalid: )?')
UNFINISHED = (
    ", <nil>: Invalid value: null: some validation rules were not checked because the object was"
    " invalid; correct the existing errors to complete validation]"
)


def try_it(api: Api, document: dict[str, Any]) -> None:
    """What `kubectl apply --dry-run=server` sends, with its own strictness about fields."""
    api.ask("POST", POOLS.format("default") + "?dryRun=All&fieldValidation=Strict", document)


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_what_was_once_right_stays_right(api: Api, path: Path) -> None:
    """Written once and never edited: a schema that refuses one of these breaks its users."""
    for document in documents(path):
        try_it(api, document)
        parse_pool(document)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_example_is_taken(api: Api, path: Path) -> None:
    for document in documents(path):
        try_it(api, document)


def can_be_sent(spec: dict[str, Any]) -> bool:
    """JSON has no NaN, and no rule of a CRD sees the length of a free object."""
    text = json.dumps(spec)
    return "NaN" not in text and len(text) < 16 * 1024


def said(refused: Refused) -> str:
    """The words about the mistake alone."""
    words = ABOUT.sub("", str(refused)).replace(UNFINISHED, "]")
    return words[1:-1] if words.startswith("[") else words


SENT = [
    *(
        (manifest({"adapter": "general"} | spec), line)
        for spec, line in MISTAKES
        if can_be_sent(spec)
    ),
    *((manifest({"adapter": "general"}) | beside, line) for beside, line in OUTSIDE),
]


@pytest.mark.parametrize(("document", "line"), SENT, ids=[line[:60] for _, line in SENT])
def test_what_validate_refuses_the_api_server_refuses(
    api: Api, document: dict[str, Any], line: str
) -> None:
    """Word for word; the lines themselves are checked without a cluster."""
    with pytest.raises(Refused) as refused:
        try_it(api, document)

    assert refused.value.status in (400, 422)
    assert said(refused.value) == SAID[line]


def test_every_line_of_the_table_is_tried() -> None:
    assert set(SAID) == {line for _, line in SENT}


@pytest.mark.parametrize(
    ("replicas", "words"),
    [
        (1001, "spec.replicas in body should be less than or equal to 1000"),
        (-1, "should be a non-negative integer"),
    ],
)
def test_a_wrong_scale_is_refused(api: Api, space: Space, replicas: int, words: str) -> None:
    """`kubectl scale` goes by another door, and finds the same bounds."""
    space.make("steady", replicas=2)
    scale = f"{POOLS.format(space.name)}/steady/scale"

    with pytest.raises(Refused, match=words):
        api.ask("PATCH", scale, {"spec": {"replicas": replicas}})

    assert space.pool("steady")["spec"]["replicas"] == 2
