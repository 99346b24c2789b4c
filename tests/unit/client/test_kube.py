"""kubectl as the way in: a script stands for it, so that every outcome can be had without a cluster."""

from pathlib import Path

import pytest

from dreamhub import names
from dreamhub_client import kube
from dreamhub_client.errors import CredentialError, UnreachableError
from dreamhub_client.kube import KubeAccess, create_token, forward_api


def fake_kubectl(folder: Path, script: str) -> KubeAccess:
    path = folder / "kubectl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return KubeAccess("acme", kubectl=str(path), kubeconfig=Path("/k"), context="c")


def test_names_are_those_of_the_platform() -> None:
    assert names.TOKEN_AUDIENCE == kube.AUDIENCE
    assert names.OWNER_SERVICE_ACCOUNT == kube.SERVICE_ACCOUNT
    assert names.SYSTEM_NAMESPACE == kube.SYSTEM_NAMESPACE
    assert names.namespace("acme") == KubeAccess("acme").tenant_namespace


async def test_token_is_what_kubectl_prints(tmp_path: Path) -> None:
    token = await create_token(fake_kubectl(tmp_path, 'echo "$@"'))
    expected = "--kubeconfig /k --context c --namespace dh-acme create token owner --audience dreamhub --duration 3600s"
    assert token == expected


async def test_refused_token_is_told_in_kubectls_words(tmp_path: Path) -> None:
    access = fake_kubectl(tmp_path, "echo 'error: failed to create token: not found' >&2; exit 1")
    with pytest.raises(CredentialError, match="for tenant acme: failed to create token: not found"):
        await create_token(access)


async def test_absent_kubectl_is_named(tmp_path: Path) -> None:
    access = KubeAccess("acme", kubectl=str(tmp_path / "none"))
    with pytest.raises(CredentialError, match="install kubectl"):
        await create_token(access)
    with pytest.raises(UnreachableError, match="install kubectl"):
        async with forward_api(access):
            pass


def runs(pid_file: Path) -> bool:
    return Path(f"/proc/{pid_file.read_text().strip()}").exists()


async def test_forward_gives_the_address_and_ends_kubectl(tmp_path: Path) -> None:
    script = 'echo $$ > "$(dirname "$0")/pid"; echo "Forwarding from 127.0.0.1:40123 -> 8080"; exec tail -f /dev/null'
    async with forward_api(fake_kubectl(tmp_path, script)) as server:
        assert server == "http://127.0.0.1:40123"
        assert runs(tmp_path / "pid")
    assert not runs(tmp_path / "pid")


async def test_failed_forward_tells_why(tmp_path: Path) -> None:
    access = fake_kubectl(tmp_path, "echo 'error: unable to forward port because pod is not running' >&2; exit 1")
    with pytest.raises(UnreachableError, match="dreamhub-system: unable to forward port"):
        async with forward_api(access):
            pass
