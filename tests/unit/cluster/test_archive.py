"""Images on their way into a node: what docker writes against what the node's containerd reads."""

import hashlib
import io
import json
import tarfile
from typing import Any

import pytest

from hack.cluster.archive import write_layout
from hack.cluster.errors import ClusterError

BASE, FIRST, SECOND = b"the base layer", b"layer of one", b"layer of two"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def configuration(*layers: bytes) -> bytes:
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}).encode()


ONE, TWO = configuration(BASE, FIRST), configuration(BASE, SECOND)
NAMES = {digest(ONE): ["docker.io/one:1", "docker.io/one:latest"], digest(TWO): ["docker.io/two:1"]}


def docker_archive() -> tarfile.TarFile:
    """Two images; the second's base layer is a link to the first's, as Docker 20.10 writes it."""
    content = io.BytesIO()
    manifest = [
        {"Config": "one.json", "Layers": ["a/layer.tar", "b/layer.tar"]},
        {"Config": "two.json", "Layers": ["c/layer.tar", "d/layer.tar"]},
    ]
    files = {"one.json": ONE, "two.json": TWO, "a/layer.tar": BASE, "b/layer.tar": FIRST, "d/layer.tar": SECOND}
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in (*files.items(), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("c/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../a/layer.tar"
        archive.addfile(link)
    return tarfile.open(fileobj=io.BytesIO(content.getvalue()))


def layout(present: set[str]) -> dict[str, bytes]:
    """Files of the layout that a node with some blobs is sent."""
    target = io.BytesIO()
    with docker_archive() as source:
        write_layout(source, target, NAMES, present)
    target.seek(0)
    with tarfile.open(fileobj=target) as written:
        names = written.getnames()
        if len(names) != len(set(names)):
            raise ValueError("a file was written twice")
        return {name: stream.read() for name in names if (stream := written.extractfile(name))}


def blob(files: dict[str, bytes], name: str) -> bytes:
    return files[f"blobs/{name.replace(':', '/')}"]


def manifests(files: dict[str, bytes]) -> dict[str, Any]:
    """Name of the image -> its manifest."""
    index = json.loads(files["index.json"])["manifests"]
    return {
        entry["annotations"]["io.containerd.image.name"]: json.loads(blob(files, entry["digest"])) for entry in index
    }


def test_a_node_that_has_nothing_gets_everything_once() -> None:
    files = layout(set())
    assert set(manifests(files)) == {"docker.io/one:1", "docker.io/one:latest", "docker.io/two:1"}
    for content in (BASE, FIRST, SECOND, ONE, TWO):
        assert blob(files, digest(content)) == content
    assert all(
        digest(content) == name.replace("blobs/sha256/", "sha256:") for name, content in files.items() if "/" in name
    )


def test_layers_are_in_order_and_described() -> None:
    manifest = manifests(layout(set()))["docker.io/two:1"]
    assert [(layer["digest"], layer["size"]) for layer in manifest["layers"]] == [
        (digest(BASE), len(BASE)),
        (digest(SECOND), len(SECOND)),
    ]
    assert manifest["config"]["digest"] == digest(TWO)


def test_layers_that_the_node_has_are_named_but_not_sent() -> None:
    files = layout({digest(BASE)})
    assert f"blobs/{digest(BASE).replace(':', '/')}" not in files
    assert blob(files, digest(FIRST)) == FIRST
    assert manifests(files)["docker.io/one:1"]["layers"][0] == {
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": digest(BASE),
        "size": len(BASE),
    }


def test_something_else_than_an_archive_of_images_is_refused() -> None:
    content = io.BytesIO()
    tarfile.open(fileobj=content, mode="w").close()
    with tarfile.open(fileobj=io.BytesIO(content.getvalue())) as source, pytest.raises(ClusterError, match="manifest"):
        write_layout(source, io.BytesIO(), NAMES, set())
