"""LlamaIndex as its documentation puts it together: Markdown files through an IngestionPipeline into pgvector.

Arguments: the folder of files and a database URL. Prints one line of JSON: chunks, and seconds without its imports.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

from llama_index.core import Document
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import MarkdownNodeParser, SentenceSplitter
from llama_index.vector_stores.postgres import PGVectorStore
from sqlalchemy import make_url
from wordllama import WordLlama

CHUNK_TOKENS = 256


class WordLlamaEmbedding(BaseEmbedding):
    """The same model from the same package."""

    _model: Any = PrivateAttr()

    def __init__(self) -> None:
        super().__init__(model_name="wordllama-256", embed_batch_size=256)
        spec = importlib.util.find_spec("wordllama")
        folder = Path(spec.submodule_search_locations[0])
        self._model = WordLlama.load(dim=256, cache_dir=folder, disable_download=True)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._model.embed(texts, norm=True).tolist()

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def main(folder: Path, database_url: str) -> None:
    url = make_url(database_url)
    store = PGVectorStore.from_params(
        host=url.host,
        port=str(url.port),
        database=url.database,
        user=url.username,
        password=url.password,
        table_name="peer",
        embed_dim=256,
        use_halfvec=True,
        hybrid_search=True,
        text_search_config="english",
    )
    splitters = [MarkdownNodeParser(), SentenceSplitter(chunk_size=CHUNK_TOKENS, chunk_overlap=0)]
    pipeline = IngestionPipeline(transformations=[*splitters, WordLlamaEmbedding()], vector_store=store)
    started = time.perf_counter()
    documents = [Document(text=path.read_text(), doc_id=path.name) for path in sorted(folder.iterdir())]
    nodes = pipeline.run(documents=documents)
    print(json.dumps({"seconds": time.perf_counter() - started, "chunks": len(nodes)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
