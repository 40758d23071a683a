"""A small classifier, one hidden layer wide: training, answers, and its form as bytes.

Called by the neural adapter, which imports this module in its `start`: importing it imports JAX
and makes no array and no device, so that the process can still be forked.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pythonpool_worker.adapters.neural_forms import MAX_CLASSES, MAX_FEATURES
from pythonpool_worker.adapters.rows import Floats, Integers, Rows

MAX_HIDDEN = 1024
# With the held-out rows they have to fit a session's state of 1 MiB.
MAX_WEIGHT_BYTES = 640 * 1024
MAX_FILE_BYTES = 1024 * 1024

Weights = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: whole passes over the rows, rows a step, units, Adam's step, the seed."""

    epochs: int
    batch_size: int
    hidden: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class Network:
    """A trained classifier, with the rows that it has not seen.

    Attributes:
        weights: float32 all of them: `hidden.weight` (features, hidden), `hidden.bias`
            (hidden,), `output.weight` (hidden, classes), `output.bias` (classes,), and `scale`
            (1,), by which inputs are divided.
        held_out: the rows to score with; none after an import without them.
    """

    weights: Weights
    held_out: Rows

    @property
    def features(self) -> int:
        """Numbers in one row of inputs."""
        return int(self.weights["hidden.weight"].shape[0])

    @property
    def hidden(self) -> int:
        """Units of the hidden layer."""
        return int(self.weights["hidden.weight"].shape[1])

    @property
    def classes(self) -> int:
        """Classes that it tells apart, from 0."""
        return int(self.weights["output.bias"].shape[0])

    def probabilities(self, inputs: Floats) -> Floats:
        """`inputs`: float32, (batch, features). Returns float32, (batch, classes), rows sum to 1.

        Raises:
            ValueError: the rows are not `features` wide.
        """
        if inputs.ndim != 2 or inputs.shape[1] != self.features:
            wanted = f"(batch, {self.features})"
            raise ValueError(f"inputs must have the shape {wanted}, not {inputs.shape}")
        return np.asarray(jax.nn.softmax(_logits(self.weights, inputs)), dtype=np.float32)

    def score(self) -> tuple[float, float]:
        """Accuracy (0 to 1) and mean cross-entropy (nats) on the held-out rows.

        Raises:
            ValueError: there are no held-out rows.
        """
        if not len(self.held_out):
            raise ValueError("the network was imported without held-out rows; train it first")
        logits = _logits(self.weights, self.held_out.inputs)
        right = np.asarray(logits).argmax(axis=1) == self.held_out.labels
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, self.held_out.labels)
        return float(right.mean()), float(losses.mean())

    def to_bytes(self) -> bytes:
        """The network as a safetensors file: the weights, `held_out.inputs`, `held_out.labels`."""
        rows = {"held_out.inputs": self.held_out.inputs, "held_out.labels": self.held_out.labels}
        tensors: Mapping[str, npt.NDArray[Any]] = {**self.weights, **rows}
        # safetensors writes the buffer as it lies: a transposed view would come back wrong.
        return bytes(save({name: np.ascontiguousarray(it) for name, it in tensors.items()}))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote. The held-out rows may be missing.

        Raises:
            ValueError: over 1 MiB, not a safetensors file, or not of such a network; the tensor
                is named.
        """
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"a network takes at most {MAX_FILE_BYTES} bytes, not {len(data)}")
        try:
            tensors = load(data)
        except SafetensorError as error:
            raise ValueError(f"not a safetensors file: {error}") from error
        features, hidden = _shape(tensors, "hidden.weight", 2)
        classes = _shape(tensors, "output.bias", 1)[0]
        _check_size(features, hidden, classes)
        shapes = weight_shapes(features, hidden, classes)
        weights = {name: _tensor(tensors, name, shape) for name, shape in shapes.items()}
        rows = Rows.none(features)
        if "held_out.labels" in tensors:
            count = _shape(tensors, "held_out.labels", 1)[0]
            inputs = _tensor(tensors, "held_out.inputs", (count, features))
            rows = Rows(inputs, _tensor(tensors, "held_out.labels", (count,), np.int32))
        return cls(weights, rows)


def weight_shapes(features: int, hidden: int, classes: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of `Network.weights`."""
    return {
        "hidden.weight": (features, hidden),
        "hidden.bias": (hidden,),
        "output.weight": (hidden, classes),
        "output.bias": (classes,),
        "scale": (1,),
    }


def train(
    rows: Rows,
    held_out: Rows,
    plan: Plan,
    report: Callable[[int, float], None],
    is_cancelled: Callable[[], bool],
) -> Network | None:
    """Fit a fresh network to `rows` with Adam; None when `is_cancelled` became true.

    `report(epoch, loss)` is called after each epoch, from 1, with the mean cross-entropy (nats)
    over its rows. The same rows, plan and device give the same network.

    Raises:
        ValueError: the network would be larger than a session's state holds.
    """
    classes = int(max(rows.labels.max(), held_out.labels.max())) + 1
    draw = np.random.default_rng(plan.seed)
    weights = _initial(rows, plan.hidden, classes, draw)
    scale = weights.pop("scale")
    inputs, labels = jnp.asarray(rows.inputs / scale), jnp.asarray(rows.labels)
    optimizer = optax.adam(plan.learning_rate)
    run_epoch = jax.jit(_epoch_of(optimizer))
    learnt, state = weights, optimizer.init(weights)
    for epoch in range(1, plan.epochs + 1):
        if is_cancelled():
            return None
        order, counts = _batches(draw.permutation(len(rows)), plan.batch_size)
        learnt, state, loss = run_epoch(learnt, state, inputs, labels, order, counts)
        report(epoch, float(loss))
    final = {name: np.asarray(value, dtype=np.float32) for name, value in learnt.items()}
    return Network(final | {"scale": scale}, held_out)


def _initial(rows: Rows, hidden: int, classes: int, draw: np.random.Generator) -> Weights:
    features = rows.inputs.shape[1]
    _check_size(features, hidden, classes)
    weights: Weights = {}
    for name, shape in weight_shapes(features, hidden, classes).items():
        # He's bound for layers before a ReLU; biases start at nothing.
        spread = math.sqrt(2.0 / shape[0]) if len(shape) == 2 else 0.0
        weights[name] = draw.normal(0.0, spread, shape).astype(np.float32)
    # Inputs within -1 to 1, whatever their unit; all-zero inputs stay as they are.
    weights["scale"] = np.array([np.abs(rows.inputs).max() or 1.0], dtype=np.float32)
    return weights


def _epoch_of(optimizer: Any) -> Callable[..., Any]:
    """A whole epoch as one compiled call: a step for each row of `order`, (steps, batch)."""

    def loss_of(weights: Any, inputs: Any, labels: Any, used: Any) -> Any:
        losses = optax.softmax_cross_entropy_with_integer_labels(_layers(weights, inputs), labels)
        return (losses * used).sum() / used.sum()

    def epoch(
        weights: Any, state: Any, inputs: Any, labels: Any, order: Any, counts: Any
    ) -> tuple[Any, Any, Any]:
        def step(carry: Any, batch: Any) -> tuple[Any, Any]:
            weights, state = carry
            indices, used = batch
            loss, gradient = jax.value_and_grad(loss_of)(
                weights, inputs[indices], labels[indices], used
            )
            updates, state = optimizer.update(gradient, state, weights)
            return (optax.apply_updates(weights, updates), state), loss * used.sum()

        (weights, state), losses = jax.lax.scan(step, (weights, state), (order, counts))
        return weights, state, losses.sum() / counts.sum()

    return epoch


def _batches(order: npt.NDArray[np.int64], size: int) -> tuple[Integers, Floats]:
    """Row numbers, (steps, batch), and which of them count: the last batch is filled up."""
    size = min(size, len(order))
    steps = math.ceil(len(order) / size)
    indices = np.zeros(steps * size, dtype=np.int32)
    indices[: len(order)] = order
    used = (np.arange(steps * size) < len(order)).astype(np.float32)
    return indices.reshape(steps, size), used.reshape(steps, size)


def _layers(weights: Any, scaled: Any) -> Any:
    hidden = jax.nn.relu(scaled @ weights["hidden.weight"] + weights["hidden.bias"])
    return hidden @ weights["output.weight"] + weights["output.bias"]


def _logits(weights: Weights, inputs: Floats) -> Any:
    return _layers(weights, inputs / weights["scale"])


def _check_size(features: int, hidden: int, classes: int) -> None:
    limits = (("features", features, MAX_FEATURES), ("hidden", hidden, MAX_HIDDEN))
    for name, value, most in (*limits, ("classes", classes, MAX_CLASSES)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must be 1 to {most}, not {value}")
    size = 4 * (features + classes + 1) * hidden
    if size > MAX_WEIGHT_BYTES:
        raise ValueError(
            f"the weights of {features} features, {hidden} hidden units and {classes} classes "
            f"take {size} bytes; at most {MAX_WEIGHT_BYTES} fit a session: lower `hidden`"
        )


def _shape(tensors: Mapping[str, npt.NDArray[Any]], name: str, axes: int) -> tuple[int, ...]:
    if name not in tensors:
        raise ValueError(f"the tensor {name!r} is missing")
    shape = tensors[name].shape
    if len(shape) != axes:
        raise ValueError(f"the tensor {name!r} must have {axes} axes, not {len(shape)}")
    return shape


def _tensor(
    tensors: Mapping[str, npt.NDArray[Any]],
    name: str,
    shape: tuple[int, ...],
    dtype: type[np.generic] = np.float32,
) -> npt.NDArray[Any]:
    tensor = tensors.get(name)
    if tensor is None or tensor.shape != shape or tensor.dtype != dtype:
        found = "missing" if tensor is None else f"{tensor.dtype} {tensor.shape}"
        raise ValueError(f"the tensor {name!r} must be {dtype.__name__} {shape}, not {found}")
    return tensor
