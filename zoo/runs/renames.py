"""The one table of what has been renamed: old options keep working and old runs keep loading through it.

Each dictionary maps an old name to the new one. Schema 1 is what a `config.json` without a "schema" field has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zoo.errors import printable_values

COMMANDS = {"analyse": "analyze", "usefulness": "utility"}

OPTIONS = {  # of commands, not of a configuration
    "by": "signature",
    "extractor": "feature_extractor",
    "init": "init_from",
    "scores": "eval_samples",
}

CONFIG_FIELDS = {
    # all models
    "every": "eval_every",
    "averaging": "ema_decay",
    "accumulation": "gradient_accumulation",
    "steady": "decay_start",
    "slope": "negative_slope",
    "penalty": "penalty_weight",
    # biggan
    "embedding": "embedding_dim",
    "orthogonality": "orthogonal_weight",
    # cyclegan, pix2pix
    "cycle": "cycle_weight",
    "identity": "identity_weight",
    "l1": "l1_weight",
    "patch": "patch_layers",
    "pool": "buffer_size",
    "pool_size": "buffer_size",
    # drgan
    "circular": "circular_poses",
    "form": "variant",
    "held_out": "held_out_identities",
    "images": "images_per_set",
    # ebm
    "buffer": "buffer_size",
    "climb": "langevin_steps",
    "renewed": "reinit_probability",
    "served_climb": "sampling_steps",
    "size": "l2_weight",
    "steepest": "gradient_clip",
    "step": "step_size",
    # gan
    "discriminator_range": "discriminator_init_range",
    "generator_range": "generator_init_range",
    "pieces": "maxout_pieces",
    # infogan
    "information": "information_weight",
    "levels": "conv_layers",
    "numbers": "continuous_codes",
    # pggan
    "base": "fmap_base",
    "drift": "drift_weight",
    "most": "fmap_max",
    "phase": "phase_steps",
    "target": "gradient_target",
    # r3gan
    "final_penalty": "final_penalty_weight",
    # sgan
    "labelled_weight": "labeled_weight",
    # srgan
    "from_bicubic": "bicubic_skip",
    "turned": "random_rotation",
    "variation_weight": "total_variation_weight",
    # wgan
    "clip": "weight_clip",
}

SCORES = {"memorisation": "memorization", "misclassified": "error_rate", "translated": "translation_accuracy"}
SCORES |= {f"rank1_encoder{suffix}": f"rank1_baseline{suffix}" for suffix in ("", *(f"_apart_{degrees}" for degrees in (25, 50, 75, 100)))}

VALUES = {"generator": {"averaged": "ema"}}  # values in a protocol: field -> old value -> new value

ROW_KEYS = {"round": "step", "variety": "diversity"}  # keys in a line of metrics.jsonl and in the score.json of a best checkpoint

LOGS = {  # loss terms in a line of metrics.jsonl
    "d_accuracy": "d_pairwise_accuracy",
    "d_labelled": "d_labeled",
    "d_size": "d_l2",
    "g_alone_identity": "g_baseline_identity",
    "g_alone_pose": "g_baseline_pose",
    "g_variation": "g_total_variation",
}

UNUSED = {"rmsprop": ("beta_1",), "sgd": ("beta_2", "epsilon")}  # fields that an optimizer ignores: old records have values for them

CHECKPOINT_ATTRIBUTES = {
    "averaged": "ema_generator",
    "kept": "buffer",
    "kept_x": "buffer_x",
    "kept_y": "buffer_y",
    "round": "step_counter",
}

UNCERTAINTIES = ("_error", "_spread")  # endings: `kid_error[...]` was the uncertainty of `kid[...]`


def rename_keys(fields: Mapping[str, Any], renames: Mapping[str, str]) -> dict[str, Any]:
    """A copy in which the keys have their new names."""
    return {renames.get(name, name): value for name, value in fields.items()}


def upgrade_score_name(name: str) -> str:
    """`memorisation[classifier-mnist-1a2b]` -> `memorization`: the feature extractor is a field of the protocol."""
    base = name.partition("[")[0]
    return SCORES.get(base, base)


def upgrade_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a `config.json` of any schema, in the current one."""
    # A stranger's record may hold what a terminal interprets. Options are not printed, and may be paths.
    record = {name: value if name == "options" else printable_values(value) for name, value in record.items()}
    if record.get("schema", 1) > 1:
        return dict(record)
    options = rename_keys(record.get("options") or {}, OPTIONS)
    if options.get("best"):
        options["best"] = upgrade_score_name(options["best"])
    config = rename_keys(record["config"], CONFIG_FIELDS)
    config |= dict.fromkeys(name for name in UNUSED.get(str(config.get("optimizer")), ()) if name in config)
    command = _upgrade_command(record.get("command", ""))
    return {**record, "config": config, "options": options, "command": command, "schema": 2}


def upgrade_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of `metrics.jsonl`, with the current names; a line that has them already is returned unchanged."""
    row = printable_values(dict(row))
    if "round" not in row:
        return dict(row)
    row = rename_keys(row, {**ROW_KEYS, **LOGS})
    if row.get("scores"):
        scores, errors = _upgrade_scores(row["scores"])
        row["scores"] = scores
        if errors:
            row["errors"] = errors
    if row.get("protocol"):
        row["protocol"] = {name: VALUES[name].get(value, value) if name in VALUES else value for name, value in row["protocol"].items()}
    return row


def upgrade_best(score: Mapping[str, Any]) -> dict[str, Any]:
    """A best checkpoint's `score.json`, with the current names."""
    score = printable_values(dict(score))
    if "round" not in score:
        return dict(score)
    extractor = score["name"].partition("[")[2].removesuffix("]") or None
    return {**rename_keys(score, ROW_KEYS), "name": upgrade_score_name(score["name"]), "extractor": extractor}


def _upgrade_scores(scores: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scores of a line, and their uncertainties under the names of the scores."""
    values, errors = {}, {}
    for name, value in scores.items():
        stem, bracket, extractor = name.partition("[")
        bases = [stem.removesuffix(ending) for ending in UNCERTAINTIES if stem.endswith(ending)]
        scored = [base for base in bases if f"{base}{bracket}{extractor}" in scores]
        if scored:
            errors[upgrade_score_name(scored[0])] = value
        else:
            values[upgrade_score_name(name)] = value
    return values, errors


def _upgrade_command(command: str) -> str:
    """The command line of a record, with the current names of options and scores."""
    options = {old.replace("_", "-"): new.replace("_", "-") for old, new in {**CONFIG_FIELDS, **OPTIONS}.items()}
    command = re.sub(r"^train\.py\b", "python train.py", command, flags=re.MULTILINE)
    command = re.sub(r"(?<=\s)--(no-)?([a-z0-9_-]+)", lambda match: _rename_option(match, options), command)
    return re.sub(r"(?<=\s)(--best[ =])(\w+)", lambda match: match[1] + upgrade_score_name(match[2]), command)


def _rename_option(match: re.Match[str], options: Mapping[str, str]) -> str:
    name = match[2].replace("_", "-")
    return f"--{match[1] or ''}{options[name]}" if name in options else match[0]
