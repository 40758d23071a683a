"""One optimization of a small DSPy classifier: build it, score it, optimize it, score it again.

Called by the optimizer adapter, which imports this module in its `start`: importing it imports
dspy. Knows no commands and no sessions.

DSPy's optimizers take no callback of their own and can not be told to stop; a `BaseCallback`
sees each call of the language model, and a `BaseException` raised from it ends the run at once.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dspy
from dspy.teleprompt import BootstrapFewShotWithRandomSearch
from dspy.utils.callback import BaseCallback

from pythonpool_worker.adapters.texts import LabelledText, Split

INSTRUCTIONS = "Say which class the text belongs to."
# Zero-shot, labels only and unshuffled: what the random search tries beside its candidates.
_FIXED_CANDIDATES = 3
_MAX_BOOTSTRAPPED = 4
# A dead endpoint is reported after this many failed calls in a row, each tried again by DSPy.
_MAX_FAILURES = 3
_REPORT_SECONDS = 0.1
# Chance alone explains an improvement with less than this probability.
_CHANCE = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `iterations` candidate programs with at most `max_demos` demonstrations."""

    iterations: int
    max_demos: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `fraction` from 0 to 1; scores are shares of right answers, 0 to 1."""

    fraction: float
    stage: Literal["baseline", "optimize", "score"]
    lm_calls: int
    evaluations: int
    best_score: float | None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The outcome. Scores are shares of right answers on the held-out rows, 0 to 1.

    Attributes:
        chance: the probability that answers at random would have improved as much (exact
            one-sided sign test over the rows whose answer changed from wrong to right or back).
        program: the optimized program as JSON: `module`, `signature`, `state`, `dspy_version`.
    """

    baseline_score: float
    score: float
    chance: float
    lm_calls: int
    evaluations: int
    program: dict[str, Any]

    @property
    def improved(self) -> bool:
        """The score rose, and chance explains it with less than 10 %."""
        return self.score > self.baseline_score and self.chance < _CHANCE


class Stopped(BaseException):
    """Raised out of DSPy, which catches every `Exception` of a program; never leaves `tune`."""


class LanguageModelError(Exception):
    """The language model did not answer; the message says which one, and why."""


class TuningCancelled(Exception):
    """`is_cancelled` was true when the language model was to be called."""


class _Watch(BaseCallback):  # type: ignore[misc]
    """Counts, reports and stops a run; dspy calls it in the thread that runs the program."""

    def __init__(
        self,
        report: Callable[[Progress], None],
        is_cancelled: Callable[[], bool],
        evaluations: int,
    ) -> None:
        self.stage: Literal["baseline", "optimize", "score"] = "baseline"
        self.lm_calls = 0
        self.evaluations = 0
        self.reason: Exception | None = None
        self._report = report
        self._is_cancelled = is_cancelled
        self._expected_evaluations = evaluations
        self._best: float | None = None
        self._failures = 0
        self._reported_at = 0.0

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        if self._is_cancelled():
            self.reason = TuningCancelled(f"cancelled after {self.lm_calls} calls of the model")
        if self.reason:
            raise Stopped
        self.lm_calls += 1

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self._failures = self._failures + 1 if exception else 0
        if exception and self._failures >= _MAX_FAILURES:
            self.reason = LanguageModelError(
                f"the language model failed {self._failures} times in a row, "
                f"the last time with {type(exception).__name__}: {exception}; check config.lm"
            )
            self.reason.__cause__ = exception
            raise Stopped
        if time.monotonic() - self._reported_at >= _REPORT_SECONDS:
            self._tell()

    def on_evaluate_end(
        self, call_id: str, outputs: Any, exception: BaseException | None = None
    ) -> None:
        self.evaluations += 1
        if outputs is not None and self.stage == "optimize":
            self._best = max(self._best or 0.0, outputs.score / 100)
        self._tell()

    def _tell(self) -> None:
        self._reported_at = time.monotonic()
        fraction = min(self.evaluations / self._expected_evaluations, 1.0)
        self._report(Progress(fraction, self.stage, self.lm_calls, self.evaluations, self._best))


def tune(
    split: Split,
    plan: Plan,
    lm: Any,
    report: Callable[[Progress], None],
    is_cancelled: Callable[[], bool],
) -> Tuned:
    """Optimize a classifier of `split`'s labels with the language model `lm`, and score it.

    The optimizer sees `split.train` alone. `report` is called in the calling thread, at most
    every 0.1 s and after each evaluation. Deterministic when the language model is.

    Raises:
        TuningCancelled: `is_cancelled` became true.
        LanguageModelError: the model failed three times in a row.
    """
    evaluations = plan.iterations + _FIXED_CANDIDATES + 2
    watch = _Watch(report, is_cancelled, evaluations)
    settings = {
        "lm": lm,
        "callbacks": [watch],
        "adapter": dspy.ChatAdapter(use_json_adapter_fallback=False),
        "disable_history": True,
        "num_threads": 1,
        "max_errors": 10**9,
    }
    try:
        with dspy.context(**settings):
            return _run(split, plan, watch)
    except Stopped:
        raise (watch.reason or TuningCancelled("stopped")) from None


def _run(split: Split, plan: Plan, watch: _Watch) -> Tuned:
    program = classifier(split.labels)
    evaluate = dspy.Evaluate(devset=_examples(split.held_out), metric=_is_right, num_threads=1)
    before = _answers(evaluate(program))

    watch.stage = "optimize"
    search = BootstrapFewShotWithRandomSearch(
        metric=_is_right,
        max_bootstrapped_demos=min(_MAX_BOOTSTRAPPED, plan.max_demos),
        max_labeled_demos=plan.max_demos,
        num_candidate_programs=plan.iterations,
        num_threads=1,
    )
    best = search.compile(program, trainset=_examples(split.train))

    watch.stage = "score"
    after = _answers(evaluate(best))
    return Tuned(
        baseline_score=sum(before) / len(before),
        score=sum(after) / len(after),
        chance=chance_of(before, after),
        lm_calls=watch.lm_calls,
        evaluations=watch.evaluations,
        program=describe(best, split.labels),
    )


def classifier(labels: Sequence[str]) -> Any:
    """A `dspy.Predict` from `text` to `label`, one of `labels`."""
    label_type = Literal[tuple(labels)]  # type: ignore[valid-type]
    fields = {"text": (str, dspy.InputField()), "label": (label_type, dspy.OutputField())}
    return dspy.Predict(dspy.Signature(fields, INSTRUCTIONS))


def describe(program: Any, labels: Sequence[str]) -> dict[str, Any]:
    """A program made by `classifier` as JSON: its structure, and its state as DSPy dumps it."""
    return {
        "module": "predict",
        "signature": {
            "instructions": INSTRUCTIONS,
            "inputs": [{"name": "text", "type": "str"}],
            "outputs": [{"name": "label", "type": "str", "values": list(labels)}],
        },
        "state": program.dump_state(),
        "dspy_version": dspy.__version__,
    }


def chance_of(before: Sequence[bool], after: Sequence[bool]) -> float:
    """The probability, 0 to 1, that random changes would improve as many answers or more."""
    pairs = list(zip(before, after, strict=True))
    better = sum(now and not then for then, now in pairs)
    changed = better + sum(then and not now for then, now in pairs)
    ways = sum(math.comb(changed, count) for count in range(better, changed + 1))
    return float(ways) / 2.0**changed


def _is_right(example: Any, prediction: Any, trace: object = None) -> bool:
    return bool(example.label == prediction.label)


def _examples(rows: Sequence[LabelledText]) -> list[Any]:
    return [dspy.Example(text=row.text, label=row.label).with_inputs("text") for row in rows]


def _answers(result: Any) -> list[bool]:
    return [bool(score) for _, _, score in result.results]
