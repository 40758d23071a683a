"""The mutations fit the sources, so that `make mutations` shows what it says."""

import pytest
from soak.checker import RULES
from soak.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_a_mutation_fits(mutation: Mutation) -> None:
    assert mutation.rule in {rule.__name__ for rule in RULES}
    for change in mutation.changes:
        assert (ROOT / change.path).read_text().count(change.old) == 1, change.path
        assert change.new != change.old
