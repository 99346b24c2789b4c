from dreamhub.domain.terms import TermIndex
from dreamhub.sql.connections import Connection
from dreamhub.sql.search import Filters, Hit, SearchQuery, fetch_index_state, search
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import File, embed, ingest

CATS = File("cats.md", ("Cats sleep on the sofa.", "A cat hunts mice at night."), tags=("animals",))
CARS = File(
    "cars.md", ("Cars need petrol.", "The garage repairs a car."), tags=("machines", "2024"), media_type="text/html"
)
CHINESE = File("北京.txt", ("北京大学在北京。", "上海是一座城市。"))


async def ask(conn: Connection, login: TenantLogin, question: str, **changes: object) -> list[Hit]:
    terms = TermIndex(login.keys).query(question)
    query = SearchQuery(embed(question), terms, lexical_weight=1.0, **changes)  # type: ignore[arg-type]
    return await search(conn, login.keys, query)


async def test_finds_by_stemmed_words(tenant: TenantLogin, tenant_connection: Connection) -> None:
    for file in (CATS, CARS, CHINESE):
        await ingest(tenant_connection, tenant.keys, file)
    hits = await ask(tenant_connection, tenant, "sleeping cat")
    assert hits[0].text == "Cats sleep on the sofa."
    assert hits[0].document_name == "cats.md"
    assert hits[0].lexical > hits[1].lexical > 0
    hits = await ask(tenant_connection, tenant, "大学")
    assert hits[0].text == "北京大学在北京。"
