"""Errors of the cluster parts, in the tree of nbmf.errors: what a user can mend, named with the remedy.

NbmfError
├── ConfigError        a configuration file or value is wrong
├── SessionError       Ray cannot be started or reached
├── RecordsError       a source of records cannot be read
├── TooFewRecords      there is not enough to learn from
├── VersionNotFound    the registry has no such version
├── QuarantinedCodec   the version killed or hung what decoded with it
├── VersionInUse       deleting it would make records unreadable
└── DestinationError   a job's destination holds something else
"""

from __future__ import annotations

from nbmf.errors import NbmfError


class ConfigError(NbmfError):
    """A configuration file or value is wrong."""

    code = "config_error"


class SessionError(NbmfError):
    """Ray cannot be started or reached."""

    code = "session_error"


class RecordsError(NbmfError):
    """A source of records cannot be read."""

    code = "records_error"


class TooFewRecords(NbmfError):
    """There is not enough to learn from."""

    code = "too_few_records"


class RegistryError(NbmfError):
    """The registry cannot be reached or read."""

    code = "registry_error"


class VersionNotFound(NbmfError):
    """The registry has no such version."""

    code = "version_not_found"


class QuarantinedCodec(NbmfError):
    """The version killed or hung what decoded with it, and is not used until it is released."""

    code = "quarantined_codec"


class VersionInUse(NbmfError):
    """Deleting the version could make records unreadable."""

    code = "version_in_use"


class DestinationError(NbmfError):
    """A job's destination holds something else."""

    code = "destination_error"
