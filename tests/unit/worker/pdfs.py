"""PDFs for tests, made by a typesetter or by hand."""

import io
from collections.abc import Iterable

import pypdfium2
from fpdf import FPDF

BODY = 11


def typeset(pages: Iterable[Iterable[tuple[int, str]]], password: str = "") -> bytes:
    """A PDF whose pages are blocks of (font size, text)."""
    pdf = FPDF()
    if password:
        pdf.set_encryption(owner_password=f"owner of {password}", user_password=password)
    for page in pages:
        pdf.add_page()
        for size, text in page:
            pdf.set_font("helvetica", size=size)
            pdf.multi_cell(0, size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())


def without_pages() -> bytes:
    buffer = io.BytesIO()
    pypdfium2.PdfDocument.new().save(buffer)
    return buffer.getvalue()
