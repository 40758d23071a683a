"""LitServe: two workers, the queue that it recommends for over 100 requests a second."""

import sys

import litserve


class Echo(litserve.LitAPI):
    """Gives the body back, read as JSON."""

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def predict(self, x: object) -> object:
        """The args."""
        return x


if __name__ == "__main__":
    server = litserve.LitServer(
        Echo(api_path="/echo"), accelerator="cpu", workers_per_device=2, fast_queue=True
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False,
        generate_client_file=False,
    )
