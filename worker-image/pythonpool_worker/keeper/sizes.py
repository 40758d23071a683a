"""How much memory template and executors hold, read again at every look."""

from pythonpool_worker.keeper.executors import Executors
from pythonpool_worker.keeper.gauge import TreeGauge
from pythonpool_worker.keeper.template import Template


class Sizes:
    """The trees of one worker.

    Attributes:
        by_executor: bytes by the executors' ids, as of the last look.
        template_bytes: of the template and its helpers.
    """

    def __init__(self, executors: Executors, template: Template) -> None:
        self._executors = executors
        self._template = template
        self._gauges: dict[int, TreeGauge] = {}
        self._template_gauge: TreeGauge | None = None
        self.by_executor: dict[int, int] = {}
        self.template_bytes = 0

    @property
    def total(self) -> int:
        """Bytes of all."""
        return self.template_bytes + sum(self.by_executor.values())

    def look(self) -> None:
        """Read all sizes."""
        self._look_at_template()
        living = {e.id: e for e in self._executors if e.pid}
        for gone in self._gauges.keys() - living.keys():
            self._gauges.pop(gone).close()
        for key, executor in living.items():
            if key not in self._gauges:
                self._gauges[key] = TreeGauge(executor.pid, executor.shared_bytes)
        self.by_executor = {key: self._gauges[key].read() for key in living}

    def pids(self) -> list[int]:
        """All processes that were seen at the last look."""
        trees = [*self._gauges.values()]
        if self._template_gauge:
            trees.append(self._template_gauge)
        return sorted(pid for tree in trees for pid in tree.pids())

    def pids_of(self, executor_id: int) -> list[int]:
        """An executor and all that live below it."""
        return sorted(self._gauges[executor_id].pids())

    def pids_of_template(self) -> list[int]:
        """The template and its helpers."""
        return sorted(self._template_gauge.pids()) if self._template_gauge else []

    def _look_at_template(self) -> None:
        gauge, pid = self._template_gauge, self._template.pid
        if gauge and gauge.pid != pid:
            gauge.close()
            gauge = None
        if gauge is None and pid:
            gauge = TreeGauge(pid)
        self._template_gauge = gauge
        self.template_bytes = gauge.read() if gauge else 0
