"""Fine-tuning: the base model learns to write what passed.

Each round starts from the base again (Algorithm 1: theta(0) is tuned on what theta(i) sampled), so that errors of one
round are not built upon. LoRA adds a low-rank update to every linear layer and trains only that; the loss counts the
completion (rationale and fix), never the prompt.

    adapter = finetune("offline-base", examples, "runs/mine/round-1")
    sampler.sample(prompts, 16, adapter=adapter.path)
"""

import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from nextkit.filtering import Example
from nextkit.prompting import Prompt
from nextkit.sampling import encode_prompt, load_model, load_tokenizer, resolve_model

_START = "import sys; sys.path.insert(0, sys.argv[1]); from nextkit.finetuning import main; main()"


@dataclass(frozen=True)
class LoraSettings:
    """How to tune. The paper tuned all of PaLM 2-L; every value here is ours.

    rank, alpha: size and scale of the low-rank update. learning_rate: peak, falling in a straight line. epochs: passes
    over the examples, but not more than max_steps steps. batch_size: examples a step, of similar length.
    """

    rank: int = 32
    alpha: int = 64
    learning_rate: float = 2e-3
    epochs: int = 3
    max_steps: int = 200
    batch_size: int = 24
    warmup_steps: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Adapter:
    """A tuned LoRA adapter in peft's layout. losses: one a step. parameters: how many were trained."""

    path: str
    base: str
    examples: int
    steps: int
    parameters: int
    losses: tuple[float, ...]
    seconds: float


def finetune(base, examples, out, settings=None, *, chat=False, apart=False, report=None):
    """Tune the base model on the Examples with LoRA and save the adapter in the folder `out`; returns the Adapter.

    A finished adapter found at `out` is returned as it is. chat: whether prompts go through the model's chat template,
    as the sampler's do. apart: in a process of its own, so that all memory comes
    back when it ends, and with it the time to load the libraries again. report: called with (step, steps, loss) in
    place of a progress bar. Raises ValueError when there is nothing to train on, RuntimeError when that process fails.
    """
    settings, out = settings or LoraSettings(), Path(out)
    if (out / "adapter.json").exists():
        return _read(out)
    if not examples:
        raise ValueError(
            "there are no examples to train on: no sample passed its tests; sample more per task, raise the hard-task "
            "threshold, or start from easier tasks"
        )
    if apart:
        return _finetune_apart(base, examples, out, settings, chat)
    started = time.monotonic()
    path = resolve_model(base)
    tokenizer = load_tokenizer(path)
    model = _with_lora(load_model(path), settings)
    features = [encode_example(tokenizer, example, chat) for example in examples]
    losses = _train(model, tokenizer, features, settings, report)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    seconds = round(time.monotonic() - started, 1)
    return _save(model, out, Adapter(str(out), str(base), len(examples), len(losses), parameters, losses, seconds))


def encode_example(tokenizer, example, chat=False):
    """Token ids of prompt, completion and end mark, with labels -100 on the prompt: only the completion is learnt."""
    prompt = encode_prompt(tokenizer, Prompt(example.task_id, example.prompt), chat)
    completion = tokenizer(example.completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    return dict(input_ids=prompt + completion, labels=[-100] * len(prompt) + completion)


def loss_mask(tokenizer, example):
    """Pairs (token as text, whether the loss counts it), for looking at what is trained."""
    feature = encode_example(tokenizer, example)
    pairs = zip(feature["input_ids"], feature["labels"], strict=True)
    return [(tokenizer.decode([token]), label != -100) for token, label in pairs]


def main():
    """Tune as a job read from stdin says, and print (step, steps, loss) as JSON; the other end of `apart`."""
    job = json.load(sys.stdin)
    examples = [Example(**fields) for fields in job["examples"]]
    settings = LoraSettings(**job["settings"])
    finetune(
        job["base"],
        examples,
        job["out"],
        settings,
        chat=job["chat"],
        report=lambda *told: print(json.dumps(told), flush=True),
    )


def _finetune_apart(base, examples, out, settings, chat):
    import subprocess
    import tempfile

    from tqdm.auto import tqdm

    job = dict(base=str(base), out=str(out.absolute()), settings=asdict(settings), chat=chat)
    job["examples"] = list(map(asdict, examples))
    command = [sys.executable, "-c", _START, str(Path(__file__).resolve().parent.parent)]
    with tempfile.TemporaryFile("w+") as errors, tqdm(desc="tuning", unit="step") as bar:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            with child.stdin:
                json.dump(job, child.stdin)
            for step, bar.total, loss in map(json.loads, child.stdout):
                bar.set_postfix(loss=loss, refresh=False)
                bar.update(step - bar.n)
            if child.wait():
                errors.seek(0)
                raise RuntimeError(f"tuning in a process of its own failed:\n{errors.read()[-2000:]}")
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
    return _read(out)


def _read(out):
    stored = json.loads((out / "adapter.json").read_text())
    return Adapter(**{**stored, "path": str(out), "losses": tuple(stored["losses"])})


def _with_lora(model, settings):
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    set_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def _train(model, tokenizer, features, settings, report):
    """Run transformers' Trainer; returns the loss of each step."""
    import tempfile

    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    per_epoch = -(-len(features) // settings.batch_size)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=min(settings.max_steps, settings.epochs * per_epoch),
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
            lr_scheduler_type="linear",
            weight_decay=0.0,
            max_grad_norm=1.0,
            bf16=_bf16(),
            use_cpu=_on_cpu(),
            train_sampling_strategy="group_by_length",
            save_strategy="no",
            logging_steps=1,
            logging_strategy="steps",
            report_to=[],
            seed=settings.seed,
            dataloader_pin_memory=False,
        )
        collator = DataCollatorForSeq2Seq(tokenizer, padding=True, label_pad_token_id=-100)
        trainer = Trainer(model=model, args=arguments, train_dataset=features, data_collator=collator)
        _show_progress(trainer, report)
        trainer.train()
    return tuple(round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry)


def _show_progress(trainer, report):
    """One quiet bar with the loss in place of the Trainer's table of logs."""
    from tqdm.auto import tqdm
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback

    class Bar(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            self.bar = tqdm(total=state.max_steps, desc="tuning", unit="step", disable=report is not None)

        def on_log(self, args, state, control, logs=None, **kwargs):
            if logs and "loss" in logs:
                self.bar.set_postfix(loss=logs["loss"], refresh=False)
                if report is not None:
                    report(state.global_step, state.max_steps, logs["loss"])

        def on_step_end(self, args, state, control, **kwargs):
            self.bar.update()

        def on_train_end(self, args, state, control, **kwargs):
            self.bar.close()

    from transformers.utils.notebook import NotebookProgressCallback

    for callback in (PrinterCallback, ProgressCallback, NotebookProgressCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(Bar())


def _on_cpu():
    import torch

    return not (torch.cuda.is_available() or torch.backends.mps.is_available())


def _bf16():
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()


def _save(model, out, adapter):
    """Write the adapter next to its final place and move it there, so that a half-written one is never found."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    (partial / "adapter.json").write_text(json.dumps(asdict(adapter)))
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return adapter
