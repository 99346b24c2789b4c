"""XML is looked at before any parser of a document format gets it: what only an attack needs is refused.

Office formats forbid document type definitions, and entities come from nowhere else: without them there is no billion
laughs, no quadratic blow-up, no external file and no request. What is left is depth and endless tokens.
"""

from collections.abc import Generator, Iterable
from typing import NoReturn
from xml.parsers import expat

from dreamhub.errors import InvalidInputError, TooLargeError

MAX_DEPTH = 256
"""Elements inside each other. Word's deepest tables in tables need some 60; libxml2 stops at 256 as well."""

MAX_TOKEN_BYTES = 8 * 2**20
"""Of one tag, comment or instruction. The parser looks through an open token again with every piece: time without end
for a token of a hundred megabytes."""

_PIECE = 2**20


def check_xml(data: bytes, max_nodes: int | None = None) -> None:
    """Raises InvalidInputError `UnsafeXML`, `ExtractionTooDeep` or `CorruptDocument`. The text is not kept.

    `max_nodes` is for who is going to hold it as a tree: elements and attributes together. Raises TooLargeError above.
    """
    check_xml_pieces((data[start : start + _PIECE] for start in range(0, len(data), _PIECE)), max_nodes)


def check_xml_pieces(pieces: Iterable[bytes], max_nodes: int | None = None) -> None:
    """The same for XML that is never whole in memory. Pieces of about a megabyte suit it best."""
    parser = _build_parser(max_nodes)
    fed = 0
    try:
        for piece in pieces:
            parser.Parse(piece, False)
            fed += len(piece)
            if fed - parser.CurrentByteIndex > MAX_TOKEN_BYTES:
                raise InvalidInputError(
                    f"the document holds an XML tag of more than {MAX_TOKEN_BYTES:,} bytes; save it again",
                    code="UnsafeXML",
                )
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise InvalidInputError(
            "the document holds XML that is not well formed; open and save it again", code="CorruptDocument"
        ) from error


def _build_parser(max_nodes: int | None) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.ordered_attributes = True  # a list is cheaper than a dictionary nobody looks into
    parser.StartDoctypeDeclHandler = _refuse_doctype
    depth = _depths()
    next(depth)
    parser.StartElementHandler = lambda _name, _attributes: depth.send(1)
    parser.EndElementHandler = lambda _name: depth.send(-1)
    if max_nodes is not None:
        nodes = _nodes(max_nodes)
        next(nodes)
        parser.StartElementHandler = lambda _name, attributes: (depth.send(1), nodes.send(1 + len(attributes) // 2))
    return parser


def _nodes(limit: int) -> Generator[None, int, None]:
    """Adds up what is sent to it. Raises TooLargeError above the limit."""
    count = 0
    while count <= limit:
        count += yield
    raise TooLargeError(f"the XML has more than {limit:,} elements and attributes; ask for less of it at once")


def _depths() -> Generator[None, int, None]:
    """Counts what is sent to it. Raises InvalidInputError at the first element that lies too deep."""
    depth = 0
    while depth <= MAX_DEPTH:
        depth += yield
    raise InvalidInputError(
        f"the document's XML is nested more than {MAX_DEPTH} deep; simplify it", code="ExtractionTooDeep"
    )


def _refuse_doctype(*_: object) -> NoReturn:
    raise InvalidInputError(
        "the document holds XML with a document type definition, which its format forbids; open and save it again",
        code="UnsafeXML",
    )
