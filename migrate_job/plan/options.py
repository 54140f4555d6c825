"""What is done with the records of a migration, whatever they come from and wherever they go."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrate_job.plan.verification import ALL
from nbmf.effort import EffortSetting
from nbmf.engine import Engine
from nbmf.fidelity_policy import FidelityPolicy
from nbmf.vectors.aim import DEFAULT_AIM, Aim

RECORD_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """`engine` changes no byte, so a run may go on with another; `record_timeout_s` likewise.

    `aim` is how closely vectors of classes whose `fidelity` is semantic are kept.
    Only records of `classes` are migrated, of all if there are none, and only the first `limit` of them. The share
    `verify` of the records is decoded and compared. A worker that is at one record for `record_timeout_s` hangs (more
    for large records and whole batches).
    """

    fidelity: FidelityPolicy = field(default_factory=FidelityPolicy)
    aim: Aim = DEFAULT_AIM
    effort: EffortSetting = field(default_factory=EffortSetting)
    engine: Engine = field(default_factory=Engine)
    classes: tuple[str, ...] = ()
    limit: int | None = None
    verify: float = ALL
    record_timeout_s: float = RECORD_TIMEOUT_S
