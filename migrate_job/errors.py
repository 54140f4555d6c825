"""Errors of migrations, in the tree of nbmf.errors.

NbmfError
└── WorkerDied    processes that migrate end again and again, and no record is to blame
"""

from __future__ import annotations

from nbmf.errors import NbmfError


class WorkerDied(NbmfError):
    """Processes that migrate end again and again, and no record is to blame."""

    code = "worker_died"
