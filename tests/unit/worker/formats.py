"""A document of each format, and where its last words stand. As small as they can be: many tests send them all."""

import io
import json
from dataclasses import dataclass
from email.message import EmailMessage

import docx
from openpyxl import Workbook
from pptx import Presentation

from tests.unit.worker.office import saved
from tests.unit.worker.pdfs import BODY, typeset

EVENT = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260105T100000Z\r\nSUMMARY:Audit\r\nLOCATION:Brno\r\nEND:VEVENT\r\n"


def word() -> bytes:
    document = docx.Document()
    document.add_heading("Handbook", 0)
    document.add_heading("Leave", 1)
    document.add_paragraph("Thirty days of leave.")
    return saved(document)


def slides() -> bytes:
    made = Presentation()
    for name in ("Opening", "Results"):
        slide = made.slides.add_slide(made.slide_layouts[1])
        slide.shapes.title.text = name
        slide.placeholders[1].text = f"What there is to say about {name}."
    return saved(made)


def workbook() -> bytes:
    made, buffer = Workbook(), io.BytesIO()
    made.worksheets[0].append(["cover"])
    prices = made.create_sheet("Prices")
    for row in (["Item", "Price"], ["Pump", 30]):
        prices.append(row)
    made.save(buffer)
    return buffer.getvalue()


def mail() -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"] = "The plan", "eva@acme.cz"
    made["To"], made["Date"] = "jan@acme.cz", "Mon, 05 Jan 2026 10:00:00 +0100"
    made.set_content("Here it is.")
    plan = typeset([[(20, "Start"), (BODY, "First page.")], [(20, "End"), (BODY, "The pump is on page two.")]])
    made.add_attachment(plan, maintype="application", subtype="pdf", filename="plan.pdf")
    return made.as_bytes()


@dataclass(frozen=True)
class Case:
    """`words` stand in the last chunk, which stands under `path` at `place`."""

    name: str
    data: bytes
    words: str
    path: tuple[str, ...] = ()
    place: tuple[str | None, int | None] = (None, None)
    pages: int = 0


CASES = [
    Case("handbook.docx", word(), "Thirty days", ("Leave",)),
    Case("review.pptx", slides(), "about Results", ("Results",), ("slide", 2), 2),
    Case("prices.xlsx", workbook(), "| Item | Price |\n| --- | --- |\n| Pump | 30 |", ("Prices",), ("sheet", 2), 2),
    Case(
        "部品.csv", "品名,价格\n水泵的价格,30\n软管的价格,4\n".encode("gb18030"), "| 软管的价格 | 4 |", (), ("row", 2)
    ),
    Case(
        "big.json",
        json.dumps({"pumps": [{"note": "pump " * 250}, {"note": "hose " * 250}]}).encode(),
        "hose",
        ("pumps", "2"),
    ),
    Case("log.jsonl", b'{"a": "one"}\n' + json.dumps({"b": "two " * 250}).encode(), "two", (), ("line", 2)),
    Case("plan.eml", mail(), "page two", ("plan.pdf", "End"), ("page", 2), 2),
    Case(
        "audit.ics", f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{EVENT}END:VCALENDAR\r\n".encode(), "Where: Brno", ("Audit",)
    ),
    Case("old.txt", "Größe und Gewicht der Geräte müssen geprüft werden.".encode("cp1252"), "müssen geprüft"),
    Case("wide.txt", "Größe und Gewicht.\n".encode("utf-16-le"), "Größe und"),
]
