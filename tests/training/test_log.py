"""Logs and checkpoints on disk: what a kill cut off, what is kept, and names of older logs."""

import json

from flowllm.training.callbacks import LogCallback
from flowllm.training.checkpoints import last_checkpoint, seal
from flowllm.training.log import read_log


def test_only_whole_checkpoints_count(tmp_path):
    assert last_checkpoint(tmp_path / "absent") is None
    for step, state in ((5, "{}"), (20, '{"global'), (100, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-old").mkdir()
    assert last_checkpoint(tmp_path / "checkpoint-5") is None
    seal(tmp_path / "checkpoint-5")
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-5"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-5", "checkpoint-old"]


def test_the_log_forgets_what_a_resumed_run_writes_again(tmp_path):
    class State:
        is_world_process_zero, global_step, max_steps = True, 20, 30

    path = tmp_path / "log.jsonl"
    log = LogCallback(path, per_epoch=40)
    log.on_train_begin(None, State, None)
    for step in (10, 20, 30):
        State.global_step = step
        log.on_log(None, State, None, logs={"loss": 1.0 / step})
    with path.open("a") as file:
        file.write('{"step": 3')
    State.global_step = 20
    log.on_train_begin(None, State, None)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["step"], line["epoch"], line["loss"]) for line in kept] == [
        (10, 0.25, 0.1), (20, 0.5, 0.05),
    ]  # fmt: skip


def test_a_log_that_was_cut_off_is_read_up_to_there(tmp_path):
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 1}) + '\n{"step": 2, "lo')
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1}]
    assert read_log(tmp_path / "absent.jsonl") == []


def test_older_logs_of_flows_are_read_under_the_present_names(tmp_path):
    """That of the shipped weights is one of them."""
    lines = [{"step": 1, "loss": 2.0, "lr": 0.1}, {"step": 1, "val_loss": 3.0, "val_cell_loss": 1}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_log(tmp_path / "log.jsonl") == [
        {"step": 1, "loss": 2.0, "learning_rate": 0.1},
        {"step": 1, "eval_loss": 3.0, "eval_cell_loss": 1},
    ]
