"""Files that nobody should ingest, and one long enough to be interrupted."""

from dataclasses import dataclass
from io import BytesIO

from fpdf import FPDF
from fpdf.enums import EncryptionMethod

from hack.demo.pdf import SAMPLES

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class BadFile:
    """`code` is the one that the upload is refused with, or, where `late`, the one that its job reports."""

    name: str
    content: bytes
    code: str
    words: str
    late: bool = False
    media_type: str | None = None


def encrypted_pdf() -> bytes:
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner", user_password="user", encryption_method=EncryptionMethod.AES_128)
    pdf.add_page()
    pdf.set_font("Helvetica")
    pdf.cell(text="A secret")
    return bytes(pdf.output())


def pdf_without_pages() -> bytes:
    """A valid file whose page tree is empty, written by hand since no writer makes one."""
    objects = (b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>")
    file = BytesIO()
    file.write(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(file.tell())
        file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = file.tell()
    file.write(b"xref\n0 3\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    file.write(b"trailer\n<< /Size 3 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start)
    return file.getvalue()


BAD_FILES = (
    BadFile("empty.md", b"", "EmptyFile", "the file is empty"),
    BadFile("liar.pdf", b"This is no PDF at all.", "TypeMismatch", "says it is application/pdf"),
    BadFile("program.txt", b"\x7fELF\x02\x01\x01" + bytes(64), "ExecutableFile", "executables are never accepted"),
    BadFile("installer.pdf", b"MZ" + bytes(128), "ExecutableFile", "a Windows executable"),
    BadFile("archive.md", b"PK\x03\x04" + bytes(64), "ArchiveFile", "unpack it"),
    BadFile("feed.xml", b"<?xml version='1.0'?><rss/>", "UnsupportedType", "supported are", media_type="text/xml"),
    BadFile("blank.pdf", pdf_without_pages(), "EmptyDocument", "the PDF has no pages", late=True),
    BadFile("locked.pdf", encrypted_pdf(), "EncryptedPDF", "save it without a password", late=True),
    BadFile("broken.txt", "Grüße aus München. ".encode() * 900 + b"\xff", "InvalidEncoding", "UTF-8", late=True),
)


def long_text(megabytes: float, seed: int = 7) -> bytes:
    """Many different paragraphs, made of the samples' sentences: minutes of reading, seconds of work."""
    step = 7919 + 2 * seed  # walks through all sentences in an order of its own
    sentences: list[str] = []
    for path in sorted((SAMPLES / "documents").glob("*-*.md")):
        if not path.name.endswith(".zh.md"):
            sentences += [line for line in path.read_text().replace("\n", " ").split(". ") if len(line) > 30]
    parts: list[str] = []
    size = 0
    while size < megabytes * MEGABYTE:
        number = len(parts)
        chosen = (sentences[(number * 6 + place) * step % len(sentences)] for place in range(6))
        parts.append(f"Paragraph {number}. {'. '.join(chosen)}.\n\n")
        size += len(parts[-1])
    return "".join(parts).encode()
