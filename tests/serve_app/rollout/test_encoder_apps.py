"""Which encoder applications are started and ended, and how often Serve is asked for them."""

from types import SimpleNamespace

import pytest
from ray import serve

from cluster import config as configuration
from serve_app.config import DEFAULT_FILE, ServeConfig
from serve_app.replicas.replicas import Encoder
from serve_app.rollout import encoder_apps
from serve_app.rollout.encoder_apps import EncoderApps
from serve_app.routing.encoders import encoder_name

OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def world(monkeypatch):
    """What Serve has, at a time that is set; `asked`: how often it was asked."""
    world = SimpleNamespace(now=0.0, asked=0, states={})

    def status():
        world.asked += 1
        deployments = {"Encoder": SimpleNamespace(replica_states={"RUNNING": 1})}
        found = {name: SimpleNamespace(status=now, deployments=deployments) for name, now in world.states.items()}
        return SimpleNamespace(applications=found)

    monkeypatch.setattr(serve, "status", status)
    monkeypatch.setattr(serve, "delete", lambda name, _blocking: world.states.pop(name))
    start = SimpleNamespace(start_application=lambda _, name: world.states.update({name: "DEPLOYING"}))
    monkeypatch.setattr(encoder_apps, "ray_internals", start)
    monkeypatch.setattr(encoder_apps, "time", SimpleNamespace(monotonic=lambda: world.now))
    config = configuration.load(ServeConfig, None, DEFAULT_FILE)
    world.apps = EncoderApps(Encoder, config, "registry", "nbmf")

    def run(seconds, *wanted):
        for _ in range(seconds):
            world.now += 1
            world.apps.keep(wanted)

    world.run = run
    return world


def names(*versions):
    return {encoder_name("nbmf", version) for version in versions}


def test_what_is_missing_starts_and_what_nobody_wants_ends_after_a_while(world):
    world.run(1, OLD)
    assert world.states.keys() == names(OLD)
    world.run(1, OLD, NEW)
    assert world.states.keys() == names(OLD, NEW)
    world.run(10, NEW)
    assert world.states.keys() == names(OLD, NEW)
    world.run(1, NEW)
    assert world.states.keys() == names(NEW)


def test_serve_is_seldom_asked_while_all_is_as_wanted(world):
    world.run(5, OLD)
    assert world.asked == 5  # it has not started yet
    world.states.update(dict.fromkeys(world.states, "RUNNING"))
    world.run(1, OLD)
    world.run(30, OLD)
    assert world.asked == 5 + 1 + 3
    world.run(1, OLD, NEW)
    assert world.asked == 5 + 1 + 3 + 1


def test_one_that_is_gone_is_started_again(world):
    world.run(1, OLD)
    world.states.update(dict.fromkeys(world.states, "RUNNING"))
    world.run(1, OLD)
    world.states.clear()
    world.run(10, OLD)
    assert world.states.keys() == names(OLD)
