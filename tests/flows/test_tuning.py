"""A real DSPy optimizer against the offline language model, through DSPy's own client."""

import logging
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("dspy", reason="dspy comes with the extra [dspy]")

from pythonpool_worker.adapters.language_model import LmConfig, language_model, prepare_dspy
from pythonpool_worker.adapters.lm_stub import LmStub
from pythonpool_worker.adapters.texts import LabelledText, load_texts, split_texts
from pythonpool_worker.adapters.tuning import (
    LanguageModelError,
    Plan,
    Progress,
    Tuned,
    TuningCancelled,
    tune,
)

PLAN = Plan(iterations=2, max_demos=8)


@pytest.fixture(scope="module")
def stub() -> Iterator[LmStub]:
    prepare_dspy()
    logging.getLogger("dspy").setLevel(logging.CRITICAL)
    server = LmStub()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def lm(stub: LmStub) -> Any:
    return language_model(LmConfig.of_stub(stub.url), {})


def run(lm: Any, rows: list[LabelledText], reports: list[Progress] | None = None) -> Tuned:
    told: list[Progress] = [] if reports is None else reports
    return tune(split_texts(rows, 0.5, seed=0), PLAN, lm, told.append, lambda: False)


def test_the_shipped_data_is_learnt(stub: LmStub, lm: Any) -> None:
    """The score on rows that the optimizer never saw goes up, by calls that were really made."""
    before = stub.calls
    reports: list[Progress] = []

    tuned = run(lm, load_texts("requests"), reports)

    assert tuned.baseline_score == 0.25
    assert tuned.score >= 0.85
    assert tuned.improved
    assert tuned.lm_calls == stub.calls - before
    assert len(tuned.program["state"]["demos"]) == 8
    assert tuned.evaluations == PLAN.iterations + 5
    assert [report.fraction for report in reports] == sorted(report.fraction for report in reports)
    assert reports[-1].fraction == 1.0
    assert reports[-1].lm_calls == tuned.lm_calls
    assert {report.stage for report in reports} == {"baseline", "optimize", "score"}


def test_shuffled_labels_teach_nothing(lm: Any) -> None:
    """What looks like an improvement comes from the data, not from the optimizer or the model."""
    rows = load_texts("requests")
    labels = [row.label for row in rows]
    random.Random(1).shuffle(labels)

    tuned = run(
        lm, [LabelledText(text=r.text, label=to) for r, to in zip(rows, labels, strict=True)]
    )

    assert tuned.score == tuned.baseline_score
    assert not tuned.improved


def test_the_same_seed_gives_the_same_program(lm: Any) -> None:
    rows = load_texts("requests")[:24]

    assert run(lm, rows) == run(lm, rows)


def test_a_cancelled_run_ends_at_the_next_call(stub: LmStub, lm: Any) -> None:
    before = stub.calls
    split = split_texts(load_texts("requests"), 0.5, seed=0)

    with pytest.raises(TuningCancelled, match="after 10 calls"):
        tune(split, PLAN, lm, lambda _: None, lambda: stub.calls - before >= 10)

    assert stub.calls == before + 10


def test_a_dead_endpoint_is_said_at_once() -> None:
    """DSPy alone would score every row as wrong and call it a result."""
    prepare_dspy()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    dead = language_model(LmConfig(model="openai/none", api_base=url, num_retries=0), {})

    with pytest.raises(LanguageModelError, match=r"failed 3 times .* check config\.lm"):
        run(dead, load_texts("requests"))
