"""Each wall can still be taken down: what its removals edit is there, and so are the tests that must notice.

What a removal changes in the database is looked at in tests/integration/isolation/test_removals.py.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.unit.repo.tree import ROOT
from tests.walls.kubernetes import POLICIES
from tests.walls.named import find_absent, find_lost, is_defined
from tests.walls.removals import LeaveOut, SourceEdit, StaleRemovalError, Wall
from tests.walls.table import WALLS

EDITED = [wall for wall in WALLS if any(isinstance(removal, SourceEdit) for removal in wall.removals)]
NAMED = sorted({test for wall in WALLS for test in wall.tests})


@pytest.mark.parametrize("wall", EDITED, ids=lambda wall: wall.name)
def test_the_source_that_a_removal_edits_is_there(wall: Wall) -> None:
    texts: dict[str, str] = {}
    for removal in wall.removals:
        if isinstance(removal, SourceEdit):
            texts[removal.module] = removal.edit(texts.get(removal.module) or read_source(removal.module))
    for module, text in texts.items():
        compile(text, module, "exec")


def read_source(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None, module
    assert spec.origin is not None, module
    return Path(spec.origin).read_text()


def test_every_policy_that_is_left_out_would_be_installed() -> None:
    documents = yaml.safe_load_all((ROOT / "operator" / "tenant-access.yaml").read_text())
    bindings = {each["metadata"]["name"] for each in documents if each["kind"] == "ValidatingAdmissionPolicyBinding"}
    left_out = {removal.binding for wall in WALLS for removal in wall.removals if isinstance(removal, LeaveOut)}
    assert left_out == set(POLICIES) == bindings


@pytest.mark.parametrize("test", NAMED)
def test_a_named_test_is_defined(test: str) -> None:
    assert is_defined(test), f"{test} is not there any more: name the one in tests/walls that notices now"


def test_a_named_test_has_its_parameters(request: pytest.FixtureRequest) -> None:
    assert find_lost(NAMED, request.session) == []


def test_what_is_stale_is_found() -> None:
    """So that none of the above can pass because it looks at nothing."""
    with pytest.raises(StaleRemovalError, match="0 times"):
        SourceEdit("dreamhub.names", "no such text", "").edit(read_source("dreamhub.names"))
    here = Path(__file__).relative_to(ROOT).as_posix()
    assert [is_defined(f"{here}{test}") for test in ("", "::test_what_is_stale_is_found", "::test_x", "x")] == [
        *(True, True),
        *(False, False),
    ]
    collected = ["a.py::test_x[1]", "a.py::C::test_y"]
    lost = ["a.py::test_x[2]", "a.py::test_z", "b.py::test_z", "a.py::test_x", "a.py", "a.py::C::test_y"]
    assert find_absent(lost, collected) == ["a.py::test_x[2]", "a.py::test_z"]


def test_names_of_walls_are_their_own() -> None:
    assert len({wall.name for wall in WALLS}) == len(WALLS)
