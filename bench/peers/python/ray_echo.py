"""Ray Serve: two replicas; its switch for throughput, a variable of the environment, is set outside."""

import signal
import sys

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=2, max_ongoing_requests=64)
class Echo:
    """Gives the body back, read as JSON."""

    async def __call__(self, request: Request) -> dict[str, object]:
        return await request.json()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ray.init(
        include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False,
        _temp_dir=sys.argv[2],
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[1])},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    serve.run(Echo.bind(), route_prefix="/echo")
    print("ready", flush=True)
    signal.pause()
