"""A migration in this process, without Ray: what `job.run` does, shard after shard."""

from dataclasses import replace

from migrate_job.coding.shard import migrate_shard
from migrate_job.layout import done_name
from migrate_job.plan.options import Options
from migrate_job.plan.plan import Plan
from migrate_job.plan.selection import find_cut
from nbmf.store.folder import LocalFolder


def plan_here(source, folder, target, **how):
    folder.mkdir(parents=True, exist_ok=True)
    return Plan(source, tuple(source.plan()), LocalFolder(folder), "unused", "none", Options(**how), target=target)


def migrate_here(source, folder, target, **how):
    """The counts of the shards that were not done before."""
    from migrate_job import job

    plan = plan_here(source, folder, target, **how)
    with job._exclusive(plan.destination):
        plan.claim()
        target.prepare(plan.destination)
        job._remove_scratch(plan.destination)
        cut = replace(plan, cut=find_cut(plan))
        todo = [index for index in range(len(plan.shards)) if not (folder / done_name(index)).exists()]
        counts = [migrate_shard(cut, index) for index in todo]
        job._finish(plan)
    return counts
