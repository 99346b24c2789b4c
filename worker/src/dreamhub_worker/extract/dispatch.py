"""The one parser for each type. Loaded by name when first needed: a job of text files never loads a PDF library."""

from collections.abc import Callable
from pkgutil import resolve_name

from dreamhub.domain.media_types import MediaType
from dreamhub.domain.office_files import DOCX, PPTX, XLSX
from dreamhub_worker.disguise import check_disguise
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.text import check_length

Parser = Callable[[bytes], Extracted]

_PARSERS: dict[MediaType, str] = {
    "text/plain": "dreamhub_worker.extract.text:extract_text",
    "text/markdown": "dreamhub_worker.extract.markdown:extract_markdown",
    "text/html": "dreamhub_worker.extract.html:extract_html",
    "text/csv": "dreamhub_worker.extract.delimited:extract_csv",
    "text/calendar": "dreamhub_worker.extract.events:extract_calendar",
    "application/json": "dreamhub_worker.extract.json_values:extract_json",
    "application/x-ndjson": "dreamhub_worker.extract.json_values:extract_json_lines",
    "message/rfc822": "dreamhub_worker.extract.mail:extract_mail",
    "application/pdf": "dreamhub_worker.extract.pdf:extract_pdf",
    DOCX: "dreamhub_worker.extract.word:extract_docx",
    PPTX: "dreamhub_worker.extract.slides:extract_pptx",
    XLSX: "dreamhub_worker.extract.sheets:extract_xlsx",
}


def extract(data: bytes, media_type: MediaType) -> Extracted:
    check_disguise(data, media_type)
    parse: Parser = resolve_name(_PARSERS[media_type])
    extracted = parse(data)
    check_length(len(extracted.text))
    return extracted
