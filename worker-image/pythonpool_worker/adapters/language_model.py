"""The language model of the optimizer pool: its settings, and DSPy's client for it.

Called by the optimizer adapter, after `prepare_environment`. Only this module makes clients.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from pythonpool_worker.adapters.lm_stub import MODEL

# Read when dspy, numpy and tqdm are imported: no call home for a price list, no BLAS threads
# (a process with threads can not be forked), no progress bars in the log.
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "TQDM_DISABLE": "1",
}


class LmConfig(BaseModel):
    """`config.lm` of an optimizer pool.

    Attributes:
        model: DSPy's name of the model, `PROVIDER/NAME`, e.g. `openai/gpt-4o-mini`.
        api_base: URL of an OpenAI-compatible API, up to and with its `/v1`.
        api_key_env: name of a variable of `spec.env` that holds the API key; None: no key.
        temperature: 0 to 2.
        max_tokens: longest answer, in tokens.
        timeout_seconds: of one call; each failed call is tried again `num_retries` times.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(pattern=r"^[\w.-]+/[\w./:@-]+$", max_length=200)]
    api_base: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=500)]
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,99}$")] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 256
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    num_retries: Annotated[int, Field(ge=0, le=10)] = 2

    @classmethod
    def of_stub(cls, url: str) -> Self:
        """The settings for the offline model at `url`."""
        return cls(model=f"openai/{MODEL}", api_base=url, num_retries=0)


def prepare_environment() -> None:
    """Set what dspy reads at its import; variables that are set already stay."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def bypass_proxies(host: str) -> None:
    """Let this process reach `host` directly, whatever proxy `spec.env` names."""
    # DSPy's client asks urllib, to which the name in small letters goes before the other.
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if host not in known.split(","):
        os.environ["no_proxy"] = f"{known},{host}" if known else host


def prepare_dspy() -> None:
    """Import dspy and switch its caches off: the one on disk holds pickles, up to 30 GB."""
    prepare_environment()
    import dspy

    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)


def language_model(config: LmConfig, environment: Mapping[str, str]) -> Any:
    """DSPy's client, with the key from `environment`. Opens no connection yet.

    Raises:
        ValueError: the variable that `api_key_env` names is not set.
    """
    import dspy

    key = "none" if config.api_key_env is None else environment.get(config.api_key_env)
    if not key:
        raise ValueError(
            f"config.lm.api_key_env names {config.api_key_env}, which is not set; "
            "set it in spec.env"
        )
    # engine: without it some variables of the environment switch to the heavy client, silently.
    return dspy.LM(
        config.model,
        engine="lm15",
        api_base=config.api_base,
        api_key=key,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        timeout=config.timeout_seconds,
        num_retries=config.num_retries,
        cache=False,
    )
