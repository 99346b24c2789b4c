"""Turns `docker save` into an OCI layout without the layers that a node has: after a change of code 1 MB of 400."""

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from hack.cluster.errors import ClusterError

_OCI = "application/vnd.oci.image"
_NAME = "io.containerd.image.name"


@dataclass
class _Layout:
    """An OCI layout under way; each blob is written once, those that the node has not at all."""

    target: tarfile.TarFile
    present: Collection[str]
    written: set[str] = field(default_factory=set)

    def add_bytes(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Write a blob and return its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.add_stream(digest, io.BytesIO(content), len(content))
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def add_stream(self, digest: str, stream: IO[bytes], size: int) -> None:
        if digest not in self.written and digest not in self.present:
            self.written.add(digest)
            self.add_file(f"blobs/{digest.replace(':', '/')}", stream, size)

    def add_file(self, name: str, stream: IO[bytes], size: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = size
        self.target.addfile(entry, stream)


def write_layout(
    source: tarfile.TarFile, target: IO[bytes], names: Mapping[str, Collection[str]], present: Collection[str]
) -> None:
    """Write the images of a docker archive; `names` maps identities to the names a node uses, `present` its blobs.

    Layers are uncompressed in a docker archive, so the image's own list of layer digests names them.

    Raises:
        ClusterError: the archive is not one of docker's.
    """
    with tarfile.open(fileobj=target, mode="w|") as packed:
        layout = _Layout(packed, present)
        manifests = []
        for image in json.loads(_read(source, "manifest.json")):
            configuration = _read(source, image["Config"])
            identity = f"sha256:{hashlib.sha256(configuration).hexdigest()}"
            layers = _add_layers(layout, source, image["Layers"], json.loads(configuration)["rootfs"]["diff_ids"])
            manifest = {
                "schemaVersion": 2,
                "mediaType": f"{_OCI}.manifest.v1+json",
                "config": layout.add_bytes(configuration, f"{_OCI}.config.v1+json"),
                "layers": layers,
            }
            described = layout.add_bytes(json.dumps(manifest).encode(), f"{_OCI}.manifest.v1+json")
            manifests += [{**described, "annotations": {_NAME: name}} for name in names[identity]]
        for name, content in (
            ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
            ("index.json", {"schemaVersion": 2, "manifests": manifests}),
        ):
            text = json.dumps(content).encode()
            layout.add_file(name, io.BytesIO(text), len(text))


def _add_layers(layout: _Layout, source: tarfile.TarFile, files: list[str], digests: list[str]) -> list[dict[str, Any]]:
    layers = []
    for file, digest in zip(files, digests, strict=True):
        stream = _open(source, file)
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        layout.add_stream(digest, stream, size)
        layers.append({"mediaType": f"{_OCI}.layer.v1.tar", "digest": digest, "size": size})
    return layers


def _read(source: tarfile.TarFile, name: str) -> bytes:
    return _open(source, name).read()


def _open(source: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file of the archive; docker links layers that two images share."""
    try:
        stream = source.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise ClusterError(f"`docker save` wrote no {name}: this Docker has an unknown archive format.")
    return stream
