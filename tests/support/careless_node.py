"""`nova-node` with a planted bug: its journal does not sync what it acknowledges.

python -m support.careless_node OFF nova-node start ...: the first argument is SQLite's `synchronous`.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from nova_node.adapters import journal_repair, journal_rows, journal_sqlite
from nova_node.cli import main

_connect = journal_rows.connect


def connect(path: Path) -> sqlite3.Connection:
    db = _connect(path)
    db.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    return db


if __name__ == "__main__":
    SYNCHRONOUS = sys.argv[1]
    journal_repair.connect = journal_sqlite.connect = connect
    sys.argv = sys.argv[2:]
    main()
