"""The images that the release runs: small enough, nobody's root, whole under a read-only root file system."""

import asyncio

import pytest
import pytest_asyncio

from hack.cluster.daemon import Daemon, find_daemon
from hack.cluster.debian import image_megabytes
from hack.cluster.settings import OWN_BASE_IMAGE, STOCK_BASE_IMAGE
from hack.images.tags import TARGETS
from hack.install.release import TAG_VALUES
from tests.e2e.kube import SYSTEM, Kube
from tests.e2e.releases import Release

WORKER_MEGABYTES = 250
"""What the worker may add to its base."""
BASE_MEGABYTES = 200


@pytest.fixture(scope="module")
def daemon(kube: Kube) -> Daemon:
    found = find_daemon(kube.settings)
    if found is None:
        pytest.fail("no Docker daemon answers: `make cluster-up` starts one where it is missing")
    return found


@pytest_asyncio.fixture(scope="module")
async def images(kube: Kube) -> dict[str, str]:
    """Target to the image that the release runs."""
    values = await Release(kube.within(SYSTEM), "dreamhub").user_values()
    names: dict[str, str] = {}
    for target in TARGETS:
        node = values
        for key in TAG_VALUES[target].split("."):
            node = node[key]
        names[target] = f"dreamhub/{target}:{node}"
    return names


def base_of(daemon: Daemon) -> str:
    return STOCK_BASE_IMAGE if daemon.has_image(STOCK_BASE_IMAGE) else OWN_BASE_IMAGE


def test_the_worker_is_small(daemon: Daemon, images: dict[str, str]) -> None:
    base = image_megabytes(daemon, base_of(daemon))
    assert base <= BASE_MEGABYTES
    assert image_megabytes(daemon, images["worker"]) - base <= WORKER_MEGABYTES


def test_services_share_the_layers_of_the_core(daemon: Daemon, images: dict[str, str]) -> None:
    layers = {
        target: daemon.docker("image", "inspect", "--format", "{{range .RootFS.Layers}}{{.}} {{end}}", name).split()
        for target, name in images.items()
    }
    shared = set(layers["operator"]) & set(layers["api-server"]) & set(layers["worker"])
    assert len(shared) > len(set(layers["redis"]) & set(layers["worker"])), "nothing beyond the base is shared"
    assert layers["operator"][:-1] == layers["api-server"][: len(layers["operator"]) - 1]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_is_labelled_and_runs_as_nobody_in_particular(
    daemon: Daemon, images: dict[str, str], target: str
) -> None:
    user = daemon.docker("image", "inspect", "--format", "{{.Config.User}}", images[target]).strip()
    title = '{{index .Config.Labels "org.opencontainers.image.title"}}'
    assert user == "65532:65532"
    assert daemon.docker("image", "inspect", "--format", title, images[target]).startswith("DreamHub")


@pytest.mark.parametrize(
    ("target", "modules"),
    [
        ("operator", ("dreamhub_operator.process", "kopf", "kubernetes.aio.client")),
        ("api-server", ("dreamhub_api.__main__", "dreamhub.sql.migrate", "joserfc.jwt", "wordllama")),
        (
            "worker",
            (
                "dreamhub_worker.__main__",
                "lxml.etree",
                "trafilatura",
                "pypdfium2",
                "semantic_text_splitter",
                "tokenizers",
            ),
        ),
    ],
)
async def test_what_was_left_out_of_the_layers_is_not_missed(
    daemon: Daemon, images: dict[str, str], target: str, modules: tuple[str, ...]
) -> None:
    imports = "; ".join(f"import {module}" for module in modules)
    confined = ("--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--tmpfs=/tmp")
    command = ("run", *confined, "--entrypoint", "/opt/venv/bin/python", images[target], "-c", imports)
    await asyncio.to_thread(daemon.docker, *command, timeout=120)
