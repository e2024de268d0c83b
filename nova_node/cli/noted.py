"""What a command changed, in the audit log of the node in that folder."""

from __future__ import annotations

import getpass
import os
from pathlib import Path


def noted(data_dir: Path, what: str, subject: str, **details: str | int) -> None:
    """On disk on return, or the node's log says that it is not. To be called when it is done."""
    from nova_node.audit.log import AuditLog

    log = AuditLog(data_dir)
    log.note(f"local/{_user()}", "cli", what, subject, **details)
    log.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
