"""A source that cannot be read, where workers can import it."""

from cluster.errors import RecordsError
from cluster.sources import Shard


class Gone:
    """It plans one shard."""

    def plan(self):
        return [Shard("somewhere")]

    def read(self, shard):
        raise RecordsError("the disk is gone")
