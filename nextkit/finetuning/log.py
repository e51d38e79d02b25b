"""What a training run says while it goes on: a progress bar, and each step's loss in a file that others can watch.

    {"step": 3, "steps": 150, "loss": 0.41, "time": 1764100000.5}

is a line of that file; time is in seconds since 1970. Steps strictly increase: a run that goes on from a checkpoint
drops the lines after it first.
"""

import json
import time

from tqdm.auto import tqdm
from transformers import TrainerCallback

from nextkit.records import append_jsonl, whole


class Bar(TrainerCallback):
    """One quiet bar with the loss. disable: to show none. Close it when training ends, whichever way."""

    def __init__(self, disable):
        self.bar = tqdm(desc="tuning", unit="step", disable=disable)

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar.reset(total=state.max_steps)
        self.bar.update(state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self.bar.set_postfix(loss=logs["loss"], refresh=False)

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def close(self):
        self.bar.close()


class LossLog(TrainerCallback):
    """Each step's loss, appended to the file `path` and reported, by the first of several processes alone."""

    def __init__(self, path, report):
        self.path, self.report = path, report

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            lines = self.path.read_text().splitlines() if self.path.exists() else []
            with whole(self.path) as partial:
                partial.write_text("".join(line + "\n" for line in lines if _step(line) <= state.global_step))

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not (state.is_world_process_zero and logs and "loss" in logs):
            return
        loss = round(logs["loss"], 4)
        told = dict(step=state.global_step, steps=state.max_steps, loss=loss, time=round(time.time(), 2))
        append_jsonl(self.path, told)
        if self.report is not None:
            self.report(state.global_step, state.max_steps, loss)


def _step(line):
    """The step that a line is of; infinite for half a line."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")
