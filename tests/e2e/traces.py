"""What a tenant has left in the stores, asked of the stores themselves and not of the API."""

from dataclasses import dataclass

from dreamhub.names import database_role
from tests.e2e.kube import SYSTEM, Kube
from tests.e2e.tenants import Tenant

_LIST = """
import obstore, os, pathlib, sys
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
for batch in obstore.list(store, prefix=sys.argv[1]):
    for item in batch:
        print(item["path"])
"""


@dataclass(frozen=True)
class Traces:
    """Rows by table, and the keys of objects."""

    documents: int
    versions: int
    chunks: int
    objects: tuple[str, ...]


async def ask_database(kube: Kube, statement: str) -> str:
    """One value, as the database's superuser sees it."""
    psql = ("psql", "--dbname", "dreamhub", "--tuples-only", "--no-align", "--command", statement)
    return (await kube.within(SYSTEM).ask("exec", "dreamhub-postgres-0", "--", *psql)).strip()


async def list_objects(kube: Kube, prefix: str) -> tuple[str, ...]:
    """Keys in the bucket, listed from the API server's pod, which has the key to it."""
    pod = "deployment/dreamhub-api-server"
    listing = await kube.within(SYSTEM).ask("exec", pod, "--", "python3", "-c", _LIST, prefix)
    return tuple(sorted(listing.split()))


async def find_traces(tenant: Tenant) -> Traces:
    schema = database_role(tenant.name)
    counts = ", ' ', ".join(
        f'(select count(*) from "{schema}".{table})' for table in ("documents", "document_versions", "chunks")
    )
    documents, versions, chunks = (await ask_database(tenant.kube, f"select concat({counts})")).split()
    objects = await list_objects(tenant.kube, f"tenants/{tenant.name}/")
    return Traces(int(documents), int(versions), int(chunks), objects)
