"""A training run on a cluster of which the node with the workers is killed: `python killed_node.py RUN SETTINGS.json`.

There is room for all of them on either of two nodes; one goes at the first report after a checkpoint. Prints a line for
each line of the run's log, as JSON, and {"node_killed": true} where that was.
"""

import json
import os
import signal
import sys
from pathlib import Path

import networks

from cluster.session import prepare_environment
from nbmf.neural.config import PRESETS
from train_app.network.settings import NeuralTrainConfig
from train_app.network.train import train_network
from train_app.samples.split import split

MEMORY_BYTES = 200 * 2**20


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def main(folder, settings):
    prepare_environment()
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=3, object_store_memory=MEMORY_BYTES) for _ in range(2)]
    raylets = {info.process.pid for node in nodes for info in node.all_processes["raylet"]}
    worker, kept = 0, False

    def on_line(line):
        nonlocal worker, kept
        print(json.dumps(line), flush=True)
        if "process" in line:
            worker = int(line["process"].split()[0])
        if kept and "loss_nats" in line and len(raylets) == 2:
            raylets.remove(parent_of(worker))
            os.kill(parent_of(worker), signal.SIGKILL)
            print(json.dumps({"node_killed": True}), flush=True)
        kept = kept or line.get("final") is False

    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    asked = NeuralTrainConfig(**json.loads(settings.read_text()))
    train_network(*split(networks.sample_records()), PRESETS["tiny"], asked, folder, on_line)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
