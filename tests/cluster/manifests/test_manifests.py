"""`nbmf manifest`: what it prints is what Ray and KubeRay take, and what configs/deploy holds."""

import re
import shlex
from math import ceil

import jsonschema
import kuberay_model
import pytest
import ray
import yaml
from pydantic import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.schema import ServeDeploySchema

from cluster import config as configuration
from cluster.errors import ConfigError
from cluster.manifests.config import DEFAULT_FILE, ClusterConfig
from cluster.manifests.environment import IMAGE_PROXY
from cluster.manifests.kuberay import cluster_spec
from cluster.manifests.ray_up import ray_up
from serve_app.config import ServeConfig, TlsConfig
from serve_app.tls.nodes import check_environment

EXAMPLES = {
    "serve.yaml": ("serve",),
    "rayservice.yaml": ("rayservice",),
    "rayjob.yaml": ("rayjob", "--", "/stores/old", "/stores/new"),
    "trainjob.yaml": (
        *("trainjob", "--", "-r", "/records", "--preset", "base"),
        *("--runs", "/runs", "--workers", "1:2"),
    ),
    "ray-up.yaml": ("cluster",),
}


@pytest.fixture
def manifest(nbmf_command):
    """Runs `nbmf manifest ARGS...`; its documents."""

    def run(*args):
        result = nbmf_command("manifest", *args)
        assert result.code == 0, result.err
        return list(yaml.safe_load_all(result.out))

    return run


def cluster_config(**changed):
    return configuration.load(ClusterConfig, None, DEFAULT_FILE, changed)


@pytest.fixture
def cluster_file(tmp_path):
    """A function: the packaged file of a cluster with other values, and its path."""

    def write(**changed):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(cluster_config().model_dump(mode="json") | changed))
        return path

    return write


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_what_the_command_prints(nbmf_command, repository, name):
    result = nbmf_command("manifest", *EXAMPLES[name])
    assert result.code == 0, result.err
    path = repository / "configs" / "deploy" / name
    expected = path.read_bytes()
    assert result.out == expected, f"nbmf manifest {' '.join(EXAMPLES[name])} > {path}"


def test_a_rayservice_is_of_kuberays_fields(manifest):
    service, budget, policy = (kuberay_model.checked(document) for document in manifest("rayservice"))
    body = yaml.safe_load(service.spec.serveConfigV2)
    assert body == manifest("serve")[0]
    ServeDeploySchema.model_validate(body)
    nodes = service.spec.rayClusterConfig
    (workers,) = nodes.workerGroupSpecs
    labels = workers.template.metadata.labels
    # What is to be kept from disruption and from strangers are the service's pods.
    assert budget.spec.selector.matchLabels.items() <= labels.items()
    for template in (nodes.headGroupSpec.template, workers.template):
        assert policy.spec.podSelector.matchLabels.items() <= template.metadata.labels.items()
    # By this name KubeRay knows which port to ask whether a pod can serve.
    ports = {port.name: port.containerPort for port in workers.template.spec.containers[0].ports}
    assert ports["serve"] == body["http_options"]["port"]
    assert {rule.ports[0].port for rule in policy.spec.ingress if rule.from_ is None} == {ports["serve"]}


def test_a_rayjob_is_of_kuberays_fields(manifest):
    (document,) = manifest("rayjob", "--", "/stores/old", "/mnt/new store", "--effort", "max")
    job = kuberay_model.checked(document)
    command = "nbmf migrate --address auto /stores/old '/mnt/new store' --effort max || [ $? -eq 3 ]"
    assert job.spec.entrypoint == command
    # The policy for the service's pods is not for these: KubeRay's submitter must reach the dashboard.
    service_labels = kuberay_model.checked(manifest("rayservice")[2]).spec.podSelector.matchLabels
    assert not service_labels.items() <= job.spec.rayClusterSpec.headGroupSpec.template.metadata.labels.items()


def test_a_trainjob_is_of_kuberays_fields(manifest, cluster_file):
    arguments = ("-r", "s3://bucket/my records", "--runs", "/runs", "--workers", "1:2", "--preset", "base")
    (document,) = manifest("trainjob", "--image", "mine:2", "--", *arguments)
    job = kuberay_model.checked(document)
    assert job.spec.entrypoint == f"nbmf train --address auto {shlex.join(arguments)}"
    nodes = job.spec.rayClusterSpec
    (workers,) = nodes.workerGroupSpecs
    head, worker = (group.template.spec.containers[0] for group in (nodes.headGroupSpec, workers))
    assert {head.image, worker.image} == {"mine:2"}
    assert worker.resources.limits["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in head.resources.limits
    (document,) = manifest("trainjob", "--cluster", cluster_file(name="mine"), "--", *arguments)
    assert document["metadata"]["name"] == "mine-training"


@pytest.mark.parametrize("place", ["spec", "rayClusterConfig", "headGroupSpec", "pod", "container"])
def test_a_misspelt_field_is_noticed(manifest, place):
    document = manifest("rayservice")[0]
    spec = document["spec"]
    head = spec["rayClusterConfig"]["headGroupSpec"]
    pod = head["template"]["spec"]
    places = {"spec": spec, "rayClusterConfig": spec["rayClusterConfig"], "headGroupSpec": head, "pod": pod}
    (places | {"container": pod["containers"][0]})[place]["misspelt"] = 1
    with pytest.raises(ValidationError, match="misspelt"):
        kuberay_model.checked(document)


def test_containers_have_what_ray_and_nbmf_read():
    config = cluster_config(env={"NBMF_REGISTRY": "/elsewhere", "EXTRA": "1"}, secrets=["bucket-key"])
    spec = kuberay_model.RayClusterSpec.model_validate(cluster_spec(config, "mine"))
    templates = (spec.headGroupSpec.template, spec.workerGroupSpecs[0].template)
    for container in (template.spec.containers[0] for template in templates):
        variables = {variable.name: variable.value for variable in container.env}
        assert variables["RAY_SERVE_ENABLE_HA_PROXY"] == variables["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "1"
        assert variables["NBMF_REGISTRY"] == "/elsewhere"
        assert variables["EXTRA"] == "1"
        assert [source.secretRef.name for source in container.envFrom] == ["bucket-key"]
    assert (spec.authOptions.mode, spec.rayVersion) == ("token", ray.__version__)


def test_gpus_and_redis_where_configured():
    workers = cluster_config().workers.model_dump() | {"gpus": 1}
    redis = {"address": "redis:6379", "password_secret": "redis", "password_key": "password"}
    spec = cluster_spec(cluster_config(workers=workers, redis=redis), "mine")
    checked = kuberay_model.RayClusterSpec.model_validate(spec)
    assert checked.workerGroupSpecs[0].template.spec.containers[0].resources.limits["nvidia.com/gpu"] == "1"
    assert checked.gcsFaultToleranceOptions.redisPassword.valueFrom.secretKeyRef.name == "redis"
    plain = kuberay_model.RayClusterSpec.model_validate(cluster_spec(cluster_config(), "mine"))
    assert plain.gcsFaultToleranceOptions is None


TLS = {"certificate_file": "/tls/tls.crt", "key_file": "/tls/tls.key", "client_ca_file": "/tls/ca.crt"}


def test_a_service_with_tls(nbmf_command, cluster_file, tmp_path):
    """Its files come from a Secret, its nodes have what makes Serve's HAProxy end TLS, its probe asks by TLS."""
    service = tmp_path / "service.yaml"
    config = configuration.load(ServeConfig, None, "serve/production.yaml", {"tls": TLS})
    service.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    volumes = [{"name": "tls", "path": "/tls", "secret": "nbmf-tls"}]
    cluster = cluster_file(volumes=volumes, env={"RAY_SERVE_HAPROXY_BINARY_PATH": "/mine/nbmf-haproxy"})
    result = nbmf_command("manifest", "rayservice", "--config", service, "--cluster", cluster)
    assert result.code == 0, result.err
    spec = kuberay_model.checked(next(yaml.safe_load_all(result.out))).spec
    (application,) = yaml.safe_load(spec.serveConfigV2)["applications"]
    nodes = spec.rayClusterConfig
    for template in (nodes.headGroupSpec.template, nodes.workerGroupSpecs[0].template):
        (container,) = template.spec.containers
        check_environment(TlsConfig(**application["args"]["tls"]), {v.name: v.value for v in container.env})
        (volume,) = template.spec.volumes
        assert (volume.secret.secretName, container.volumeMounts[0].mountPath) == ("nbmf-tls", "/tls")
    assert "https://localhost:8000/-/healthz" in container.readinessProbe.exec.command[-1]
    result = nbmf_command("manifest", "serve", "--config", service, "--cluster", cluster)
    assert "NBMF_TLS_KEY_FILE=/tls/tls.key" in result.err


def test_the_image_has_the_program_that_nodes_are_told_of(repository):
    assert f" {IMAGE_PROXY}\n" in (repository / "configs" / "deploy" / "Dockerfile").read_text()


def test_the_packaged_service_fits_the_packaged_cluster():
    """Also while a rollout has an encoder of each of two versions."""
    service = configuration.load(ServeConfig, None, "serve/production.yaml")
    workers = cluster_config().workers
    deployments = (service.ingress, service.encoder, service.encoder, service.decoder)
    for size, nodes in (("min_replicas", workers.min), ("max_replicas", workers.max)):
        cpus = sum(ceil(d.num_cpus * getattr(d, size)) for d in deployments)
        assert cpus < nodes * workers.cpus, size
    for deployment in (service.encoder, service.decoder):
        assert workers.cpus % deployment.num_cpus == 0  # or a part of every node is never used
        assert deployment.num_cpus == service.threads
    assert cluster_config().termination_grace_s > service.request_timeout_s


AWS = cluster_config().machines.model_dump()
LOCAL = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "10.0.0.3"], "ssh_user": "ray"}


@pytest.mark.parametrize("machines", [AWS, LOCAL], ids=["aws", "local"])
def test_ray_up_takes_the_cluster(machines):
    fields = ray_up(cluster_config(machines=machines))
    prepared = prepare_config(yaml.safe_load(yaml.safe_dump(fields)))
    validate_config(prepared)
    for command in (*prepared["head_start_ray_commands"], *prepared["worker_start_ray_commands"]):
        assert "ray" in command
    options = " ".join(fields["docker"]["run_options"])
    assert "RAY_SERVE_ENABLE_HA_PROXY=1" in options
    assert "RAY_AUTH_MODE=token" in options
    with pytest.raises(jsonschema.ValidationError, match="misspelt"):
        validate_config(prepare_config(fields | {"misspelt": 1}))


def test_a_token_goes_to_the_machines_only_where_it_is_asked_for():
    assert "file_mounts" in ray_up(cluster_config())
    assert "file_mounts" not in ray_up(cluster_config(auth="disabled"))


def test_options_override_the_files(manifest, cluster_file):
    path = cluster_file(image="other:1", registry="/elsewhere")
    assert manifest("cluster", "--cluster", path)[0]["docker"]["image"] == "other:1"
    (service, *_) = manifest("rayservice", "--cluster", path, "--image", "mine:2", "--registry", "s3://bucket/registry")
    container = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "mine:2"
    args = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]["args"]
    assert args["registry"] == "s3://bucket/registry"


def test_a_cluster_without_machines_is_not_for_ray_up(error_of, cluster_file):
    message = error_of("manifest", "cluster", "--cluster", cluster_file(machines=None))
    assert message.startswith("nbmf: config_error: machines: needed for `ray up`")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"registry": "./registry"}, "registry"),
        ({"name": "Upper_case"}, "name"),
        ({"workers": {"min": 3, "max": 2, "cpus": 1, "memory_gib": 1}}, "workers.*max is less than min"),
        ({"machines": {"type": "azure"}}, "machines"),
        ({"imgae": "x"}, "imgae"),
        ({"volumes": [{"name": "v", "path": "/v", "claim": "c", "secret": "s"}]}, "volumes.0.*not both"),
    ],
)
def test_mistakes_are_named(error_of, cluster_file, changed, named):
    message = error_of("manifest", "cluster", "--cluster", cluster_file(**changed))
    assert re.search(f"config_error: .*mine.yaml: {named}", message)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--effort", "max"), "Missing argument"),
        (("/old", "/new", "--efort", "max"), "--efort"),
        (("/old", "new"), "DEST is an absolute path"),
        (("/old", "/new", "--address=auto"), "--address is not for here"),
        (("/old", "/new", "--registry", "/r"), "--registry is not for here"),
    ],
)
def test_arguments_of_a_migration_are_checked_before_a_cluster_is_paid_for(nbmf_command, arguments, named):
    result = nbmf_command("manifest", "rayjob", "--", *arguments)
    assert (result.code, result.out) == (2, b"")
    assert named in result.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--runs", "/runs"), "Missing option '--records'"),
        (("-r", "/records", "--runs", "/runs", "--efort", "max"), "--efort"),
        (("-r", "records", "--runs", "/runs"), "--records is an absolute path or a URI"),
        (("-r", "/records", "--test", "t.jsonl", "--runs", "/runs"), "--test is an absolute path or a URI"),
        (("-r", "/records"), "--runs is an absolute path, of a volume"),
        (("-r", "/records", "--runs", "/runs", "--address=auto"), "--address is not for here"),
        (("-r", "/records", "--runs", "/runs", "-o", "/registry"), "--out is not for here"),
        (("-r", "/records", "--runs", "/runs", "-o/registry"), "--out is not for here"),
        (("-r", "/records", "--runs", "/runs", "--workers", "2-8"), "a number of workers"),
        (
            ("-r", "/records", "--runs", "/runs", "--preset", "counts", "--teacher", "/t"),
            "needs a --preset that trains",
        ),
        (("-r", "/records", "--runs", "/runs", "--init-from", "runs/x"), "--init-from is an absolute path"),
    ],
)
def test_arguments_of_a_training_are_checked_before_gpus_are_paid_for(nbmf_command, arguments, named):
    result = nbmf_command("manifest", "trainjob", "--", *arguments)
    assert (result.code, result.out) == (2, b"")
    assert named in " ".join(result.err.replace("│", " ").split())


def test_an_open_service_is_warned_of(nbmf_command):
    assert "open to other machines" in nbmf_command("manifest", "serve").err


def test_an_image_of_rays_release(repository):
    (pinned,) = re.findall(r"^ray==(.*)$", (repository / "constraints.txt").read_text(), re.MULTILINE)
    stages = re.findall(
        r"^FROM (\S+)(?: AS (\w+))?$", (repository / "configs" / "deploy" / "Dockerfile").read_text(), re.M
    )
    assert stages[1:] == [(f"rayproject/ray:{pinned}-py311-gpu", "cuda"), (f"rayproject/ray:{pinned}-py311-cpu", "")]


def test_configurations_cannot_be_wrong_in_the_package():
    with pytest.raises(ConfigError):
        cluster_config(auth="none")
