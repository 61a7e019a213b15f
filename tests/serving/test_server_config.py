"""The files of a server: TensorFlow Serving's messages and YAML can read them, and they agree with each other."""

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from zoo.serving.server_config import write_server_config

# Messages of TensorFlow Serving that its package for Python leaves out.
OTHER_MESSAGES = """
name: "test/serving.proto" package: "serving" syntax: "proto3"
message_type { name: "Int64Value" field { name: "value" number: 1 type: TYPE_INT64 label: LABEL_OPTIONAL } }
message_type { name: "PrometheusConfig"
  field { name: "enable" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL }
  field { name: "path" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "MonitoringConfig"
  field { name: "prometheus_config" number: 1 type: TYPE_MESSAGE type_name: ".serving.PrometheusConfig" label: LABEL_OPTIONAL } }
message_type { name: "BatchingParameters"
  field { name: "max_batch_size" number: 1 type: TYPE_MESSAGE type_name: ".serving.Int64Value" label: LABEL_OPTIONAL }
  field { name: "batch_timeout_micros" number: 2 type: TYPE_MESSAGE type_name: ".serving.Int64Value" label: LABEL_OPTIONAL }
  field { name: "max_enqueued_batches" number: 3 type: TYPE_MESSAGE type_name: ".serving.Int64Value" label: LABEL_OPTIONAL }
  field { name: "num_batch_threads" number: 4 type: TYPE_MESSAGE type_name: ".serving.Int64Value" label: LABEL_OPTIONAL }
  field { name: "allowed_batch_sizes" number: 6 type: TYPE_INT64 label: LABEL_REPEATED } }
"""


def parse(name, text):
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(OTHER_MESSAGES, descriptor_pb2.FileDescriptorProto()))
    return text_format.Parse(text, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"serving.{name}"))())


@pytest.mark.parametrize("name", ["acgan", 'a "model": of $HOME # mine'])
def test_the_files_name_the_model(name, tmp_path):
    files = {path.name: path.read_text() for path in write_server_config(tmp_path, name, (64, 1, 8))}
    models = text_format.Parse(files["models.config"], model_server_config_pb2.ModelServerConfig())
    (model,) = models.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == (name, f"/models/{name}", "tensorflow")
    serving = yaml.safe_load(files["docker-compose.yml"])["services"]["serving"]
    (volume,) = serving["volumes"]
    assert volume["source"] == "." and volume["target"].replace("$$", "$") == model.base_path
    assert serving["working_dir"] == volume["target"]
    flags = dict(flag.removeprefix("--").split("=") for flag in serving["command"])
    assert {value for name, value in flags.items() if name.endswith("_file")} == set(files) - {"docker-compose.yml", "prometheus.yml"}
    assert f"{flags['port']}:{flags['port']}" in serving["ports"]


def test_batches_have_the_sizes_that_were_requested(tmp_path):
    files = {path.name: path.read_text() for path in write_server_config(tmp_path, "acgan", (64, 1, 8, 8))}
    batching = parse("BatchingParameters", files["batching_params.pbtxt"])
    assert list(batching.allowed_batch_sizes) == [1, 8, 64]  # ascending, as a server requires, and the last is the largest batch
    assert batching.max_batch_size.value == 64
    assert batching.batch_timeout_micros.value > 0 and batching.num_batch_threads.value > 0 and batching.max_enqueued_batches.value > 0


def test_prometheus_reads_what_the_server_publishes(tmp_path):
    files = {path.name: path.read_text() for path in write_server_config(tmp_path, "acgan", (1,))}
    monitoring = parse("MonitoringConfig", files["monitoring.config"]).prometheus_config
    (scrape,) = yaml.safe_load(files["prometheus.yml"])["scrape_configs"]
    services = yaml.safe_load(files["docker-compose.yml"])["services"]
    assert monitoring.enable and monitoring.path == scrape["metrics_path"]
    host, port = scrape["static_configs"][0]["targets"][0].split(":")
    assert f"--rest_api_port={port}" in services[host]["command"]
    assert any(volume.startswith("./prometheus.yml:") for volume in services["prometheus"]["volumes"])
