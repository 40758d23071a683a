"""All scenarios by name."""

from soak.plan import Plan
from soak.scenes.changes import changes
from soak.scenes.fire import fire, storm
from soak.scenes.million import million
from soak.scenes.overload import overload
from soak.scenes.routers import frozen, killed
from soak.scenes.stuck import cancels, vanish, zoo
from soak.stage import Scenario

SCENARIOS: dict[str, Scenario] = {
    "fire": Scenario("everything fails by seed, and every answer is true", fire),
    "storm": Scenario(
        "an executor or keeper dies every 2 s under 100 calls/s: only calls there fail",
        storm,
        Plan(replicas=4, slots=4),
    ),
    "zoo": Scenario(
        "1,000 calls of stuck code are answered in time and dead",
        zoo,
        Plan(slots=4, memory="2Gi", line=1000),
    ),
    "vanish": Scenario(
        "500 callers vanish: all slots free within 2 s", vanish, Plan(slots=8, line=1000)
    ),
    "frozen": Scenario(
        "one of two routers stands still for 20 s: the other's callers do not notice",
        frozen,
        Plan(slots=4),
    ),
    "routers": Scenario(
        "a router is killed every 10 s: 100 sessions go on", killed, Plan(sessions=40, memory="4Gi")
    ),
    "changes": Scenario(
        "recycling, changed specs and `recycle` under load lose no call", changes, Plan(slots=4)
    ),
    "overload": Scenario(
        "ten times the capacity in waves: goodput holds, refusals and promises are honest",
        overload,
        Plan(replicas=2, line=60),
    ),
    "cancels": Scenario("10,000 cancels that cross results", cancels),
    "million": Scenario(
        "a million calls, some of which cross their deadlines: own answers, none late",
        million,
        Plan(replicas=2, slots=4, line=100),
    ),
}
