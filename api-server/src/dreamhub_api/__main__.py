"""`python -m dreamhub_api`: settings from the environment, then serve until SIGTERM."""

import sys
from functools import partial

from aiohttp import web
from pydantic import ValidationError

from dreamhub.telemetry import configure_logging
from dreamhub_api.app import create_app, serve_workers
from dreamhub_api.context import open_services
from dreamhub_api.settings import Settings


def main() -> None:
    try:
        settings = Settings()
    except ValidationError as error:
        missing = "; ".join(f"DREAMHUB_{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors())
        sys.exit(f"the server cannot start: {missing}")
    configure_logging("api-server", settings.log_level)
    app = create_app(partial(open_services, settings))
    serve_workers(app, settings.listen_host, settings.internal_port)
    web.run_app(
        app,
        host=settings.listen_host,
        port=settings.listen_port,
        shutdown_timeout=settings.shutdown_seconds,
        access_log=None,
        print=None,
    )


if __name__ == "__main__":
    main()
