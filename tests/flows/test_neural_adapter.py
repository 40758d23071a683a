"""The neural adapter's commands on a session, their args read as from a request."""

import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("jax", reason="jax comes with the extra [neural]")

import numpy as np

from pythonpool.adapter import Context, Session
from pythonpool.errors import InvalidArgument
from pythonpool.sdk.commands import commands_of
from pythonpool_worker.adapters.neural import Neural, NeuralConfig, TrainingCancelled

TRAINING = {"epochs": 10, "batch_size": 32}
Report = Callable[[float, dict[str, Any]], None]


@pytest.fixture(scope="module")
def neural() -> Neural:
    adapter = Neural()
    adapter.config = NeuralConfig()
    adapter.start()
    adapter.open()
    return adapter


@pytest.fixture(scope="module")
def snapshot(neural: Neural) -> bytes:
    """What a session saves after a training."""
    session = Session("id", {})
    execute(neural, "train_model", TRAINING, session)
    return neural.save(session)


@pytest.fixture
def session(neural: Neural, snapshot: bytes) -> Session:
    """A session that a fresh process took up."""
    session = Session("id", {})
    neural.load(session, snapshot)
    return session


def execute(
    neural: Neural,
    name: str,
    args: dict[str, Any] | bytes,
    session: Session | None,
    report: Report = lambda fraction, fields: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Any:
    command = commands_of(Neural)[name]
    given = command.reader.read(args if isinstance(args, bytes) else json.dumps(args).encode())
    context = Context(session=session, report=report, cancelled=cancelled)
    return command.function(neural, *([context] if command.takes_context else []), **given)


def test_training_reads_nine_digits_in_ten_with_progress(neural: Neural) -> None:
    events: list[tuple[float, dict[str, Any]]] = []
    session = Session("id", {})

    result = execute(
        neural, "train_model", TRAINING, session, lambda at, fields: events.append((at, fields))
    )

    assert result["accuracy"] > 0.9
    assert (result["train_rows"], result["held_out_rows"]) == (480, 120)
    assert [fields["epoch"] for _, fields in events] == list(range(1, 11))
    assert [at for at, _ in events] == pytest.approx([epoch / 10 for epoch in range(1, 11)])
    assert events[-1][1]["loss"] == result["loss"] < events[0][1]["loss"]
    assert execute(neural, "evaluate", {}, session)["accuracy"] == result["accuracy"]


def test_long_trainings_report_at_most_two_hundred_times(neural: Neural) -> None:
    events: list[float] = []
    args = {"epochs": 401, "batch_size": 4096, "hidden": 2}

    execute(neural, "train_model", args, Session("id", {}), lambda at, _: events.append(at))

    assert len(events) <= 201
    assert events[-1] == 1.0


def test_a_session_survives_its_process(neural: Neural, session: Session, snapshot: bytes) -> None:
    """What `save` gave brings the same network back, small enough to be kept."""
    assert neural.save(session) == snapshot
    assert len(snapshot) < 1024 * 1024
    assert execute(neural, "evaluate", {}, session)["rows"] == 120


def test_a_session_without_a_network_is_saved_too(neural: Neural) -> None:
    fresh = Session("id", {})

    neural.load(fresh, neural.save(Session("id", {})))

    assert fresh.state == {}


def test_predict_by_row_numbers_tells_the_truth(neural: Neural, session: Session) -> None:
    result = execute(neural, "predict", {"rows": list(range(50))}, session)

    right = np.equal(result["labels"], result["truth"])
    assert right.mean() > 0.8
    assert np.sum(result["probabilities"], axis=1) == pytest.approx(np.ones(50), abs=1e-5)


def test_predict_takes_inputs(neural: Neural, session: Session) -> None:
    result = execute(neural, "predict", {"inputs": [[0.0] * 64, [16.0] * 64]}, session)

    assert np.shape(result["probabilities"]) == (2, 10)
    assert result["truth"] is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "one of inputs and rows"),
        ({"rows": [0], "inputs": [[0.0] * 64]}, "one of inputs and rows"),
        ({"rows": [120]}, "below 120, not 120"),
        ({"inputs": [[1.0]]}, r"shape \(batch, 64\), not \(1, 1\)"),
        ({"inputs": [[1.0], [1.0, 2.0]]}, "as many numbers"),
    ],
)
def test_predict_refuses_what_does_not_fit(
    neural: Neural, session: Session, args: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        execute(neural, "predict", args, session)


def test_export_and_import_carry_a_network_to_another_session(
    neural: Neural, session: Session
) -> None:
    other = Session("other", {})

    shape = execute(neural, "import", execute(neural, "export", {}, session), other)

    assert shape == {"features": 64, "hidden": 64, "classes": 10, "held_out_rows": 120}
    assert execute(neural, "evaluate", {}, other) == execute(neural, "evaluate", {}, session)


def test_a_file_that_is_none_leaves_the_session_as_it_was(
    neural: Neural, session: Session, snapshot: bytes
) -> None:
    with pytest.raises(ValueError, match="not a safetensors file"):
        execute(neural, "import", b"nothing", session)

    assert neural.save(session) == snapshot


def test_a_cancelled_training_leaves_the_session_as_it_was(
    neural: Neural, session: Session, snapshot: bytes
) -> None:
    with pytest.raises(TrainingCancelled):
        execute(neural, "train_model", TRAINING, session, cancelled=lambda: True)

    assert neural.save(session) == snapshot


def test_rows_of_the_caller_are_learnt(neural: Neural) -> None:
    session = Session("id", {})
    rows = [{"inputs": [at % 2, 1.0], "label": at % 2} for at in range(40)]

    execute(neural, "train_model", {"epochs": 60, "batch_size": 8, "data": rows}, session)

    assert execute(neural, "predict", {"inputs": [[0, 1], [1, 1]]}, session)["labels"] == [0, 1]


@pytest.mark.parametrize(
    "args",
    [
        {"epochs": 0},
        {"epochs": 10_001},
        {"epochs": 1, "batch_size": 4097},
        {"epochs": 1, "data": "letters"},
        {"epochs": 1, "learning_rate": 0},
        {"epochs": 1, "hidden": 1025},
    ],
)
def test_args_out_of_bounds_are_refused_with_the_field(
    neural: Neural, args: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument, match=list(args)[-1]):
        execute(neural, "train_model", args, Session("id", {}))


@pytest.mark.parametrize("name", ["train_model", "predict", "evaluate", "export"])
def test_without_a_session_the_way_out_is_told(neural: Neural, name: str) -> None:
    args: dict[str, Any] = {"epochs": 1} if name == "train_model" else {}

    with pytest.raises(ValueError, match="needs a session"):
        execute(neural, name, args, None)


def test_before_a_training_the_way_out_is_told(neural: Neural) -> None:
    with pytest.raises(ValueError, match="execute train_model or import first"):
        execute(neural, "evaluate", {}, Session("id", {}))


def test_device_info_names_the_devices(neural: Neural) -> None:
    info = execute(neural, "device_info", {}, None)

    assert info["platform"] in {"cpu", "gpu", "tpu"}
    assert info["devices"][0]["platform"]
