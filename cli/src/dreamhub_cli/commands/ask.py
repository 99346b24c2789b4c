"""`dreamhub ask QUESTION`."""

from typing import Annotated

import typer

from dreamhub_cli.commands.options import Documents, Json, Tags, build_filters
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.output import Output, place
from dreamhub_cli.run import run
from dreamhub_client import Client
from dreamhub_client.models import AnswerRequest, AnswerResponse
from dreamhub_client.wire import MAX_HITS


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="A question in plain words.")],
    *,
    passages: Annotated[int, typer.Option(min=1, max=MAX_HITS, help="How many passages to answer from.")] = 8,
    tags: Tags = None,
    documents: Documents = None,
    as_json: Json = False,
) -> None:
    """Answer a question from the documents, with citations."""

    async def action(client: Client, output: Output) -> ExitCode:
        request = AnswerRequest(question=question, passages=passages, filters=build_filters(tags, documents))
        answer = await client.answer(request)
        if output.as_json:
            output.document(answer)
        else:
            print_answer(output, answer)
        return ExitCode.OK

    run(context, action, as_json=as_json)


def print_answer(output: Output, answer: AnswerResponse) -> None:
    """The answer, then each citation with document, page and section."""
    output.say(answer.answer)
    for citation in answer.citations:
        where = place(citation)
        output.say((f"[{citation.number}] ", "bold"), (where, "cyan"))
    output.note((f"{answer.model}, {answer.took_ms:.0f} ms", "dim"))
