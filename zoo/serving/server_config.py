"""Configuration files for TensorFlow Serving, and for Prometheus beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from zoo.files import write_text

REST_PORT, GRPC_PORT, PROMETHEUS_PORT = 8501, 8500, 9090
METRICS_PATH = "/monitoring/prometheus/metrics"
BATCH_TIMEOUT = 2000  # microseconds that an incomplete batch waits for more requests
MAX_QUEUED_BATCHES = 100  # further requests are refused as unavailable
BATCH_THREADS = 2  # batches that are computed at once
SCRAPE_INTERVAL = 15  # seconds

MODELS = """model_config_list {{
  config {{
    name: {name}
    base_path: {path}
    model_platform: "tensorflow"
  }}
}}
"""
BATCHING = """max_batch_size {{ value: {largest} }}
batch_timeout_micros {{ value: {timeout} }}
num_batch_threads {{ value: {threads} }}
max_enqueued_batches {{ value: {queued} }}
{allowed}
"""
MONITORING = """prometheus_config {{
  enable: true
  path: "{path}"
}}
"""
PROMETHEUS = """scrape_configs:
  - job_name: tensorflow-serving
    scrape_interval: {interval}s
    metrics_path: {path}
    static_configs:
      - targets: ["serving:{port}"]
"""
COMPOSE = """# docker compose up
services:
  serving:
    image: tensorflow/serving:latest
    ports: ["{rest}:{rest}", "{grpc}:{grpc}"]
    volumes:
      - {{type: bind, source: ., target: {target}, read_only: true}}
    entrypoint: ["/usr/bin/tensorflow_model_server"]
    working_dir: {target}
    command:
      - --port={grpc}
      - --rest_api_port={rest}
      - --model_config_file=models.config
      - --monitoring_config_file=monitoring.config
      - --enable_batching=true
      - --batching_parameters_file=batching_params.pbtxt
    restart: unless-stopped
  prometheus:
    image: prom/prometheus:latest
    ports: ["{prometheus}:{prometheus}"]
    volumes: ["./prometheus.yml:/etc/prometheus/prometheus.yml:ro"]
    depends_on: [serving]
    restart: unless-stopped
"""


def write_server_config(folder: Path, name: str, batch_sizes: Sequence[int]) -> list[Path]:
    """Writes the files of a server into the folder of a model's versions, which is mounted into it.

    Args:
        folder: The folder; a server ignores what is not a version.
        name: Of the model, for requests.
        batch_sizes: Numbers of rows that the server's batches have: each is padded to the next of them.

    Returns:
        The files: `models.config`, `batching_params.pbtxt`, `monitoring.config`, `prometheus.yml` and `docker-compose.yml`.
    """
    path, sizes = f"/models/{name}", sorted(set(batch_sizes))
    target = json.dumps(path.replace("$", "$$"))  # a text of JSON is one of YAML and of protocol buffers too
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in sizes)
    contents = {
        "models.config": MODELS.format(name=json.dumps(name), path=json.dumps(path)),
        "batching_params.pbtxt": BATCHING.format(
            largest=sizes[-1], timeout=BATCH_TIMEOUT, threads=BATCH_THREADS, queued=MAX_QUEUED_BATCHES, allowed=allowed
        ),
        "monitoring.config": MONITORING.format(path=METRICS_PATH),
        "prometheus.yml": PROMETHEUS.format(interval=SCRAPE_INTERVAL, path=METRICS_PATH, port=REST_PORT),
        "docker-compose.yml": COMPOSE.format(target=target, rest=REST_PORT, grpc=GRPC_PORT, prometheus=PROMETHEUS_PORT),
    }
    for file, content in contents.items():
        write_text(folder / file, content)
    return [folder / file for file in contents]
