import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.checks.tools import prepare_tools

Objects = dict[tuple[str, str], dict[str, Any]]
"""Rendered objects by kind and name."""

CHART = Path(__file__).resolve().parents[3] / "charts/dreamhub"
CASES = sorted(path.name for path in (CHART / "ci").glob("*.yaml"))


@pytest.fixture(scope="session")
def helm() -> Path:
    return prepare_tools() / "helm"


@pytest.fixture(scope="session")
def render(helm: Path) -> Callable[..., Objects]:
    """Render the chart with a case of `ci/`, with values, or with neither."""

    def run(case: str | None = None, release: str = "dreamhub", **values: Any) -> Objects:
        command = [str(helm), "template", release, str(CHART), "--namespace", "dreamhub-system"]
        command += ["--values", str(CHART / "ci" / case)] if case else []
        command += ["--values", "-"]
        done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(done.stderr)
        documents = [document for document in yaml.safe_load_all(done.stdout) if document]
        objects = {(document["kind"], document["metadata"]["name"]): document for document in documents}
        assert len(objects) == len(documents), "two objects have one name"
        return objects

    return run


def pod_of(rendered: dict[str, Any]) -> dict[str, Any] | None:
    """The pod spec of a workload, or None."""
    spec = rendered.get("spec", {})
    if rendered["kind"] == "Pod":
        return dict(spec)
    template = spec.get("template") if isinstance(spec, dict) else None
    return dict(template["spec"]) if template else None
