"""The adapter of the neural pool: train, ask and carry away a small network, one per session.

The work is in `network`. JAX is imported before the fork and touched after it: a process that
has made an array or looked at its devices hangs when it is forked.
"""

import importlib
import os
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from pythonpool.adapter import Adapter, Context, Session, command
from pythonpool_worker.adapters.neural_forms import (
    SHIPPED,
    Device,
    DeviceInfo,
    Evaluated,
    Imported,
    Inputs,
    LabelledRows,
    Predicted,
    RowNumbers,
    Trained,
)

# Read when numpy and jax are imported. No BLAS threads, or the template can not be forked; no
# taking of 3/4 of the GPU's memory by the first executor, as each session has one of its own.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
_KEY = "network"
_MOST_REPORTS = 200


class NeuralConfig(BaseModel):
    """`spec.config` of a neural pool: nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingCancelled(Exception):
    """The caller gave up between two epochs."""


class Neural(Adapter):
    """Trains a small network in a session and answers with it."""

    config_model = NeuralConfig

    def start(self) -> None:
        """Import JAX: no array and no device before the fork."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        importlib.import_module("pythonpool_worker.adapters.network")

    def open(self) -> None:
        """Find the devices, so that the first call does not wait for them."""
        import jax

        jax.devices()

    def save(self, session: Session) -> bytes:
        """The session's network as safetensors; empty before it has one."""
        network = session.state.get(_KEY)
        return b"" if network is None else bytes(network.to_bytes())

    def load(self, session: Session, data: bytes) -> None:
        """Take up what `save` gave."""
        from pythonpool_worker.adapters.network import Network

        if data:
            session.state[_KEY] = Network.from_bytes(data)

    @command
    def train_model(
        self,
        context: Context,
        epochs: Annotated[int, Field(ge=1, le=10_000)],
        batch_size: Annotated[int, Field(ge=1, le=4096)] = 32,
        data: SHIPPED | LabelledRows = "digits",
        hidden: Annotated[int, Field(ge=1, le=1024)] = 64,
        learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.01,
        seed: Annotated[int, Field(ge=0, lt=2**31)] = 0,
    ) -> Trained:
        """Train a network with one hidden layer; it stays in the session, in place of an older one.

        Args:
            epochs: passes over the rows, 1 to 10,000.
            batch_size: rows a step, 1 to 4096; more than there are rows means all of them.
            data: 10 to 20,000 rows `{"inputs": [number…], "label": 0…99}`, all as wide, or the name
                of shipped ones: `digits`, float32, (600, 64), pixels 0 to 16, ten classes.
            hidden: units of the hidden layer, 1 to 1024.
            learning_rate: Adam's, over 0, at most 1.
            seed: the same seed, data and device give the same network.

        A fifth of the rows is held out. Progress carries `epoch` and `loss` (mean cross-entropy in
        nats): each epoch of the first 200, evenly spaced ones of more.
        """
        from pythonpool_worker.adapters.network import Plan, train
        from pythonpool_worker.adapters.rows import Rows, load_rows, split_rows

        session = _session(context)
        every = -(-epochs // _MOST_REPORTS)
        last = [0.0]

        def report(epoch: int, loss: float) -> None:
            last[0] = loss
            if epoch % every == 0 or epoch == epochs:
                context.progress(epoch / epochs, epoch=epoch, loss=round(loss, 6))

        plan = Plan(epochs, batch_size, hidden, learning_rate, seed)
        rows = load_rows(data) if isinstance(data, str) else Rows.of(data)
        learnt, held_out = split_rows(rows, seed)
        network = train(learnt, held_out, plan, report, lambda: context.is_cancelled)
        if network is None:
            raise TrainingCancelled("cancelled; the session's network is as before")
        session.state[_KEY] = network
        return Trained(
            epochs=epochs,
            loss=round(last[0], 6),
            accuracy=round(network.score()[0], 4),
            train_rows=len(learnt),
            held_out_rows=len(held_out),
            features=network.features,
            hidden=network.hidden,
            classes=network.classes,
        )

    @command(idempotent=True)
    def predict(
        self, context: Context, inputs: Inputs | None = None, rows: RowNumbers | None = None
    ) -> Predicted:
        """Classify rows with the session's network; give `inputs` or `rows`.

        Args:
            inputs: float32, (batch, features), in the unit of the training data; 1 to 4096 rows.
            rows: numbers of held-out rows, from 0; their true labels come back as `truth`.

        Returns `labels`, (batch,), and `probabilities`, float32, (batch, classes); rows sum to 1.
        """
        import numpy as np

        network = _network(context)
        if (inputs is None) == (rows is None):
            raise ValueError("give one of inputs and rows: numbers to classify, or row numbers")
        held_out = network.held_out
        if rows is not None and max(rows) >= len(held_out):
            raise ValueError(f"rows must be below {len(held_out)}, not {max(rows)}")
        asked = held_out.inputs[rows] if rows is not None else _array(inputs)
        found = network.probabilities(asked)
        return Predicted(
            labels=np.argmax(found, axis=1).tolist(),
            probabilities=found.tolist(),
            truth=held_out.labels[rows].tolist() if rows is not None else None,
        )

    @command(idempotent=True)
    def evaluate(self, context: Context) -> Evaluated:
        """Score the session's network on the rows that were held out of its training."""
        network = _network(context)
        accuracy, loss = network.score()
        return Evaluated(
            accuracy=round(accuracy, 4), loss=round(loss, 6), rows=len(network.held_out)
        )

    @command(idempotent=True)
    def device_info(self) -> DeviceInfo:
        """The devices that arrays can live on."""
        import jax

        return DeviceInfo(
            platform=jax.default_backend(),
            devices=[
                Device(id=it.id, platform=it.platform, kind=it.device_kind) for it in jax.devices()
            ],
            jax=jax.__version__,
        )

    @command(name="export", idempotent=True)
    def export_network(self, context: Context) -> bytes:
        """The session's network as a safetensors file, its held-out rows with it.

        float32 tensors `hidden.weight` (features, hidden), `hidden.bias` (hidden,),
        `output.weight` (hidden, classes), `output.bias` (classes,), `scale` (1,),
        `held_out.inputs` (rows, features), and int32 `held_out.labels` (rows,).
        """
        return bytes(_network(context).to_bytes())

    @command(name="import")
    def import_network(self, context: Context, data: bytes) -> Imported:
        """Take a file that `export` gave, of at most 1 MiB, as the session's network."""
        from pythonpool_worker.adapters.network import Network

        session = _session(context)
        network = Network.from_bytes(data)
        session.state[_KEY] = network
        return Imported(
            features=network.features,
            hidden=network.hidden,
            classes=network.classes,
            held_out_rows=len(network.held_out),
        )


def _session(context: Context) -> Session:
    if context.session is None:
        raise ValueError(
            "this command needs a session, which holds the network; create one with "
            "POST /v1/sessions and execute the command in it"
        )
    return context.session


def _network(context: Context) -> Any:
    network = _session(context).state.get(_KEY)
    if network is None:
        raise ValueError("the session has no network yet; execute train_model or import first")
    return network


def _array(inputs: Inputs | None) -> Any:
    import numpy as np

    widths = sorted({len(row) for row in inputs or []})
    if len(widths) != 1:
        raise ValueError(f"all rows of inputs must have as many numbers; found {widths}")
    return np.array(inputs, dtype=np.float32)
