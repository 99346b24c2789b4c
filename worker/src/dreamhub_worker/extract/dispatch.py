"""The one parser for each type. Loaded by name when first needed: a job of text files never loads a PDF library."""

from collections.abc import Callable
from pkgutil import resolve_name

from dreamhub.domain.media_types import MediaType
from dreamhub.errors import TooLargeError
from dreamhub_worker.extract.extracted import Extracted

MAX_CHARACTERS = 50_000_000
"""Of extracted text. A small file that unfolds to more is an attack or belongs into a database."""

Parser = Callable[[bytes], Extracted]

_PARSERS: dict[MediaType, str] = {
    "text/plain": "dreamhub_worker.extract.text:extract_text",
    "text/markdown": "dreamhub_worker.extract.markdown:extract_markdown",
    "text/html": "dreamhub_worker.extract.html:extract_html",
    "application/pdf": "dreamhub_worker.extract.pdf:extract_pdf",
}


def extract(data: bytes, media_type: MediaType) -> Extracted:
    parse: Parser = resolve_name(_PARSERS[media_type])
    extracted = parse(data)
    if len(extracted.text) > MAX_CHARACTERS:
        raise TooLargeError(
            f"the document has {len(extracted.text):,} characters of text; at most {MAX_CHARACTERS:,} are accepted: "
            "split it"
        )
    return extracted
