"""The optimizer's commands, their args read as from a request."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("dspy", reason="dspy comes with the extra [dspy]")

from pythonpool.adapter import Context
from pythonpool.errors import InvalidArgument
from pythonpool.sdk.commands import commands_of
from pythonpool_worker.adapters.language_model import LmConfig
from pythonpool_worker.adapters.optimizer import Optimizer, OptimizerConfig
from pythonpool_worker.adapters.texts import load_texts
from pythonpool_worker.adapters.tuning import TuningCancelled


@pytest.fixture(scope="module")
def optimizer() -> Iterator[Optimizer]:
    adapter = Optimizer()
    adapter.config = OptimizerConfig()
    adapter.start()
    logging.getLogger("dspy").setLevel(logging.CRITICAL)
    adapter.open()
    yield adapter
    adapter.close()


def optimize(
    optimizer: Optimizer,
    args: dict[str, Any],
    report: Callable[[float, dict[str, Any]], None] = lambda fraction, fields: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Any:
    command = commands_of(Optimizer)["optimize_model"]
    given = command.reader.read(json.dumps(args).encode())
    return command.function(optimizer, Context(report=report, cancelled=cancelled), **given)


def test_the_shipped_data_is_learnt_with_progress(optimizer: Optimizer) -> None:
    events: list[tuple[float, dict[str, Any]]] = []

    result = optimize(
        optimizer,
        {"iterations": 2, "data": "requests"},
        lambda fraction, fields: events.append((fraction, fields)),
    )

    assert result["improved"]
    assert result["score"] > result["baseline_score"] == 0.25
    assert result["train_rows"] + result["held_out_rows"] == 60
    assert events[-1][0] == 1.0
    assert events[-1][1]["lm_calls"] == result["lm_calls"]
    assert set(events[-1][1]) == {"stage", "lm_calls", "evaluations", "best_score"}
    assert json.loads(json.dumps(result)) == result


def test_rows_of_the_caller_are_learnt_too(optimizer: Optimizer) -> None:
    rows = [row.model_dump() for row in load_texts("requests") if row.label != "technical"]

    result = optimize(optimizer, {"iterations": 1, "data": rows, "train_fraction": 0.4})

    assert result["score"] > result["baseline_score"]
    assert result["program"]["signature"]["outputs"][0]["values"] == [
        "account",
        "billing",
        "delivery",
    ]


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({}, "iterations"),
        ({"iterations": 0}, "iterations"),
        ({"iterations": 1001}, "iterations"),
        ({"iterations": 1, "data": "no such data"}, "data"),
        ({"iterations": 1, "data": [{"text": "a"}] * 4}, "data"),
        ({"iterations": 1, "optimizer": "gradient"}, "optimizer"),
        ({"iterations": 1, "train_fraction": 1}, "train_fraction"),
        ({"iterations": 1, "signature": "a: os.path -> b"}, "signature"),
    ],
)
def test_args_out_of_bounds_are_refused_with_the_field(
    optimizer: Optimizer, args: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument, match=field):
        optimize(optimizer, args)


def test_data_of_one_label_is_refused(optimizer: Optimizer) -> None:
    rows = [{"text": f"text {at}", "label": "a"} for at in range(4)]

    with pytest.raises(ValueError, match="2 labels or more, not 1"):
        optimize(optimizer, {"iterations": 1, "data": rows})


def test_a_cancelled_call_ends(optimizer: Optimizer) -> None:
    with pytest.raises(TuningCancelled):
        optimize(optimizer, {"iterations": 1000}, cancelled=lambda: True)


@pytest.mark.parametrize("exceptions", ["", "example.org"])
def test_the_environment_does_not_lead_the_offline_model_astray(
    monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    """A pool that reaches a real service by a proxy of its own has these in `spec.env`."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", exceptions)
    for name in ("HTTP_PROXY", "http_proxy", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    adapter = Optimizer()
    adapter.config = OptimizerConfig()
    adapter.start()
    adapter.open()

    assert optimize(adapter, {"iterations": 1})["improved"]
    assert os.environ["no_proxy"] == f"{exceptions},127.0.0.1".removeprefix(",")
    adapter.close()


def test_info_names_what_can_run(optimizer: Optimizer) -> None:
    info = optimizer.info()

    assert info["offline"]
    assert info["model"] == "openai/pythonpool-stub"
    by_name = {row["name"]: row for row in info["optimizers"]}
    assert by_name["BootstrapFewShotWithRandomSearch"]["available"]
    assert all(row["available"] == (not row["lacks"]) for row in info["optimizers"])


def test_a_named_model_is_used_instead_of_the_offline_one() -> None:
    adapter = Optimizer()
    adapter.config = OptimizerConfig(
        lm=LmConfig(model="openai/some-model", api_base="http://127.0.0.1:9/v1")
    )
    adapter.start()
    adapter.open()

    assert not adapter.info()["offline"]
    assert adapter.info()["model"] == "openai/some-model"
    adapter.close()


def test_a_key_that_is_not_there_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_KEY", raising=False)
    adapter = Optimizer()
    adapter.config = OptimizerConfig(
        lm=LmConfig(
            model="openai/some-model", api_base="http://127.0.0.1:9/v1", api_key_env="MODEL_KEY"
        )
    )
    adapter.start()

    with pytest.raises(ValueError, match=r"MODEL_KEY, which is not set; set it in spec\.env"):
        adapter.open()
