"""Links for workers: presigned URLs of originals, for whoever shows the token of a run that goes on.

Workers hold no key of the object store. A token opens what the run's worker needs: to read the originals of its items,
to write originals that it has announced, and to read the tenant's import folder.
"""

from collections.abc import Callable, Sequence

from dreamhub import names
from dreamhub.domain.job_token import JobClaims, verify_token
from dreamhub.domain.link_messages import (
    LINK_SECONDS,
    PAGE_OBJECTS,
    PUT_SECONDS,
    ImportedObject,
    ImportsPage,
    ImportsRequest,
    LinksReply,
    LinksRequest,
    check_import_key,
)
from dreamhub.errors import InvalidInputError, UnauthenticatedError, UnavailableError
from dreamhub.sql import links as sql
from dreamhub.storage.objects import ObjectStore
from dreamhub_api.services.sessions import Session, Sessions


class LinksService:
    def __init__(
        self,
        sessions: Sessions,
        objects: ObjectStore,
        read_keys: Callable[[], Sequence[bytes]],
        now: Callable[[], float],
    ) -> None:
        """`read_keys` is asked for each request, so that rotated keys are taken over. `now`: Unix time."""
        self._sessions = sessions
        self._objects = objects
        self._read_keys = read_keys
        self._now = now

    def authenticate(self, authorization: str | None) -> JobClaims:
        """Raises UnauthenticatedError."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise UnauthenticatedError("send the job's token as `Authorization: Bearer ...`", code="Unauthenticated")
        try:
            keys = self._read_keys()
        except InvalidInputError as error:  # ours to mend, not the caller's
            raise UnavailableError(f"job tokens cannot be checked: {error.message}") from error
        return verify_token(token.strip(), keys, self._now())

    async def sign(self, claims: JobClaims, wanted: LinksRequest) -> LinksReply:
        """Raises UnauthenticatedError for a run that is none or has ended, InvalidInputError for bad import keys."""
        keys = [check_import_key(key) for key in wanted.imports]
        async with self._sessions.open(claims.tenant, readonly=True) as session:
            await _check_run(session, claims)
            readable = await sql.find_readable(session.conn, claims.run, wanted.get)
            writable = await sql.find_writable(session.conn, wanted.put)
        tenant, folder = claims.tenant, names.import_folder(claims.tenant)
        read, write = self._objects.presign_get, self._objects.presign_put
        return LinksReply(
            get={version: await read(names.object_key(tenant, version), LINK_SECONDS) for version in readable},
            put={version: await write(names.object_key(tenant, version), PUT_SECONDS) for version in writable},
            imports={key: await read(folder + key, LINK_SECONDS) for key in keys},
        )

    async def list_imports(self, claims: JobClaims, wanted: ImportsRequest) -> ImportsPage:
        """The store lists by folders, so what lies beside the prefix is left out here."""
        prefix = check_import_key(wanted.prefix, prefix=True)
        after = check_import_key(wanted.after) if wanted.after is not None else None
        async with self._sessions.open(claims.tenant, readonly=True) as session:
            await _check_run(session, claims)
        root = names.import_folder(claims.tenant)
        folder = root + prefix.rpartition("/")[0]
        start = root + after if after is not None else None
        found = await self._objects.list_page(folder.rstrip("/"), start, PAGE_OBJECTS)
        objects = tuple(
            ImportedObject(key=item.key.removeprefix(root), size=item.size, etag=item.etag, modified=item.modified)
            for item in found
            if item.key.startswith(root + prefix)
        )
        return ImportsPage(
            objects=objects, next=found[-1].key.removeprefix(root) if len(found) == PAGE_OBJECTS else None
        )


async def _check_run(session: Session, claims: JobClaims) -> None:
    if not await sql.is_running(session.conn, claims.run):
        raise UnauthenticatedError("the run of this job token has ended, or never began", code="InvalidToken")
