"""A pytest plugin that takes one wall down for the life of the process: `-p tests.walls.plugin`.

`DREAMHUB_WALL` names the wall, `DREAMHUB_WALL_LENT` the servers to use, `DREAMHUB_WALL_REPORT` the file that gets what
failed. It is loaded before any conftest, so modules are edited as they are imported, and names are patched before
others import them.
"""

import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from typing_extensions import override

from tests.walls.lent import LENT, REPORT, WALL, Lent, renew_database
from tests.walls.removals import FunctionEdit, LeaveOut, OpenNetwork, SourceEdit, Statement, Wall


class _EditingLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, edits: Sequence[SourceEdit]) -> None:
        super().__init__(name, path)
        self._edits = edits

    @override
    def get_code(self, fullname: str) -> CodeType | None:
        """Always from the source: what is cached is not edited, and what is edited must not be cached."""
        path = self.get_filename(fullname)
        text = Path(path).read_text()
        for edit in self._edits:
            text = edit.edit(text)
        code: CodeType = compile(text, path, "exec")
        return code


class _EditingFinder(importlib.abc.MetaPathFinder):
    def __init__(self, edits: Sequence[SourceEdit]) -> None:
        self._edits = edits

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        edits = [edit for edit in self._edits if edit.module == fullname]
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target) if edits else None
        if spec is not None and spec.origin is not None:
            spec.loader = _EditingLoader(fullname, spec.origin, edits)
        return spec


def _install(patch: pytest.MonkeyPatch, wall: Wall | None) -> None:
    """The finder first: everything after it imports the product."""
    removals = wall.removals if wall else ()
    edits = [removal for removal in removals if isinstance(removal, SourceEdit)]
    early = [edit.module for edit in edits if edit.module in sys.modules]
    if early:
        raise RuntimeError(f"imported before they could be edited: {', '.join(early)}")
    sys.meta_path.insert(0, _EditingFinder(edits))
    if LENT in os.environ:
        _lend(patch)
    _edit_database(patch, [removal for removal in removals if isinstance(removal, Statement | FunctionEdit)])
    _leave_out(patch, [removal.binding for removal in removals if isinstance(removal, LeaveOut)])
    _open_network(patch, [removal for removal in removals if isinstance(removal, OpenNetwork)])


def _lend(patch: pytest.MonkeyPatch) -> None:
    from tests.integration import servers
    from tests.integration.operator import control_plane

    lent = Lent.parse(os.environ[LENT])

    @contextmanager
    def postgres(_directory: Path) -> Iterator[Any]:
        renew_database(lent.postgres())
        yield lent.postgres()

    @contextmanager
    def redis(_directory: Path) -> Iterator[Any]:
        yield lent.redis()

    @contextmanager
    def s3(_directory: Path) -> Iterator[Any]:
        yield lent.s3()

    patch.setattr(servers, "run_postgres", postgres)
    patch.setattr(servers, "run_redis", redis)
    patch.setattr(servers, "run_s3", s3)
    original = control_plane.start_control_plane

    def start_control_plane(folder: Path) -> control_plane.ControlPlane:
        """Who asks for one of its own gets it: what it installs would be in others' way."""
        return original(folder) if folder.name.startswith("own-") else lent.plane()

    patch.setattr(control_plane, "start_control_plane", start_control_plane)


def _edit_database(patch: pytest.MonkeyPatch, removals: Sequence[Statement | FunctionEdit]) -> None:
    """Right after the migrations, as a superuser."""
    import asyncpg

    from dreamhub.sql import migrate

    if not removals:
        return
    original = migrate.migrate_up

    async def migrate_and_remove(*arguments: Any, **options: Any) -> Any:
        done = await original(*arguments, **options)
        admin = await asyncpg.connect(Lent.parse(os.environ[LENT]).postgres().superuser_url)
        for removal in removals:
            await removal.apply(admin)
        await admin.close()
        return done

    patch.setattr(migrate, "migrate_up", migrate_and_remove)


def _leave_out(patch: pytest.MonkeyPatch, bindings: Sequence[str]) -> None:
    from tests.integration.operator.control_plane import Api

    original = Api.apply

    async def apply(self: Api, path: str, body: Any) -> Any:
        if any(path.endswith(f"/validatingadmissionpolicybindings/{binding}") for binding in bindings):
            return body
        return await original(self, path, body)

    patch.setattr(Api, "apply", apply)


def _open_network(patch: pytest.MonkeyPatch, removals: Sequence[OpenNetwork]) -> None:
    if not removals:
        return
    from dreamhub import names
    from tests.e2e import tenants

    original = tenants.make_ready

    async def make_ready(kube: Any, name: str, **spec: object) -> Any:
        made = await original(kube, name, **spec)
        for removal in removals:
            await kube.within(names.namespace(name)).apply(removal.manifest())
        return made

    patch.setattr(tenants, "make_ready", make_ready)


class _Reporter:
    """Writes which tests failed where it counts: in their own words, not in what was prepared for them."""

    def __init__(self) -> None:
        self._report: dict[str, list[list[str]]] = {"passed": [], "failed": [], "broken": []}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and not report.failed:
            self._report["passed"].append([report.nodeid, ""])
        elif report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            words = str(crash.message if crash else report.longrepr).splitlines()
            self._report["failed" if report.when == "call" else "broken"].append([report.nodeid, (words or [""])[0]])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._report["broken"].append([report.nodeid, str(report.longrepr).splitlines()[-1]])

    def pytest_sessionfinish(self) -> None:
        Path(os.environ[REPORT]).write_text(json.dumps(self._report))


def pytest_configure(config: pytest.Config) -> None:
    if REPORT in os.environ:
        config.pluginmanager.register(_Reporter())


def _find(name: str) -> Wall | None:
    from tests.walls.table import WALLS

    return next((wall for wall in WALLS if wall.name == name), None)


_install(pytest.MonkeyPatch(), _find(os.environ.get(WALL, "")))
