"""Sources on a cluster: the import folder through links, the way out that pods have, and the one that they have not."""

import json

from dreamhub import names
from tests.e2e.kube import SYSTEM, Kube
from tests.e2e.tenants import Tenant

_PUT = """
import json, obstore, os, pathlib, sys
from obstore.store import S3Store
folder = pathlib.Path(os.environ["DREAMHUB_S3_CREDENTIALS_DIR"])
store = S3Store(
    os.environ["DREAMHUB_S3_BUCKET"],
    endpoint=os.environ["DREAMHUB_S3_ENDPOINT"],
    region=os.environ["DREAMHUB_S3_REGION"],
    access_key_id=(folder / "access-key").read_text().strip(),
    secret_access_key=(folder / "secret-key").read_text().strip(),
    virtual_hosted_style_request=False,
    client_options={"allow_http": True},
)
for key, text in json.loads(sys.argv[1]).items():
    obstore.delete(store, [key]) if text is None else obstore.put(store, key, text.encode())
"""


async def put_objects(kube: Kube, tenant: str, objects: dict[str, str | None]) -> None:
    """What an administrator with the bucket's keys does; None deletes."""
    keyed = {names.import_folder(tenant) + key: text for key, text in objects.items()}
    pod = "deployment/dreamhub-api-server"
    await kube.within(SYSTEM).ask("exec", pod, "--", "python3", "-c", _PUT, json.dumps(keyed))


async def test_an_import_folder_is_followed(kube: Kube, tenant: Tenant) -> None:
    pages = {f"guide/{number}.md": f"# Page {number}\n\nThe quartz lamp number {number} glows." for number in range(3)}
    await put_objects(kube, tenant.name, {**pages, "other.md": "# Other\n\nNot asked for."})
    first = await tenant.cli("ingest", "s3", "guide/", "--wait", "--tag", "guide")
    assert first.code == 0, first
    assert "3 of 3 documents searchable (0 unchanged, 0 failed)" in first.out
    assert {hit.document_name for hit in await tenant.search("quartz lamp")} >= set(map("{}.md".format, range(3)))
    await put_objects(kube, tenant.name, {"guide/0.md": None, "guide/1.md": "# Page 1\n\nThe quartz lamp is broken."})
    second = await tenant.cli("ingest", "s3", "guide/", "--wait", "--tag", "guide")
    assert second.code == 0, second
    assert "2 of 2 documents searchable (1 unchanged, 0 failed)" in second.out
    assert "0 not read, 1 deleted" in second.out
    assert {document.name for document in await tenant.documents() if "guide" in document.tags} == {"1.md", "2.md"}


async def test_a_crawl_of_the_cluster_is_refused(tenant: Tenant) -> None:
    done = await tenant.cli("ingest", "web", "https://10.96.0.1/", "--wait")
    assert done.code != 0
    assert "AddressRefused" in done.out + done.err
