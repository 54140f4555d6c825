"""Rollouts for tests."""

from serve_app.rollout_policy import RolloutPolicy

QUICK = RolloutPolicy(
    steps_percent=(50, 100),
    dwell_s=1,
    min_samples=20,
    shadow_sample_percent=100,
    warm_up_calls=0,
    max_p95_of_stable=1000,  # of two cores that other tests share
)
