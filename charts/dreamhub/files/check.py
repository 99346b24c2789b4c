"""What `helm test` asks the API: is it ready, does it describe itself, does it turn strangers away."""

import json
import os
import sys
import urllib.error
import urllib.request

BASE = os.environ["DREAMHUB_URL"]


def fetch(path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(BASE + path, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def main() -> int:
    failures = []
    status, body = fetch("/readyz")
    if status != 200:
        failures.append(f"/readyz answers {status}: {body.decode(errors='replace')[:500]}")
    status, body = fetch("/api/v1/openapi.json")
    if status != 200 or "paths" not in json.loads(body):
        failures.append(f"/api/v1/openapi.json answers {status} without a description of the API")
    status, _ = fetch("/api/v1/documents")
    if status != 401:
        failures.append(f"/api/v1/documents answers {status} to a caller without a token: expected 401")
    print("\n".join(failures) or f"{BASE} is ready")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
