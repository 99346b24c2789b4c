"""The sample of a plug-in, installed as an image installs it, against a wiki over HTTP."""

import sys
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from dreamhub.domain.job_input import InputSource, OpenNetwork
from tests.integration.worker.test_sources import Bench, bench

__all__ = ["bench"]

SAMPLE = Path("manifests/samples/source-plugin")


@dataclass
class Wiki:
    url: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    changes: list[dict[str, object]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def write(self, page: str, text: str | None) -> None:
        if text is not None:
            self.pages[page] = text
        deleted = text is None
        self.changes.append({"page": page, "title": f"Page {page}", "count": len(self.changes) + 1, "deleted": deleted})

    async def answer_changes(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if request.headers.get("Authorization") != "Bearer sesame":
            return web.Response(status=401)
        return web.json_response(self.changes[int(request.query["since"]) :][:2])

    async def answer_page(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(text=self.pages[request.match_info["page"]])


@pytest_asyncio.fixture
async def wiki() -> AsyncIterator[Wiki]:
    served = Wiki()
    app = web.Application()
    app.router.add_get("/changes", served.answer_changes)
    app.router.add_get("/pages/{page}", served.answer_page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip leaves of the sample: its module on the path, and the metadata that its pyproject.toml asks for."""
    project = tomllib.loads((SAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    metadata = site / "sample-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    points = project["entry-points"]["dreamhub.sources"]
    lines = [f"{name} = {target}" for name, target in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[dreamhub.sources]", *lines]))
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend((SAMPLE / "src").resolve())
    monkeypatch.delitem(sys.modules, "wiki_source", raising=False)


def source(wiki: Wiki, folder: Path, login: str = "sesame", *networks: OpenNetwork) -> InputSource:
    secret = folder / "secret"
    secret.mkdir(exist_ok=True)
    (secret / "token").write_text(f"{login}\n")
    return InputSource(
        kind="plugin",
        reader="wiki",
        config={"url": wiki.url},
        identity=wiki.url,
        networks=networks or (OpenNetwork(cidr="127.0.0.0/8"),),
        secret_dir=str(secret),
    )


@pytest.mark.usefixtures("installed")
async def test_a_wiki_is_read_and_then_only_its_changes(bench: Bench, wiki: Wiki, tmp_path: Path) -> None:
    for page in ("1", "2", "3"):
        wiki.write(page, f"# Page {page}\n\nText.")
    told = await bench.run(bench.mount(source(wiki, tmp_path)))
    assert (told.state, told.documents.done) == ("Succeeded", 3)
    assert await bench.searchable() == {"Page 1", "Page 2", "Page 3"}
    wiki.write("2", None)
    wiki.write("3", "# Page 3\n\nAnother text.")
    wiki.asked.clear()
    told = await bench.run(bench.mount(source(wiki, tmp_path)))
    assert sorted(wiki.asked) == ["/changes?since=3", "/changes?since=5", "/pages/3"]
    assert told.documents.done == 1
    assert await bench.searchable() == {"Page 1", "Page 3"}


@pytest.mark.usefixtures("installed")
async def test_a_wrong_token_is_told_in_the_plugins_words(bench: Bench, wiki: Wiki, tmp_path: Path) -> None:
    told = await bench.run(bench.mount(source(wiki, tmp_path, "wrong")))
    assert [error.reason for error in told.errors] == ["WikiRefused"]
    assert "put a present one into the Secret" in told.errors[0].message


@pytest.mark.usefixtures("installed")
async def test_a_private_address_is_out_of_reach(bench: Bench, wiki: Wiki, tmp_path: Path) -> None:
    wiki.write("1", "# Page 1")
    mount = bench.mount(source(wiki, tmp_path, "sesame", OpenNetwork(cidr="10.0.0.0/8")))
    assert await bench.rig.run(mount, DREAMHUB_PATIENCE_SECONDS="1") != 0
    assert wiki.asked == []
