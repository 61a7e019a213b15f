"""A run's folder: its record, checkpoints, measurements and samples."""

from zoo.runs.commands import command_prefix, program_name
from zoo.runs.folder import BestCheckpoint, Run
from zoo.runs.loading import load_model
from zoo.runs.record import DataRecord, RunRecord
from zoo.runs.scores import append_scores, export_versions, find_export, format_score, format_table, latest_grid, round_score, score_points
from zoo.runs.writing import explain_write_errors

__all__ = [
    "BestCheckpoint",
    "DataRecord",
    "Run",
    "RunRecord",
    "append_scores",
    "command_prefix",
    "explain_write_errors",
    "export_versions",
    "find_export",
    "format_score",
    "format_table",
    "latest_grid",
    "load_model",
    "program_name",
    "round_score",
    "score_points",
]
