"""`dreamhub search QUERY`."""

from typing import Annotated

import typer

from dreamhub_cli.commands.options import Documents, Json, Tags, build_filters
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.output import Output, place
from dreamhub_cli.run import run
from dreamhub_client import Client
from dreamhub_client.models import Hit, SearchRequest
from dreamhub_client.wire import MAX_HITS

EXCERPT_CHARACTERS = 280


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="Words or a whole question, in any language.")],
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MAX_HITS)] = 5,
    tags: Tags = None,
    documents: Documents = None,
    as_json: Json = False,
) -> None:
    """Find passages by meaning and by words."""

    async def action(client: Client, output: Output) -> ExitCode:
        found = await client.search(
            SearchRequest(query=query, limit=limit, filters=build_filters(tags, documents)),
        )
        if output.as_json:
            output.document(found)
            return ExitCode.OK
        for number, hit in enumerate(found.hits, 1):
            print_hit(output, number, hit)
        output.note((f"{len(found.hits)} passages in {found.took_ms:.0f} ms", "dim"))
        return ExitCode.OK

    run(context, action, as_json=as_json)


def print_hit(output: Output, number: int, hit: Hit) -> None:
    where = place(hit)
    output.say((f"{number}. ", "bold"), (where, "bold cyan"), (f"  {hit.score:.2f}", "dim"))
    output.say(f"   {excerpt(hit.text)}")


def excerpt(text: str) -> str:
    """The text in one line, cut at a word."""
    line = " ".join(text.split())
    if len(line) <= EXCERPT_CHARACTERS:
        return line
    head = line[:EXCERPT_CHARACTERS]
    return f"{head[: head.rfind(' ')] if ' ' in head[EXCERPT_CHARACTERS // 2 :] else head} …"
