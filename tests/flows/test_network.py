"""Training a real network on the shipped digits, and its form as bytes."""

from collections.abc import Callable

import pytest

pytest.importorskip("jax", reason="jax comes with the extra [neural]")

import numpy as np
from safetensors.numpy import load, save

from pythonpool_worker.adapters.network import Network, Plan, train
from pythonpool_worker.adapters.rows import Rows, load_rows, split_rows

PLAN = Plan(epochs=10, batch_size=32, hidden=64, learning_rate=0.01, seed=0)
TENSORS = {
    "hidden.weight": np.ones((2, 3), np.float32),
    "hidden.bias": np.ones(3, np.float32),
    "output.weight": np.ones((3, 4), np.float32),
    "output.bias": np.ones(4, np.float32),
    "scale": np.ones(1, np.float32),
}


def fit(plan: Plan, told: Callable[[int, float], None] = lambda epoch, loss: None) -> Network:
    network = train(*split_rows(load_rows("digits"), plan.seed), plan, told, lambda: False)
    assert network is not None
    return network


@pytest.fixture(scope="module")
def network() -> Network:
    return fit(PLAN)


def test_ten_epochs_read_nine_digits_in_ten(network: Network) -> None:
    accuracy, loss = network.score()

    assert len(network.held_out) == 120
    assert accuracy > 0.9
    assert loss < 0.5
    assert (network.features, network.hidden, network.classes) == (64, 64, 10)


def test_each_epoch_is_reported_and_the_loss_falls() -> None:
    told: list[tuple[int, float]] = []

    fit(PLAN, lambda epoch, loss: told.append((epoch, loss)))

    assert [epoch for epoch, _ in told] == list(range(1, 11))
    assert told[-1][1] < told[0][1] / 5


def test_the_same_seed_gives_the_same_network(network: Network) -> None:
    assert fit(PLAN).to_bytes() == network.to_bytes()


@pytest.mark.parametrize("batch_size", [1, 7, 4096])
def test_any_batch_size_works(batch_size: int) -> None:
    """The last batch may be short, and a batch may be larger than the data."""
    network = fit(Plan(2, batch_size, hidden=8, learning_rate=0.01, seed=1))

    assert np.isfinite(network.score()[1])


def test_a_cancelled_training_gives_no_network() -> None:
    told: list[int] = []

    ended = train(
        *split_rows(load_rows("digits"), 0),
        PLAN,
        lambda epoch, _: told.append(epoch),
        lambda: len(told) == 2,
    )

    assert ended is None
    assert told == [1, 2]


def test_probabilities_have_the_promised_shape(network: Network) -> None:
    found = network.probabilities(network.held_out.inputs[:3])

    assert found.shape == (3, 10)
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_inputs_of_another_width_are_refused(network: Network) -> None:
    with pytest.raises(ValueError, match=r"must have the shape \(batch, 64\), not \(2, 3\)"):
        network.probabilities(np.zeros((2, 3), np.float32))


def test_bytes_bring_the_same_network_back(network: Network) -> None:
    again = Network.from_bytes(network.to_bytes())

    assert again.score() == network.score()
    assert again.to_bytes() == network.to_bytes()
    assert len(network.to_bytes()) < 100_000


def test_weights_alone_are_a_network_without_a_score() -> None:
    network = Network.from_bytes(save(TENSORS))

    assert network.probabilities(np.ones((1, 2), np.float32)).shape == (1, 4)
    with pytest.raises(ValueError, match="without held-out rows"):
        network.score()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not safetensors", "not a safetensors file"),
        (save({}), "'hidden.weight' is missing"),
        (save(TENSORS | {"hidden.bias": np.ones(9, np.float32)}), "'hidden.bias' must be float32"),
        (save(TENSORS | {"scale": np.ones(1, np.float64)}), "not float64"),
        (save(TENSORS | {"hidden.weight": np.ones(2, np.float32)}), "must have 2 axes"),
        (save(TENSORS | {"held_out.labels": np.ones(1, np.int32)}), "'held_out.inputs' must be"),
        (b"x" * (1024 * 1024 + 1), "at most 1048576 bytes"),
    ],
)
def test_other_bytes_are_refused_with_the_tensor_named(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Network.from_bytes(data)


def test_a_network_over_a_sessions_state_is_refused_before_training() -> None:
    rows = Rows(np.ones((10, 1024), np.float32), np.zeros(10, np.int32))

    with pytest.raises(ValueError, match="lower `hidden`"):
        train(*split_rows(rows, 0), Plan(1, 1, 1024, 0.01, 0), lambda e, x: None, lambda: False)


def test_bytes_are_plain_safetensors(network: Network) -> None:
    """Other programs read them without this one."""
    assert set(load(network.to_bytes())) == {*TENSORS, "held_out.inputs", "held_out.labels"}
