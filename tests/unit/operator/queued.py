"""A tenant with IngestJobs, as the watches would show them."""

from typing import Any

from dreamhub.crd.ingest_job import IngestJob
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import job_state
from tests.unit.operator.test_watched import tenant


def watch(*numbers: int, limit: int | None = None, **status: Any) -> Watched:
    """A tenant with IngestJobs j1, j2, ..., each a second younger than the one before."""
    watched = Watched()
    watched.put_tenant({**tenant(), "spec": {"plan": {"concurrentJobs": limit}}})
    for number in numbers:
        watched.put_ingest_job(manifest(number, **status))
    return watched


def manifest(number: int, version: int = 5, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"n{number}",
            "namespace": "dh-acme",
            "uid": f"j{number}",
            "resourceVersion": str(version),
            "creationTimestamp": f"2026-03-01T{12 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        },
        "spec": {"source": {"inline": {"name": "a", "text": "b"}}},
        "status": status,
    }


def job(watched: Watched, number: int) -> IngestJob:
    return watched.ingest_jobs[f"j{number}"]


def end(watched: Watched, number: int) -> None:
    watched.put_ingest_job(manifest(number, version=9, phase="Succeeded"))
    if f"j{number}" in watched.jobs:
        watched.jobs[f"j{number}"] = job_state(complete=True)
