"""Training: the loop under fine-tuning, which outlives a kill and a device too small for the batch.

transformers' Trainer takes the steps. What it is given is the whole run at once, a list of micro-batches in the order
in which they are trained on (`schedule`): fixed by the seed alone, so that a run that goes on from a checkpoint, one
with smaller micro-batches, and one over several processes all see the batches that an unbroken run sees.

    plan = Plan(...)                  # what to train on, and where its checkpoints are
    model, history = train(plan)      # goes on from the last whole checkpoint of the same plan

Where memory runs out, micro-batches are halved (the batch stays what it was, its gradient is summed over more of them);
single examples that still do not fit are trained on with gradient checkpointing, which costs about a third more time.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils.memory import clear_device_cache
from peft.helpers import disable_input_dtype_casting
from transformers import (
    DataCollatorForSeq2Seq,
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_pt_utils import get_length_grouped_indices

from nextkit.finetuning.log import Bar, LossLog
from nextkit.records import whole
from nextkit.sampling.loading import best_dtype, pick_device, prefer_flash

EVALUATIONS = 10  # of the held-out loss in a run
TABLES = ("PrinterCallback", "ProgressCallback", "NotebookProgressCallback")  # the Trainer's; the last needs IPython


@dataclass(frozen=True)
class Plan:
    """One training run.

    name: the model's, for messages. model: called for a fresh model with its LoRA layers. features: token ids and
    labels of each example; validation: those held out. settings: LoraSettings. folder: for checkpoints. key: stands for
    all of this; checkpoints of another key are deleted. losses: the file that gets each step's loss as it comes.
    report: called with (step, steps, loss) in place of a progress bar.
    """

    name: str
    model: Callable
    tokenizer: object
    features: list
    validation: list
    settings: object
    folder: Path
    key: str
    losses: Path
    report: Callable | None = None

    @property
    def steps(self):
        """How many steps are taken, where nothing stops them early."""
        per_epoch = -(-len(self.features) // self.settings.batch_size)
        return min(self.settings.max_steps, self.settings.epochs * per_epoch)

    @property
    def share(self):
        """Examples of a step that one process gets. Raises ValueError where they cannot be dealt out evenly."""
        size, world = self.settings.batch_size, processes()
        if size % world:
            raise ValueError(f"batch_size is {size}, with {world} processes: give a multiple of {world}")
        return size // world


@dataclass(frozen=True)
class Fit:
    """How a batch is brought through the device: examples at a time, and whether activations are computed twice."""

    micro: int
    checkpointing: bool = False


def train(plan):
    """The trained model and the Trainer's log; under torchrun each process returns the same.

    Goes on from the last whole checkpoint in the plan's folder. Raises RuntimeError when the device's memory does not
    hold one example, or runs out in one process of several, which only a new start of all of them can mend.
    """
    prefer_flash(pick_device())  # a process of several loads its model before it knows its device
    with PartialState(cpu=on_cpu()).main_process_first():  # the first one tidies the folder, the others find it so
        fit = _open_folder(plan)
    while True:
        try:
            return _attempt(plan, fit)
        except RuntimeError as error:  # torch.cuda.OutOfMemoryError is one, and other devices raise it plainly
            if "out of memory" not in str(error).lower():
                raise
        clear_device_cache(garbage_collection=True)  # after the except: until then the error holds the model
        fit = _smaller(plan, fit)
        if processes() > 1:  # the others wait for this one's gradient
            _remember(plan, fit)
            raise RuntimeError(
                f"tuning {plan.name!r} ran out of memory in one of {processes()} processes: start it again, and it goes "
                f"on from its last checkpoint with {fit.micro} of {plan.share} examples at a time"
            )


def schedule(lengths, settings, steps, pieces=1):
    """The examples of each micro-batch, as lists of numbers: `pieces` lists a step, `steps` steps.

    Examples of similar length share a batch, drawn anew each epoch. Pieces may be empty in an epoch's last batch.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    batches = []
    while len(batches) < steps:
        # a DataLoader draws a number before each epoch: with it, the order is that of the Trainer's own sampler
        torch.empty((), dtype=torch.int64).random_(generator=generator)
        order = get_length_grouped_indices(lengths, settings.batch_size, generator=generator)
        batches += [order[i : i + settings.batch_size] for i in range(0, len(order), settings.batch_size)]
    return [batch[piece::pieces] for batch in batches[:steps] for piece in range(pieces)]


def last_checkpoint(folder, before):
    """The folder of the last whole checkpoint of fewer than `before` steps, or None."""
    steps = sorted((int(path.name.split("-")[1]) for path in Path(folder).glob("checkpoint-*")), reverse=True)
    paths = [Path(folder) / f"checkpoint-{step}" for step in steps if step < before]
    whole = [str(path) for path in paths if _read(path / "trainer_state.json")]  # which the Trainer writes last
    return whole[0] if whole else None


def processes():
    """How many processes train together; torchrun says so."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_main():
    """Whether this process is the one that writes and reports."""
    return int(os.environ.get("RANK", 0)) == 0


def on_cpu():
    """Whether there is no accelerator."""
    return not (torch.cuda.is_available() or torch.backends.mps.is_available())


def _attempt(plan, fit):
    """Train with this Fit from the last checkpoint to the end."""
    pieces = plan.settings.batch_size // fit.micro
    order = schedule([len(feature["input_ids"]) for feature in plan.features], plan.settings, plan.steps, pieces)
    # no process may go without a micro-batch: a token without a label adds nothing to the loss
    nothing = [dict(input_ids=[plan.tokenizer.pad_token_id], labels=[-100])]
    trainer = AnswerTrainer(
        model=plan.model(),
        args=_arguments(plan, fit),
        train_dataset=[[plan.features[i] for i in numbers] or nothing for numbers in order],
        eval_dataset=_slices(plan.validation, 1) or None,  # each weighs the same, however much the memory holds
        data_collator=Collator(plan.tokenizer),
    )
    # peft would turn what a layer reads into float32, only for autocast to turn it back
    as_they_are = disable_input_dtype_casting(trainer.model, active=trainer.args.bf16)
    with as_they_are, closing(Bar(disable=plan.report is not None or not is_main())) as bar:
        _listen(trainer, plan, bar)
        trainer.train(resume_from_checkpoint=last_checkpoint(plan.folder, before=plan.steps))
    trainer.accelerator.wait_for_everyone()  # one may still read a checkpoint that another is about to delete
    return trainer.model, trainer.state.log_history


class Collator:
    """Micro-batches as tensors: padded on the right, without a mask.

    Padding stands behind everything and has no label, so no token that counts sees it.
    """

    def __init__(self, tokenizer):
        self.pad = DataCollatorForSeq2Seq(tokenizer, padding=True, label_pad_token_id=-100)

    def __call__(self, micro_batches):
        batch = self.pad(sum(micro_batches, []))
        batch.pop("attention_mask", None)
        return batch


class AnswerTrainer(Trainer):
    """The library's Trainer, which asks the output layer only for what the loss counts.

    Logits of prompts and padding would be three in four, and those of a large vocabulary fill the memory.
    """

    def compute_loss(self, model, inputs, *args, **how):
        labels = torch.nn.functional.pad(inputs["labels"][:, 1:], (0, 1), value=-100)  # (examples, tokens)
        counted = labels != -100
        head = self.accelerator.unwrap_model(model).get_output_embeddings()
        chosen = head.register_forward_pre_hook(lambda _, given: (given[0][counted][None], *given[1:]))
        try:
            labels = labels[counted][None]
            return super().compute_loss(model, inputs | dict(labels=labels, shift_labels=labels), *args, **how)
        finally:
            chosen.remove()


def _arguments(plan, fit):
    s = plan.settings
    arguments = TrainingArguments(
        output_dir=str(plan.folder),
        max_steps=plan.steps,
        per_device_train_batch_size=1,  # one micro-batch of the schedule
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=plan.share // fit.micro,
        activation_checkpointing=fit.checkpointing,
        activation_checkpointing_kwargs=dict(use_reentrant=False) if fit.checkpointing else None,
        learning_rate=s.learning_rate,
        warmup_steps=s.warmup_steps,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=best_dtype(pick_device()) is torch.bfloat16,
        use_cpu=on_cpu(),
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        prediction_loss_only=True,
        logging_steps=1,
        logging_strategy="steps",
        report_to=[],
        seed=s.seed,
        dataloader_pin_memory=False,
        **_saving(plan),
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # without torchrun one device: the Trainer would multiply the batch
    return arguments


def _saving(plan):
    """The Trainer's arguments for checkpoints; with validation each evaluation is one, since it may be the best."""
    every = plan.settings.save_steps
    if plan.validation:
        every = -(-plan.steps // EVALUATIONS)
        best = dict(load_best_model_at_end=True, metric_for_best_model="loss", greater_is_better=False)
        best |= dict(eval_strategy="steps", eval_steps=every, restore_callback_states_from_checkpoint=True)
    else:
        best = {}
    return dict(save_strategy="steps" if every else "no", save_steps=every or 500, save_total_limit=1, **best)


def _listen(trainer, plan, bar):
    """Replace the Trainer's table of logs by the bar, the file of losses and the plan's report."""
    shown = [each for each in trainer.callback_handler.callbacks if type(each).__name__ in TABLES]
    for callback in shown:
        trainer.remove_callback(callback)
    for callback in (bar, LossLog(plan.losses, plan.report)):
        trainer.add_callback(callback)
    if not plan.validation:
        trainer.add_callback(_NoLastCheckpoint())
    elif plan.settings.patience:
        trainer.add_callback(EarlyStoppingCallback(plan.settings.patience))


class _NoLastCheckpoint(TrainerCallback):
    """Leaves out the checkpoint of the last step: the finished adapter comes next."""

    def on_step_end(self, args, state, control, **kwargs):
        if control.should_training_stop:
            control.should_save = False


def _open_folder(plan):
    """The Fit that was found for this plan before, or that of whole batches; checkpoints of other plans are deleted."""
    stored = _read(plan.folder / "plan.json")
    if stored.get("key") == plan.key:
        return replace(Fit(**stored["fit"]), micro=_divisor(plan.share, stored["fit"]["micro"]))
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    _remember(plan, Fit(plan.share))
    return Fit(plan.share)


def _remember(plan, fit):
    with whole(plan.folder / "plan.json") as partial:
        partial.write_text(json.dumps(dict(key=plan.key, fit=asdict(fit))))


def _smaller(plan, fit):
    """The Fit to try when this one ran out of memory. Raises RuntimeError when there is none."""
    if fit.micro > 1:
        return replace(fit, micro=_divisor(plan.share, fit.micro // 2))
    if not fit.checkpointing:
        return replace(fit, checkpointing=True)
    longest = max(len(feature["input_ids"]) for feature in plan.features)
    raise RuntimeError(
        f"tuning {plan.name!r} ran out of memory with a batch of {plan.settings.batch_size} cut to single examples of "
        f"up to {longest} tokens, gradient checkpointing on: shorten the traces, or take a smaller model or a device "
        "with more memory"
    )


def _divisor(number, most):
    """The greatest divisor that is at most `most`."""
    return max(d for d in range(1, most + 1) if number % d == 0)


def _slices(features, size):
    """Features in lists of at most `size`, of similar length."""
    features = sorted(features, key=lambda feature: -len(feature["input_ids"]))
    return [features[start : start + size] for start in range(0, len(features), size)]


def _read(path):
    """The object in a JSON file; {} where there is none or only half of one."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
