"""What others have built on: names of commands and options, configuration keys, HTTP routes and fields of bodies.

They are in surface.json. One that goes, or is called otherwise, breaks somebody's script: CHANGELOG.md says so. New
ones are added with `python tests/docs/test_surface.py`.
"""

import json
import sys
from pathlib import Path

import typer

FILE = Path(__file__).with_name("surface.json")


def commands():
    from cluster.cli.main import app

    found = {}

    def walk(command, name):
        found[name] = sorted(option for one in command.params for option in one.opts)
        for sub_name, sub in getattr(command, "commands", {}).items():
            walk(sub, f"{name} {sub_name}")

    walk(typer.main.get_command(app), "nbmf")
    return found


def keys(model, prefix=""):
    """Dotted names of a configuration's keys."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})

    def walk(node, prefix):
        if "$ref" in node:
            yield from walk(definitions[node["$ref"].rpartition("/")[2]], prefix)
        for part in (*node.get("allOf", []), *node.get("anyOf", [])):
            yield from walk(part, prefix)
        for name, value in node.get("properties", {}).items():
            yield prefix + name
            yield from walk(value, f"{prefix}{name}.")

    return sorted(set(walk(schema, prefix)))


def routes(tmp_path):
    from in_process import make_ingress

    ingress = make_ingress(str(tmp_path / "registry"), "none", None, None)
    page = ingress.__serve_build_asgi_app__().openapi()
    ingress._reader.close()
    found = {
        f"{method.upper()} {path}": sorted(one["name"] for one in how.get("parameters", []))
        for path, methods in page["paths"].items()
        for method, how in methods.items()
    }
    bodies = {name: sorted(schema.get("properties", {})) for name, schema in page["components"]["schemas"].items()}
    return {"routes": found, "bodies": bodies}


def surface(tmp_path):
    from cluster.manifests.config import ClusterConfig
    from serve_app.config import ServeConfig
    from train_app.config import TrainConfig
    from train_app.network.settings import NeuralTrainConfig

    models = (ServeConfig, TrainConfig, NeuralTrainConfig, ClusterConfig)
    return {
        "commands": commands(),
        "configuration": {model.__name__: keys(model) for model in models},
        "http": routes(tmp_path),
    }


def flat(value, path=""):
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{path}/{name}"
            yield from flat(item, f"{path}/{name}")
    else:
        yield from (f"{path}: {item}" for item in value)


def test_nothing_has_another_name(tmp_path):
    before, now = set(flat(json.loads(FILE.read_text()))), set(flat(surface(tmp_path)))
    assert sorted(before - now) == [], "gone, or called otherwise"
    assert sorted(now - before) == [], "new: add them by `python tests/docs/test_surface.py`"


if __name__ == "__main__":
    import tempfile

    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    with tempfile.TemporaryDirectory() as scratch:
        FILE.write_text(json.dumps(surface(Path(scratch)), indent=1, sort_keys=True) + "\n")
