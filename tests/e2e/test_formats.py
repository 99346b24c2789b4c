"""Documents of every format in the images that are shipped: uploaded by the command line, found by their places."""

from pathlib import Path

from dreamhub_cli.output import place
from tests.e2e.tenants import Tenant
from tests.unit.worker.formats import CASES

PLACES = {
    "What is there to say about Results?": "review.pptx, slide 2, Results",
    "How many days of leave?": "handbook.docx, Leave",
    "price of a pump": "prices.xlsx, sheet 2, Prices",
    "软管的价格": "部品.csv, row 2",
    "Which page is the pump on?": "plan.eml, page 2, plan.pdf > End",
    "When is the audit in Brno?": "audit.ics, Audit",
    "Größe und Gewicht der Geräte prüfen": "old.txt",
}


async def test_a_folder_of_every_format_is_found_by_its_places(tenant: Tenant, tmp_path: Path) -> None:
    for case in CASES:
        (tmp_path / case.name).write_bytes(case.data)

    done = await tenant.cli("upload", str(tmp_path), "--wait")

    assert done.code == 0, done.out + done.err
    assert {
        document.state for document in await tenant.documents() if document.name in {case.name for case in CASES}
    } == {"active"}
    found = {question: {place(hit) for hit in await tenant.search(question, 20)} for question in PLACES}
    assert {question: expected for question, expected in PLACES.items() if expected not in found[question]} == {}, found
