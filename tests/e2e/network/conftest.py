"""Namespaces on the running local cluster, thrown away after the module that asked for them."""

import uuid
from collections.abc import Iterator

import pytest

from hack.cluster.daemon import find_daemon
from hack.cluster.debian import ensure_base_image
from hack.cluster.images import canonical_name, load
from hack.cluster.progress import Progress
from hack.cluster.settings import read_settings
from tests.e2e.network.pods import Namespace


@pytest.fixture(scope="package")
def image() -> str:
    """An image with Python that every node has."""
    settings, progress = read_settings(), Progress()
    daemon = find_daemon(settings)
    if daemon is None:
        pytest.fail("no cluster runs: `make cluster-up` starts one")
    name = ensure_base_image(settings, daemon, progress)
    load(settings, [name], progress)
    return canonical_name(name)


@pytest.fixture(scope="module")
def here(image: str) -> Iterator[Namespace]:
    yield from _namespace("here", image)


@pytest.fixture(scope="module")
def elsewhere(image: str) -> Iterator[Namespace]:
    yield from _namespace("elsewhere", image)


def _namespace(kind: str, image: str) -> Iterator[Namespace]:
    name = f"network-{kind}-{uuid.uuid4().hex[:6]}"
    namespace = Namespace(name, image, str(read_settings().kubeconfig))
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"test": kind}}}
    Namespace("default", image, namespace.kubeconfig).apply(manifest)
    yield namespace
    namespace.kubectl("delete", "namespace", name, "--wait=false")
