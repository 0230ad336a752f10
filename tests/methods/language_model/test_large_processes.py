"""Several processes train as one; the configurations of accelerate are what they should be."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from flowllm.cli import main
from flowllm.errors import InputError
from flowllm.methods.language_model.train import shared_batch

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[3] / "configs" / "accelerate"
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]


SHARED = ["--batch-size", "6", "--checkpoint-steps", "2", "--learning-rate", "0.01",
          "--threads", "1", "--device", "cpu"]  # fmt: skip
TINY = ["--hidden", "32", "--layers", "2", "--heads", "2", "--feed-forward", "64"]


def words(kind, base_folders, data):
    """Arguments of a short training, all but the folder."""
    own = ["--model", str(base_folders["neox"]), "--lora", "--limit", "27", "--max-steps", "5"]
    return ["train-lm", "--data", str(data), *SHARED,
            *(own if kind == "by an adapter" else [*TINY, "--epochs", "1"])]  # fmt: skip


def log_of(out):
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(r["step"], k, r[k]) for r in rows for k in ("loss", "eval_loss") if k in r]


@pytest.mark.parametrize("kind", ["by an adapter", "the compact one"])
def test_two_processes_give_the_losses_of_one(
    kind, base_folders, prepared, tmp_path, script_environment
):
    train = words(kind, base_folders, prepared)
    port = str(20_000 + os.getpid() % 20_000)
    launched = subprocess.Popen(
        [*LAUNCH, "--main_process_port", port, "-m", "flowllm", *train, "--out",
         str(tmp_path / "two")],
        env=script_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert main([*train, "--out", str(tmp_path / "one")]) == 0
        said, errors = launched.communicate(timeout=240)
    finally:
        if launched.poll() is None:
            os.killpg(launched.pid, signal.SIGKILL)
    assert launched.returncode == 0, errors
    assert said.count("unconditional_nats_per_token") == 1  # one of them speaks
    one, two = log_of(tmp_path / "one"), log_of(tmp_path / "two")
    assert [row[:2] for row in one] == [row[:2] for row in two] and len(one) >= 5
    assert [row[2] for row in two] == pytest.approx([row[2] for row in one], rel=1e-5)
    states = sorted(p.name for p in (tmp_path / "two/checkpoints").glob("*/rng_state_*"))
    assert states and {"rng_state_0.pth", "rng_state_1.pth"} == set(states)  # there were two
    records = [json.loads((tmp_path / n / "run.json").read_text()) for n in ("one", "two")]
    assert records[0]["settings"] == records[1]["settings"]
    assert records[1]["status"] == "finished"
    for name, value in records[0]["figures"].items():
        assert records[1]["figures"][name] == pytest.approx(value, rel=1e-5)


def test_a_batch_is_split_evenly_or_not_at_all(monkeypatch):
    assert shared_batch(16) == (16, 1) and shared_batch(16, 4) == (4, 4)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert shared_batch(16) == (4, 1) and shared_batch(16, 1) == (1, 4)
    with pytest.raises(InputError, match="6 cannot be shared by 4 processes"):
        shared_batch(6)
    with pytest.raises(InputError, match="micro-batches of 3 do not divide the 4"):
        shared_batch(16, 3)


@pytest.mark.parametrize(
    ("name", "kind", "processes"),
    [
        ("fsdp_llama2_7b_full", "FSDP", 4),
        ("fsdp_llama2_70b_lora", "FSDP", 8),
        ("deepspeed_zero3", "DEEPSPEED", 8),
    ],
)
def test_each_configuration_is_one_of_accelerate_and_says_that_it_was_not_run(
    name, kind, processes
):
    file = CONFIGS / f"{name}.yaml"
    config = load_config_from_file(str(file))  # refuses unknown keys
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == kind and config.num_processes == processes
    assert config.mixed_precision == "bf16" and not config.use_cpu
    assert "not run here" in file.read_text().replace("\n#", "")
    assert sorted(p.stem for p in CONFIGS.iterdir()) == [
        "deepspeed_zero3", "fsdp_llama2_70b_lora", "fsdp_llama2_7b_full",
    ]  # fmt: skip


def arguments_of(name):
    """What `accelerate launch` makes of a configuration and a command of ours."""
    parser = launch_command_parser()
    args = parser.parse_args(
        ["--config_file", str(CONFIGS / f"{name}.yaml"), "-m", "flowllm", "train-lm"]
    )
    return _validate_launch_command(args)[0]


@pytest.mark.parametrize("name", ["fsdp_llama2_7b_full", "fsdp_llama2_70b_lora"])
def test_fsdp_is_told_what_the_configuration_says(name, monkeypatch):
    environment = prepare_multi_gpu_env(arguments_of(name))
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert plugin.cpu_ram_efficient_loading and not plugin.activation_checkpointing
    assert plugin.auto_wrap_policy.__name__ == "transformer_auto_wrap_policy"
    assert environment["ACCELERATE_USE_FSDP"] == "true"
    assert environment["ACCELERATE_MIXED_PRECISION"] == "bf16"


def test_deepspeed_is_told_what_the_configuration_says():
    arguments = arguments_of("deepspeed_zero3")
    arguments.deepspeed_fields_from_accelerate_config = ""  # as the command itself adds it
    _, environment = prepare_deepspeed_cmd_env(arguments)
    assert environment["ACCELERATE_USE_DEEPSPEED"] == "true"
    assert environment["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == "3"
    assert environment["ACCELERATE_DEEPSPEED_ZERO3_INIT"] == "true"
    assert environment["ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL"] == "true"
    assert environment["ACCELERATE_GRADIENT_CLIPPING"] == "1.0"
