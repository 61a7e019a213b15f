"""The recipes of deploy/: the job of Kubernetes fits its schema, and the scripts run the commands that exist."""

import os
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}


def fields(required, **properties):
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


CONTAINER = fields(
    ["name", "image"],
    name={"const": "tensorflow"},  # the name that the operator requires
    image=TEXT,
    command={"type": "array", "items": TEXT},
    args={"type": "array", "items": TEXT},
    env={"type": "array", "items": fields(["name", "value"], name=TEXT, value=TEXT)},
    ports={"type": "array", "items": fields(["containerPort"], name={"const": "tfjob-port"}, containerPort={"const": 2222})},
    resources=fields([], limits={"type": "object", "additionalProperties": {"type": "string", "pattern": r"^[0-9.]+(m|[KMGT]i?)?$"}}),
    volumeMounts={"type": "array", "items": fields(["name", "mountPath"], name=TEXT, mountPath=TEXT)},
)
CLAIM = fields(["claimName"], claimName=TEXT)
POD = fields(
    ["containers"],
    containers={"type": "array", "items": CONTAINER, "minItems": 1},
    volumes={"type": "array", "items": fields(["name"], name=TEXT, persistentVolumeClaim=CLAIM)},
    terminationGracePeriodSeconds=COUNT,
)
REPLICAS = fields(
    ["replicas", "template"],
    replicas=COUNT,
    restartPolicy={"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
    template=fields(["spec"], spec=POD),
)
TF_JOB = fields(  # the part of Kubeflow's definition (kubeflow.org_tfjobs, v1) that is used here
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "kubeflow.org/v1"},
    kind={"const": "TFJob"},
    metadata=fields(["name"], name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}),
    spec=fields(
        ["tfReplicaSpecs"],
        runPolicy=fields([], backoffLimit=COUNT, cleanPodPolicy={"enum": ["All", "Running", "None"]}),
        tfReplicaSpecs=fields(["Worker"], Worker=REPLICAS, Chief=REPLICAS),
    ),
)


@pytest.fixture(scope="module")
def job():
    return yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text())


def test_the_job_fits_the_schema(job):
    jsonschema.validate(job, TF_JOB)
    pod = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    mounts = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """Programs of the clusters that print what they are called with; `srun` ends with the status in STATUS."""
    for name in ("zoo", "srun", "scontrol"):
        status = "${STATUS:-0}" if name == "srun" else "0"
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\nexit {status}\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RUN", str(tmp_path / "run"))
    return tmp_path


def test_the_pods_start_a_run_and_resume_it(job, stubs):
    (container,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    command = [*container["command"], *container["args"]]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert first.startswith(f"zoo train --strategy multi_worker --run-dir {stubs / 'run'} --model biggan_128")
    (stubs / "run").mkdir()
    (stubs / "run" / "config.json").touch()
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert again == f"zoo train --strategy multi_worker --resume {stubs / 'run'}\n"


@pytest.mark.parametrize("status, is_requeued", [(0, False), (2, False), (4, True), (137, True), (143, True)])
def test_a_slurm_job_is_requeued_if_a_worker_was_lost(stubs, monkeypatch, status, is_requeued):
    monkeypatch.setenv("STATUS", str(status))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "16")
    result = subprocess.run(["bash", str(DEPLOY / "slurm.sh")], capture_output=True, text=True)
    assert result.returncode == status and ("scontrol requeue 17" in result.stdout) == is_requeued
    assert "srun --cpus-per-task=16 " in result.stdout
    assert "zoo train --strategy multi_worker --model biggan_128 --data folder:pictures --run-dir" in result.stdout


def test_the_image_installs_the_package_from_what_it_copies():
    text = (DEPLOY / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["zoo"]' in text and "pip install --no-cache-dir ." in text
    copied = re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (DEPLOY.parent / name).exists(), name
