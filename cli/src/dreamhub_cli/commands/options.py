"""Options that several commands share."""

from typing import Annotated

import typer

from dreamhub_client.costs import Priority
from dreamhub_client.models import SearchFilters

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="May be given several times.")]
Documents = Annotated[
    list[str] | None,
    typer.Option("--document", "-d", help="Only in the document of this id; may be given several times."),
]
Urgency = Annotated[Priority, typer.Option("--priority", help="Urgent goes first, Cold when there is time.")]
Parallelism = Annotated[
    int, typer.Option("--parallelism", min=1, max=64, help="Workers that share the documents of the job.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for the job.")]


def build_filters(tags: list[str] | None, documents: list[str] | None) -> SearchFilters:
    return SearchFilters(tags=tuple(tags) if tags else None, documents=tuple(documents) if documents else None)
