"""A small adapter that shows the parts of one: `pythonpool up examples/shop.yaml`.

pythonpool run shop price item=tea count=3
pythonpool run shop receipt item=tea
"""

import sqlite3
import time
from collections.abc import Iterator
from typing import Any

from pythonpool import Adapter, Context, command
from pythonpool.adapter import Session


def load_prices() -> dict[str, float]:
    """Stands in for something large that is read once."""
    return {"tea": 2.5, "coffee": 3.0, "cake": 4.25}


def connect() -> sqlite3.Connection:
    """Stands in for a connection, which no two processes can share."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE sales (item TEXT, count INTEGER)")
    return database


class Shop(Adapter):
    """Commands over a price list."""

    def start(self) -> None:
        """Once, before the fork: every executor shares these prices' memory."""
        self.prices = load_prices()

    def open(self) -> None:
        """In each executor: its own connection."""
        self.database = connect()

    def close(self) -> None:
        """The executor ends in peace."""
        self.database.close()

    def open_session(self, session: Session) -> None:
        """A customer comes in with an empty basket."""
        session.state["basket"] = {}

    @command(timeout_seconds=5, idempotent=True)
    def price(self, context: Context, item: str, count: int = 1) -> float:
        """Price of `count` items."""
        return self.prices[item] * count

    @command
    def put(self, context: Context, item: str, count: int = 1) -> dict[str, int]:
        """Put items into the basket of this session, and say what is in it."""
        if context.session is None:
            raise LookupError("a basket needs a session")
        self.price(context, item)
        basket: dict[str, int] = context.session.state["basket"]
        basket[item] = basket.get(item, 0) + count
        return basket

    @command
    def sell(self, item: str, count: int = 1) -> dict[str, Any]:
        """Note a sale in this executor's database."""
        self.database.execute("INSERT INTO sales VALUES (?, ?)", (item, count))
        (total,) = self.database.execute("SELECT sum(count) FROM sales").fetchone()
        return {"item": item, "sold_here": total}

    @command
    def stocktaking(self, context: Context, seconds_each: float = 0.1) -> Iterator[dict[str, Any]]:
        """Count each item, with progress; a cancelled count stops early."""
        for index, item in enumerate(sorted(self.prices)):
            if context.is_cancelled:
                return
            context.progress(index / len(self.prices), item=item)
            time.sleep(seconds_each)
            yield {"item": item, "price": self.prices[item]}

    @command
    def receipt(self, item: str) -> bytes:
        """A receipt as a file: bytes are sent as they are."""
        return f"1 x {item:<20} {self.prices[item]:>8.2f}\n".encode()
