"""The declared service: its body is one that Serve takes, and its arguments are checked strictly."""

import jsonschema
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster import config as configuration
from cluster.errors import ConfigError, VersionNotFound
from serve_app.config import ServeConfig
from serve_app.declared import APPLICATION, IMPORT_PATH, build, serve_body
from serve_app.deploy.serve_options import http_options


def strict(schema):
    """The schema, with objects that take no other keys than those they name: Serve itself ignores unknown ones."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema:
        result["additionalProperties"] = False
    return result


SCHEMA = strict(ServeDeploySchema.model_json_schema())


def packaged(file="serve/production.yaml", **changed):
    return configuration.load(ServeConfig, None, file, changed)


@pytest.mark.parametrize("file", ["serve/production.yaml", "serve/local.yaml"])
def test_serve_takes_the_body(file):
    body = serve_body(packaged(file), "/registry")
    jsonschema.validate(body, SCHEMA)
    parsed = ServeDeploySchema.model_validate(body)
    (application,) = parsed.applications
    assert (application.name, application.import_path) == (APPLICATION, IMPORT_PATH)
    assert application.args == yaml.safe_load(yaml.safe_dump(body))["applications"][0]["args"]


def test_the_strict_schema_notices_what_serve_ignores():
    body = serve_body(packaged(), "/registry")
    ServeDeploySchema.model_validate(body | {"http_optoins": {}})
    for place in (body, body["http_options"], body["applications"][0], body["logging_config"]):
        place["unknown"] = 1
        with pytest.raises(jsonschema.ValidationError, match="unknown"):
            jsonschema.validate(body, SCHEMA)
        del place["unknown"]


def test_serve_waits_longer_than_the_service():
    config = packaged(request_timeout_s=7.5)
    assert http_options(config)["request_timeout_s"] > 7.5
    assert (http_options(config)["host"], http_options(config)["port"]) == (config.host, config.port)


def arguments(**changed):
    return serve_body(packaged(), "/registry")["applications"][0]["args"] | changed


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"regsitry": "/x"}, "regsitry: Extra inputs"),
        ({"registry": ""}, "registry: "),
        ({"port": "eighty"}, "port: "),
        ({"encoder": {"min_replicas": 1}}, r"encoder\.max_replicas: Field required"),
    ],
)
def test_mistakes_in_arguments_are_named(changed, named):
    with pytest.raises(ConfigError, match=rf"args of serve_app\.declared:build: .*{named}"):
        build(arguments(**changed))


def test_a_registry_without_a_stable_version(tmp_path):
    with pytest.raises(VersionNotFound):
        build(arguments(registry=str(tmp_path)))


def test_the_application_is_the_configured_one(version):
    built = build(arguments(registry=version.registry.location))
    ingress = built._bound_deployment
    assert ingress.name == "Ingress"
    assert ingress._deployment_config.autoscaling_config.min_replicas == packaged().ingress.min_replicas
