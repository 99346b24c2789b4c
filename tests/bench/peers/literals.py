"""Rows as a plain script inserts them: one executemany, vectors as text literals.

Arguments: driver (psycopg2 or psycopg), database URL, table to take rows from, table to insert them into, how many.
Prints one line of JSON: seconds, from the first row as Python values to the commit.
"""

import importlib
import json
import sys
import time
from typing import Any

DEFAULTED = ("created_at", "tenant_id")
VECTORS = {"embedding": "halfvec", "bm25": "sparsevec"}


def fetch_rows(cursor: Any, table: str, limit: int) -> tuple[list[str], list[list[Any]]]:
    """Columns, and rows as a program holds them: a vector is a list of floats."""
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", [table]
    )
    columns = [name for (name,) in cursor.fetchall() if name not in DEFAULTED]
    texts = (f"{name}::text" if name in {*VECTORS, "landing"} else name for name in columns)
    cursor.execute(f"SELECT {', '.join(texts)} FROM {table} LIMIT {limit}")
    rows = [list(row) for row in cursor.fetchall()]
    embedding, body = columns.index("embedding"), columns.index("body_ct")
    for row in rows:
        row[embedding] = json.loads(row[embedding])
        row[body] = bytes(row[body])
    return columns, rows


def main(driver: str, url: str, source: str, target: str, limit: int) -> None:
    connection = importlib.import_module(driver).connect(url)
    cursor = connection.cursor()
    columns, rows = fetch_rows(cursor, source, limit)
    connection.commit()
    places = ", ".join(f"%s::{VECTORS[name]}" if name in VECTORS else "%s" for name in columns)
    statement = f"INSERT INTO {target} ({', '.join(columns)}) VALUES ({places})"
    embedding = columns.index("embedding")
    started = time.perf_counter()
    cursor.executemany(statement, [[*row[:embedding], str(row[embedding]), *row[embedding + 1 :]] for row in rows])
    connection.commit()
    print(json.dumps({"seconds": time.perf_counter() - started, "rows": len(rows)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
