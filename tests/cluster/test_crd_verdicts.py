"""The real API server and `pythonpool validate` say the same of every manifest, right or wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from operator_stage import POOLS, Api, Refused
from unit.test_pool_mistakes import MISTAKES, manifest

from pythonpool.pool import parse_pool

ROOT = Path(__file__).parents[2]
STORED = sorted((Path(__file__).parent / "stored").glob("v1alpha1-*.yaml"))
RULED = "must be at most maxT"
"""Words of rules that the CRD carries as CEL: both say them alike."""


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


SENT = [(spec, line) for spec, line in MISTAKES if can_be_sent(spec)]


@pytest.mark.parametrize(("spec", "line"), SENT, ids=[line[:60] for _, line in SENT])
def test_what_validate_refuses_the_api_server_refuses(
    api: Api, spec: dict[str, Any], line: str
) -> None:
    with pytest.raises(Refused) as refused:
        try_it(api, manifest({"adapter": "general"} | spec))

    assert refused.value.status in (400, 422)
    if RULED in line:
        assert line.partition(", ")[2] in str(refused.value)
