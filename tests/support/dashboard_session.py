"""A Ray session with its dashboard, in a process of its own: prints the dashboard's address, ends with its input."""

import sys

from cluster.session import session

with session(num_cpus=8, dashboard=True) as ray:
    print(ray.get_runtime_context().gcs_address, ray._private.worker.global_worker.node.webui_url, flush=True)
    sys.stdin.read()
    from ray import serve

    serve.shutdown()
