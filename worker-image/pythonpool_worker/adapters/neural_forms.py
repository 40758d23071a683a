"""The forms of what the neural adapter's commands take and give.

Imported before the fork and before numpy: knows neither numpy nor JAX.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

# pydantic reads only this one before Python 3.12.
from typing_extensions import TypedDict

MAX_FEATURES = 1024
MAX_CLASSES = 100
SHIPPED = Literal["digits"]


class LabelledRow(BaseModel):
    """One row of a caller's own data.

    Attributes:
        inputs: 1 to 1024 finite numbers, as many in every row.
        label: the class, 0 to 99.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: Annotated[list[FiniteFloat], Field(min_length=1, max_length=MAX_FEATURES)]
    label: Annotated[int, Field(ge=0, lt=MAX_CLASSES)]


LabelledRows = Annotated[list[LabelledRow], Field(min_length=10, max_length=20_000)]
Inputs = Annotated[
    list[Annotated[list[FiniteFloat], Field(max_length=1024)]], Field(min_length=1, max_length=4096)
]
RowNumbers = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=4096)]


class Trained(TypedDict):
    """Result of `train_model`; `loss`: mean cross-entropy (nats) of the last epoch."""

    epochs: int
    loss: float
    accuracy: float
    train_rows: int
    held_out_rows: int
    features: int
    hidden: int
    classes: int


class Predicted(TypedDict):
    """Result of `predict`: for each row its class and the probability of each class.

    `truth`: the labels of held-out rows, or null for rows that the caller brought.
    """

    labels: list[int]
    probabilities: list[list[float]]
    truth: list[int] | None


class Evaluated(TypedDict):
    """Result of `evaluate`: share of right answers, mean cross-entropy (nats), and of how many."""

    accuracy: float
    loss: float
    rows: int


class Imported(TypedDict):
    """Result of `import`: the network's shape and how many held-out rows came with it."""

    features: int
    hidden: int
    classes: int
    held_out_rows: int


class Device(TypedDict):
    """One device that JAX sees."""

    id: int
    platform: str
    kind: str


class DeviceInfo(TypedDict):
    """Result of `device_info`; `platform`: where arrays live by default: cpu, gpu or tpu."""

    platform: str
    devices: list[Device]
    jax: str
