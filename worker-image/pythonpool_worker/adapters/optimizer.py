"""The adapter of the optimizer pool: DSPy optimizations as commands.

The work is in `tuning`; the language model's client in `language_model`. Without `config.lm` an
offline model answers (`lm_stub`), started in each executor on a free port of 127.0.0.1.
"""

import importlib.util
import os
import platform
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# pydantic reads only this one before Python 3.12.
from typing_extensions import TypedDict

from pythonpool.adapter import Adapter, Context, command
from pythonpool_worker.adapters.language_model import (
    LmConfig,
    bypass_proxies,
    language_model,
    prepare_dspy,
)
from pythonpool_worker.adapters.lm_stub import LmStub
from pythonpool_worker.adapters.texts import SHIPPED, LabelledText, load_texts, split_texts

# Each optimizer of DSPy 3.4, and what it imports beyond dspy itself.
_OPTIMIZERS = {
    "BootstrapFewShot": (),
    "BootstrapFewShotWithRandomSearch": (),
    "COPRO": (),
    "GEPA": ("gepa",),
    "KNNFewShot": ("numpy",),
    "LabeledFewShot": (),
    "MIPROv2": ("numpy", "optuna"),
    "SIMBA": ("numpy",),
}

Texts = Annotated[list[LabelledText], Field(min_length=4, max_length=10_000)]


class OptimizerConfig(BaseModel):
    """`spec.config` of an optimizer pool.

    Attributes:
        lm: the language model; None: the offline one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lm: LmConfig | None = None


class Optimized(TypedDict):
    """Result of `optimize_model`; scores are shares of right answers on held-out rows, 0 to 1."""

    baseline_score: float
    score: float
    improved: bool
    chance: float
    lm_calls: int
    evaluations: int
    iterations: int
    optimizer: str
    seed: int
    train_rows: int
    held_out_rows: int
    program: dict[str, Any]


class OptimizerInfo(TypedDict):
    """One optimizer of DSPy; `lacks`: packages to install before it can run."""

    name: str
    available: bool
    lacks: list[str]


class DspyInfo(TypedDict):
    """Result of `dspy.info`; `offline`: the language model is the built-in one."""

    dspy: str
    python: str
    model: str
    offline: bool
    modules: list[str]
    optimizers: list[OptimizerInfo]


class Optimizer(Adapter):
    """Optimizes small DSPy programs against a language model."""

    config_model = OptimizerConfig
    config: OptimizerConfig

    def start(self) -> None:
        """Import dspy: no thread, no socket, so that the template can be forked."""
        prepare_dspy()
        importlib.import_module("pythonpool_worker.adapters.tuning")

    def open(self) -> None:
        """Make the language model's client; start the offline model where none is named."""
        self._stub: LmStub | None = None
        settings = self.config.lm
        if settings is None:
            self._stub = LmStub()
            self._stub.start()
            bypass_proxies("127.0.0.1")
            settings = LmConfig.of_stub(self._stub.url)
        self._settings = settings
        self._lm = language_model(settings, os.environ)

    def close(self) -> None:
        """Stop the offline model."""
        if self._stub is not None:
            self._stub.stop()

    @command
    def optimize_model(
        self,
        context: Context,
        iterations: Annotated[int, Field(ge=1, le=1000)],
        data: SHIPPED | Texts = "requests",
        optimizer: Literal["bootstrap"] = "bootstrap",
        seed: Annotated[int, Field(ge=0, lt=2**31)] = 0,
        train_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5,
        max_demos: Annotated[int, Field(ge=1, le=64)] = 8,
    ) -> Optimized:
        """Find demonstrations that make a language model classify sentences better.

        Args:
            iterations: candidate programs to try, 1 to 1000.
            data: 4 to 10,000 rows `{"text", "label"}` of two labels or more, or the name of the
                shipped ones: `requests`, 60 requests of customers in four classes.
            optimizer: `bootstrap` is DSPy's BootstrapFewShotWithRandomSearch.
            seed: the same seed, data and model give the same program.
            train_fraction: of each label's rows, the part that the optimizer may see; the scores
                come from the rest.
            max_demos: most demonstrations in the prompt.

        Progress carries `stage` (baseline, optimize, score), `lm_calls`, `evaluations` and
        `best_score` (on the rows that the optimizer sees; null before the first).

        Fails with ValueError (fewer than two labels), LanguageModelError (it failed three times in
        a row), TuningCancelled.
        """
        from pythonpool_worker.adapters.tuning import Plan, Progress, tune

        def report(progress: Progress) -> None:
            context.progress(**asdict(progress))

        rows = load_texts(data) if isinstance(data, str) else data
        split = split_texts(rows, train_fraction, seed)
        plan = Plan(iterations, max_demos)
        tuned = tune(split, plan, self._lm, report, lambda: context.is_cancelled)
        return Optimized(
            baseline_score=round(tuned.baseline_score, 4),
            score=round(tuned.score, 4),
            improved=tuned.improved,
            chance=round(tuned.chance, 6),
            lm_calls=tuned.lm_calls,
            evaluations=tuned.evaluations,
            iterations=iterations,
            optimizer=optimizer,
            seed=seed,
            train_rows=len(split.train),
            held_out_rows=len(split.held_out),
            program=tuned.program,
        )

    @command(name="dspy.info", timeout_seconds=5, idempotent=True)
    def info(self) -> DspyInfo:
        """Versions, the language model in use, and which modules and optimizers can run here."""
        import dspy

        return DspyInfo(
            dspy=dspy.__version__,
            python=platform.python_version(),
            model=self._settings.model,
            offline=self._stub is not None,
            modules=["predict"],
            optimizers=[_optimizer_info(name, needs) for name, needs in _OPTIMIZERS.items()],
        )


def _optimizer_info(name: str, needs: tuple[str, ...]) -> OptimizerInfo:
    lacks = [package for package in needs if importlib.util.find_spec(package) is None]
    return OptimizerInfo(name=name, available=not lacks, lacks=lacks)
