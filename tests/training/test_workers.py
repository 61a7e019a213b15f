"""What TF_CONFIG says about a cluster."""

import json

import pytest

from zoo.errors import UserError
from zoo.training.workers import Worker, find_worker


def config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


WORKERS = {"worker": ["a:1", "b:2"]}
WITH_CHIEF = {"chief": ["c:1"], "worker": ["a:1", "[::1]:2"]}


@pytest.mark.parametrize(
    "environment, worker",
    [
        (config(WORKERS), Worker(("a:1", "b:2"), 0)),
        (config(WORKERS, index=1), Worker(("a:1", "b:2"), 1)),
        (config(WITH_CHIEF, "chief"), Worker(("c:1", "a:1", "[::1]:2"), 0)),
        (config(WITH_CHIEF, index=1), Worker(("c:1", "a:1", "[::1]:2"), 2)),
        (config(WORKERS, index="1"), Worker(("a:1", "b:2"), 1)),  # as Kubeflow writes it in some versions
    ],
)
def test_the_workers_of_tf_config(environment, worker):
    assert find_worker(environment) == worker and find_worker(environment).is_chief == (worker.index == 0)


@pytest.mark.parametrize(
    "environment, message",
    [
        ({}, "there is no cluster; set TF_CONFIG"),
        ({"TF_CONFIG": ""}, "TF_CONFIG='': expected"),
        ({"TF_CONFIG": "[1]"}, "expected"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "expected"),
        (config([]), "expected"),
        (config(WORKERS, "ps"), "the task is a 'ps'"),
        (config(WORKERS, index=2), "the task is worker 2, and the cluster has 2"),
        (config(WORKERS, index=-1), "worker -1"),
        (config({"worker": ["a"]}), "'a' is not an address HOST:PORT"),
        (config({"worker": ["a:1", "a:1"]}), "a:1 is listed twice"),
        (config({"worker": [1]}), "1 is not an address"),
        (config({"worker": ["a:0"]}), "'a:0' is not an address"),
        (config({"worker": ["a:65536"]}), "'a:65536' is not an address"),
        (config(WORKERS, index=True), "expected"),
    ],
)
def test_a_wrong_tf_config_is_one_line(environment, message):
    with pytest.raises(UserError, match=message) as error:
        find_worker(environment)
    assert "\n" not in str(error.value)


SLURM = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "n[2,10-11]", "SLURM_STEP_TASKS_PER_NODE": "1,2,1", "SLURM_PROCID": "2"}
SLURM["SLURM_JOB_ID"] = "30017"


def test_the_workers_of_slurm_are_in_the_order_of_its_list():
    assert find_worker(SLURM) == Worker(("n2:20017", "n10:20017", "n10:20018", "n11:20017"), 2)
    assert find_worker({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "2(x3)"}).addresses[-1] == "n11:20018"


@pytest.mark.parametrize(
    "change", [{"SLURM_STEP_NODELIST": "n[2,"}, {"SLURM_STEP_TASKS_PER_NODE": "1"}, {"SLURM_PROCID": "4"}, {"SLURM_JOB_ID": "x"}]
)
def test_variables_of_slurm_that_contradict_each_other_are_one_line(change):
    with pytest.raises(UserError, match="the variables of SLURM do not describe a cluster"):
        find_worker({**SLURM, **change})
    with pytest.raises(UserError, match="the variables of SLURM do not describe a cluster"):
        find_worker({"SLURM_STEP_NUM_TASKS": "4"})
