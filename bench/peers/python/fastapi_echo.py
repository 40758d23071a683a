"""FastAPI and uvicorn: `/echo` in uvicorn's own workers, `/pooled` in a pool of two processes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Args(BaseModel):
    """What the benchmark's small call has."""

    values: list[int]
    text: str


def work(args: dict[str, object]) -> dict[str, object]:
    """The args."""
    return args


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The pool's processes are there before the first call."""
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/echo")
def echo(args: Args) -> Args:
    """In this process, on a thread."""
    return args


@app.post("/pooled")
async def pooled(args: Args) -> Args:
    """In another process, so that a call can not hold up the others."""
    loop = asyncio.get_running_loop()
    return Args(**await loop.run_in_executor(app.state.pool, work, args.model_dump()))


if __name__ == "__main__":
    uvicorn.run(
        "fastapi_echo:app", host="127.0.0.1", port=int(sys.argv[1]), workers=int(sys.argv[2]),
        log_level="warning", access_log=False,
    )
