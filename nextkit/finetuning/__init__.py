"""Fine-tuning: the base model learns to write what passed.

Each round starts from the base again (Algorithm 1: theta(0) is tuned on what theta(i) sampled), so that errors of one
round are not built upon. LoRA adds a low-rank update to linear layers and trains only that; the loss counts the
completion (rationale and fix), never the prompt.

    adapter = finetune("offline-base", examples, "runs/mine/round-1")
    sampler.sample(prompts, 16, adapter=adapter.path)
    merge(adapter, "models/mine")  # a model of its own, for any engine

Tuning that was interrupted goes on from its last checkpoint when it is called again. The losses stand in OUT.losses.jsonl
beside the adapter as they come. `finetuning.job` tunes in a process of its own, and on several devices at once.
"""

import hashlib
import json
import os
import random
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nextkit.prompting import Prompt
from nextkit.records import check_whole, from_dict, whole
from nextkit.sampling import encode_prompt, fingerprint, load_model, load_tokenizer, resolve_model
from nextkit.sampling.loading import best_dtype, pick_device, source


@dataclass(frozen=True)
class LoraSettings:
    """How to tune. The paper tuned all of PaLM 2-L; every value here is ours.

    rank, alpha: size and scale of the low-rank update. target: the layers that get one, as peft's target_modules.
    learning_rate: peak, falling in a straight line. epochs: passes over the examples, but not more than max_steps
    steps. batch_size: examples a step, of similar length, in all processes together. save_steps: steps between
    checkpoints, 0 for none. validation: share of the examples that is held out, by tasks; the loss on it is measured up
    to ten times, each time with a checkpoint, and the weights with the least are kept. patience: measurements without a
    new least before training stops, 0 for never. Raises ValueError for values that cannot be.
    """

    rank: int = 32
    alpha: int = 64
    learning_rate: float = 2e-3
    epochs: int = 3
    max_steps: int = 120
    batch_size: int = 24
    warmup_steps: int = 5
    seed: int = 0
    target: str | tuple[str, ...] = "all-linear"
    save_steps: int = 50
    validation: float = 0.0
    patience: int = 0

    def __post_init__(self):
        for name in ("rank", "epochs", "max_steps", "batch_size"):
            check_whole(name, getattr(self, name), least=1)
        if not (self.learning_rate > 0 and self.alpha > 0):
            raise ValueError(f"learning_rate={self.learning_rate!r}, alpha={self.alpha!r}: give both more than 0")
        for name in ("warmup_steps", "save_steps", "patience"):
            check_whole(name, getattr(self, name), least=0)
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation is {self.validation!r}: give a share of the examples, at least 0 and below 1")
        if self.patience and not self.validation:
            raise ValueError(f"patience is {self.patience!r} but nothing is held out: set validation, to 0.1 perhaps")


@dataclass(frozen=True)
class Adapter:
    """A tuned LoRA adapter in peft's layout. losses: one a step. parameters: how many were trained.

    seconds: of training, since it was last started. validation_losses: pairs (step, loss on what was held out). key: a
    hash of what it was made of: base, examples, settings.
    """

    path: str
    base: str
    examples: int
    steps: int
    parameters: int
    losses: tuple[float, ...]
    seconds: float
    validation_losses: tuple[tuple[int, float], ...] = ()
    key: str = ""


def finetune(base, examples, out, settings=None, *, chat=False, apart=False, report=None):
    """Tune the base model on the Examples with LoRA and save the adapter in the folder `out`; returns the Adapter.

    A finished adapter found at `out` is returned, if it was made of the same model, examples and settings; an unfinished
    one resumes. chat: whether prompts go through the model's chat template, as the sampler's do. apart: in a process of
    its own, so that all memory comes back when it ends, at the price of loading the libraries again. report: called
    with (step, steps, loss) in place of a progress bar. Raises ValueError when there is nothing to train on, or `out`
    holds something else or an adapter made otherwise, RuntimeError when that process fails or the device's memory does
    not hold one example.
    """
    settings, out = settings or LoraSettings(), Path(out)
    if (out / "adapter.json").exists():
        return _same(_read(out), key(base, examples, settings, chat))
    if out.exists():  # what is saved takes its place whole
        raise ValueError(f"{out} exists already and holds no adapter: give the adapter a folder of its own")
    if not examples:
        raise ValueError(
            "there are no examples to train on: no sample passed its tests; sample more per task, raise the hard-task "
            "threshold, or start from easier tasks"
        )
    if apart:
        from nextkit.finetuning.job import finetune_apart

        finetune_apart(base, examples, out, settings, chat, report)
        return _read(out)
    started, path = time.monotonic(), resolve_model(base)
    from nextkit.finetuning.training import is_main, train

    plan = _plan(str(base), path, examples, out.absolute(), settings, chat, report)
    model, log = train(plan)
    losses = tuple(round(entry["loss"], 4) for entry in log if "loss" in entry)
    held_out = tuple((entry["step"], round(entry["eval_loss"], 4)) for entry in log if "eval_loss" in entry)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    seconds = round(time.monotonic() - started, 1)
    adapter = Adapter(str(out), str(base), len(examples), len(losses), parameters, losses, seconds, held_out, plan.key)
    if is_main():
        _save(model, out, adapter)
        shutil.rmtree(plan.folder, ignore_errors=True)
    return adapter


def encode_example(tokenizer, example, chat=False, stops=()):
    """Token ids of prompt, completion and end mark, with labels -100 on the prompt: only the completion is learnt.

    chat, stops: as in `end_mark`.
    """
    prompt = encode_prompt(tokenizer, Prompt(example.task_id, example.prompt), chat)
    completion = tokenizer(example.completion, add_special_tokens=False)["input_ids"]
    completion.append(end_mark(tokenizer, chat, stops))
    return dict(input_ids=prompt + completion, labels=[-100] * len(prompt) + completion)


def end_mark(tokenizer, chat=False, stops=()):
    """The id of the token that ends an answer, at which sampling must stop.

    chat: whether it is the one by which the chat template ends a turn, if sampling stops there. stops: ids at which it
    does, beside the tokenizer's own; base models often have a template whose end of turn they do not stop at.
    Raises ValueError where nothing ends an answer.
    """
    if chat:
        turns = [dict(role="user", content="Hello?"), dict(role="assistant", content="Hello!")]
        after = tokenizer.apply_chat_template(turns, tokenize=False).rpartition("Hello!")[2].lstrip()
        ids = tokenizer(after, add_special_tokens=False)["input_ids"][:1]
        if set(ids) & set(stops):
            return ids[0]
    ends = [*([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]), *sorted(stops)]
    if not ends:
        raise ValueError(
            f"the tokenizer {tokenizer.name_or_path!r} names no token that ends a text, and its model's generation_config.json "
            "none either, so an answer could not be taught to end: set eos_token_id in one of them"
        )
    return ends[0]


def loss_mask(tokenizer, example, chat=False):
    """Pairs (token as text, whether the loss counts it), for looking at what is trained. chat: as in `finetune`."""
    feature = encode_example(tokenizer, example, chat)
    pairs = zip(feature["input_ids"], feature["labels"], strict=True)
    return [(tokenizer.decode([token]), label != -100) for token, label in pairs]


def merge(adapter, out):
    """Write base and adapter (an Adapter, or its folder) as one model in the folder `out`, with tokenizer; returns `out`.

    Weights have the base's type, as it is stored. Raises ValueError when the base cannot be found or `out` exists.
    """
    from transformers import AutoConfig

    out = Path(out)
    if out.exists():
        raise ValueError(f"{out} exists already: give the merged model a folder of its own")
    adapter = adapter if isinstance(adapter, Adapter) else _read(Path(adapter))
    base = resolve_model(adapter.base)
    model = load_model(base, adapter.path)
    model.to(AutoConfig.from_pretrained(base).dtype or model.dtype)
    with whole(out) as partial:
        model.save_pretrained(partial)
        load_tokenizer(base).save_pretrained(partial)
    return str(out)


def _plan(name, path, examples, out, settings, chat, report):
    """What training needs to know."""
    from nextkit.finetuning.training import Plan, processes

    device = pick_device() if processes() == 1 else "cpu"  # of several, each is told its own later
    path = os.path.abspath(path) if os.path.isdir(path) else path  # it is stored with the adapter
    tokenizer, stops = load_tokenizer(path), _stops(path)
    tokenizer.padding_side = "right"  # where it stands behind all that is learnt, and needs no mask
    train, held_out = (
        [encode_example(tokenizer, example, chat, stops) for example in some] for some in _split(examples, settings)
    )
    return Plan(
        name=name,
        model=lambda: _with_lora(load_model(path, device=device, dtype=_resting_dtype()), settings),
        tokenizer=tokenizer,
        features=train,
        validation=held_out,
        settings=settings,
        folder=out.with_name(out.name + ".checkpoints"),
        key=key(name, examples, settings, chat),
        losses=out.with_name(out.name + ".losses.jsonl"),
        report=report,
    )


def key(base, examples, settings, chat):
    """A hash of all that an adapter is made of."""
    weights = fingerprint(base).rpartition(" ")[2]  # of a folder the hash alone, by whatever path it is named
    everything = [weights, chat, asdict(settings), [asdict(example) for example in examples]]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()


def _same(adapter, wanted):
    """The Adapter, if it was made of what is wanted; one that does not say is taken. Raises ValueError where it was not."""
    if adapter.key and adapter.key != wanted:
        raise ValueError(
            f"{adapter.path} holds an adapter of {adapter.base!r} that was tuned with other examples or settings: give "
            "this one a folder of its own, or delete that one"
        )
    return adapter


def _resting_dtype():
    """The type of the base's weights, which are not trained: bfloat16 where the hardware computes in it.

    What is trained stays in float32 (peft sees to it). float16, of older GPUs, has too small a range for gradients.
    """
    import torch

    best = best_dtype(pick_device())
    return best if best is torch.bfloat16 else torch.float32


def _stops(path):
    """Ids at which sampling from this model stops, beside the tokenizer's own."""
    from transformers import AutoConfig, GenerationConfig

    try:
        ends = GenerationConfig.from_pretrained(source(path)).eos_token_id
    except OSError:  # not every model has one
        ends = AutoConfig.from_pretrained(source(path)).eos_token_id
    return ends if isinstance(ends, list) else [ends]


def _split(examples, settings):
    """(examples to train on, examples held out), no task among both. Raises ValueError where one task is all there is."""
    tasks = sorted({example.task_id for example in examples})
    random.Random(settings.seed).shuffle(tasks)
    held, wanted = set(), settings.validation * len(examples)
    sizes = Counter(example.task_id for example in examples)
    while tasks and sum(sizes[task] for task in held) < wanted:
        held.add(tasks.pop())
    if not tasks:
        raise ValueError(
            f"validation is {settings.validation}, which leaves none of {len(held)} tasks to train on: give a smaller "
            "share, or 0"
        )
    return [e for e in examples if e.task_id not in held], [e for e in examples if e.task_id in held]


def _with_lora(model, settings):
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    set_seed(settings.seed)
    target = settings.target if isinstance(settings.target, str) else list(settings.target)
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules=target, task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def _read(out):
    return replace(from_dict(Adapter, json.loads((out / "adapter.json").read_text())), path=str(out))


def _save(model, out, adapter):
    with whole(out) as partial:
        model.save_pretrained(partial)
        (partial / "adapter.json").write_text(json.dumps(asdict(adapter)))
