"""A typed asynchronous client of the DreamHub API.

async with open_client("https://hub.example", FileToken(Path("token"))) as client:
    answer = await client.answer(AnswerRequest(question="How long must a dry electrode soak?"))
"""

from dreamhub_client.client import Client, open_client
from dreamhub_client.credentials import FileToken, RenewedToken, StaticToken, TokenSource
from dreamhub_client.errors import ApiError, ClientError
from dreamhub_client.upload import Upload, upload_bytes, upload_file

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "FileToken",
    "RenewedToken",
    "StaticToken",
    "TokenSource",
    "Upload",
    "open_client",
    "upload_bytes",
    "upload_file",
]
