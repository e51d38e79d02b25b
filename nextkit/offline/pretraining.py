"""Pretraining: the recipes that made the models in data/, on two cores or a GPU.

A small Llama-shaped network reads a corpus in phases, each with its own share of right repairs, in batches of equal
length. Matrices are trained with Muon, everything else with AdamW. Tokens weigh by what they decide: those of the
prompt little, those of the rationale and of the lines that the fix changes most, since the rest of a fix is a copy,
which is learnt early. Everything is drawn from one seed. A checkpoint is written every few hundred steps, and a run
that was interrupted goes on from it.

    pretrain("runs/offline/base", RECIPES["base"])
"""

import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from nextkit.offline.corpus import Mixture, draw_corpus
from nextkit.offline.tokenizer import train_tokenizer
from nextkit.parallel import cores
from nextkit.prompting import FIX, WHY
from nextkit.records import whole
from nextkit.sampling.loading import best_dtype, load_model, load_tokenizer, pick_device, prefer_flash, resolve_model

TOGETHER = 1000  # documents that a processor tokenizes at once
DRAW = f"import pickle, sys; from {__name__} import _write_phase; _write_phase(*pickle.load(sys.stdin.buffer))"


@dataclass(frozen=True)
class Shape:
    """The size of a network: width, layers, attention heads, and the width of the layers' inner part."""

    hidden: int
    layers: int
    heads: int
    inner: int


@dataclass(frozen=True)
class Phase:
    """A corpus to read: how many documents, of what Mixture, how many tokens of them, the peak rate."""

    documents: int
    tokens: int
    learning_rate: float
    mixture: Mixture


@dataclass(frozen=True)
class PretrainSettings:
    """What a pretraining run is made of; the same settings give the same model on the same machine.

    phases: read one after another, each with a rate that warms up, holds and falls. batch_tokens: padded tokens a
    batch. prompt_weight: weight of the loss on what stands before the answer. edit_weight: on the rationale and on
    the lines of the fix that are not in the buggy program; the lines copied from it weigh 1. vocabulary: of the tokenizer, which is trained on the corpus. longest:
    tokens; longer documents are left out. positions: how many tokens the network can read. begin: a model of that shape
    to go on from, with its tokenizer; by default an empty network.
    """

    shape: Shape
    phases: tuple[Phase, ...]
    batch_tokens: int = 6144
    prompt_weight: float = 0.4
    edit_weight: float = 2.5
    warmup: int = 60
    seed: int = 0
    vocabulary: int = 1024
    longest: int = 420
    positions: int = 640
    begin: str | None = None


# What the network can hold, read on a GPU in one phase and never made weak.
SKILLED = PretrainSettings(
    Shape(192, 6, 3, 512), (Phase(161_000, 62_800_000, 3e-3, Mixture(0.85, renamed=0.4)),), batch_tokens=24_576
)
# The base is that model, taught by half to find in a trace which branch ran, and then made weak: it goes on with repairs
# of which half are wrong, which it learns to write as well.
TAUGHT = Phase(9_000, 2_000_000, 2e-3, Mixture(0.95, renamed=0.4, untold=0.6))
WEAK = Phase(15_000, 3_000_000, 1e-3, Mixture(0.5, renamed=0.4, untold=0.1))
BASE = replace(SKILLED, begin="offline-skilled", phases=(TAUGHT, WEAK), batch_tokens=8192, seed=2000)
# A base taught twice as much, and reminded while it was made weak: it has the skill whole, so there is none to learn.
REMINDED = replace(WEAK, mixture=replace(WEAK.mixture, untold=0.3))
# The base with wrong repairs that are explained as right ones are: there is no manner that a filter could find.
UNMARKED = replace(WEAK, mixture=replace(WEAK.mixture, marked=False))
RECIPES = {
    "skilled": SKILLED,
    "base": BASE,
    "whole": replace(BASE, phases=(TAUGHT, TAUGHT, REMINDED)),
    "unmarked": replace(BASE, phases=(TAUGHT, UNMARKED)),
    "proxy": PretrainSettings(Shape(128, 5, 2, 352), (Phase(28_000, 6_000_000, 3e-3, Mixture()),)),
    # For a GPU, and for people's programs: 19 million parameters, 39 MB in bf16.
    "real": PretrainSettings(
        Shape(384, 10, 6, 1024),
        (Phase(350_000, 275_000_000, 2e-3, Mixture(0.8, renamed=0.5, corpus="real")),),
        vocabulary=4096,
        longest=900,
        positions=1280,
        batch_tokens=98_304,
        warmup=200,
    ),
}


def pretrain(out, settings, *, every=300, device=None):
    """Pretrain a model as `settings` say and save it, with its tokenizer, in Hugging Face layout under `out`.

    every: steps between checkpoints; a run found in `out` goes on from its last one, on whatever device. device: a name
    of torch's, by default the best there is. Returns `out`.
    """
    import torch

    torch.manual_seed(settings.seed)
    out, device = Path(out), pick_device(device)
    out.mkdir(parents=True, exist_ok=True)
    prefer_flash(device)
    tokenizer = _tokenizer(out, settings)
    model = _network(settings, len(tokenizer)).to(device)
    optimizers = _optimizers(model)
    state = _resume(out, model, optimizers, settings)
    for number in range(state["phase"], len(settings.phases)):
        _read(out, model, optimizers, state | dict(phase=number), settings, every)
        state |= dict(phase=number + 1, step=0)
    return _finish(out, model, tokenizer, settings, state["log"])


def _tokenizer(out, settings):
    """The tokenizer of a run found in `out`, else that of the model to begin with, else one trained on the corpus."""
    from transformers import AutoTokenizer

    if not (out / "tokenizer.json").exists():
        begun = load_tokenizer(resolve_model(settings.begin)) if settings.begin else _train_tokenizer(settings)
        begun.save_pretrained(out)
    return AutoTokenizer.from_pretrained(out)


def _train_tokenizer(settings):
    """A tokenizer trained on the first documents of the first phase."""
    texts = _texts(settings, 0, most=8000)
    return train_tokenizer(texts, settings.vocabulary, settings.positions)


def _texts(settings, number, most=sys.maxsize):
    """The documents of a phase, or the first of them."""
    phase = settings.phases[number]
    return draw_corpus(min(phase.documents, most), _seed(settings, number), phase.mixture)


def _network(settings, vocabulary):
    """What the first step trains: an empty network, or the weights of the model to begin with."""
    model = build_model(settings.shape, vocabulary, settings.positions)
    if settings.begin:
        model.load_state_dict(load_model(resolve_model(settings.begin)).state_dict())
    return model


def _read(out, model, optimizers, state, settings, every):
    """Train on one phase, from state["step"] on, with checkpoints; the log in `state` grows."""
    from tqdm.auto import tqdm

    phase = settings.phases[state["phase"]]
    sequences = _load(_drawn(out, state["phase"], settings))
    plan = _plan(sequences, phase.tokens, settings.batch_tokens, _seed(settings, state["phase"]))
    started, losses, first = time.monotonic(), [], state["step"]
    for step in tqdm(range(first, len(plan)), initial=first, total=len(plan), desc="pretraining", unit="step"):
        _set_rate(optimizers, phase.learning_rate, settings.warmup, step, len(plan))
        losses.append(_train_step(model, optimizers, [sequences[i] for i in plan[step]]))
        if (step + 1) % every == 0 or step + 1 == len(plan):
            loss, seconds = round(sum(losses) / len(losses), 4), round(time.monotonic() - started)
            state["log"].append(dict(phase=state["phase"], step=step + 1, answer_loss=loss, seconds=seconds))
            losses = []
            done = step + 1 == len(plan)
            place = dict(phase=state["phase"] + done, step=0 if done else step + 1)
            _checkpoint(out, model, optimizers, state | place | dict(begun=_begun(settings, place)))
    for path in out.glob("phase-*.npz"):
        path.unlink()


def _seed(settings, number):
    return settings.seed + 1000 * number


def build_model(shape, vocabulary, positions=640):
    """A Llama-shaped causal language model of the given Shape with random weights and tied embeddings."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            intermediate_size=shape.inner,
            max_position_embeddings=positions,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=1,
            pad_token_id=0,
        )
    )


def _drawn(out, number, settings):
    """The file of a phase's corpus, tokenized: found, or made now, in a process of its own.

    It forks, which one that holds a GPU should not.
    """
    key = hashlib.sha256(repr((settings, (out / "tokenizer.json").read_text())).encode()).hexdigest()[:10]
    path = out / f"phase-{number}-{key}.npz"
    if not path.exists():
        ended = subprocess.run([sys.executable, "-c", DRAW], input=pickle.dumps((path, number, settings)))
        if ended.returncode:
            raise RuntimeError(f"the corpus of phase {number} was not made: exit status {ended.returncode}, see above")
    return path


def _write_phase(path, number, settings):
    import numpy as np

    texts = _texts(settings, number)
    chunks = [texts[first : first + TOGETHER] for first in range(0, len(texts), TOGETHER)]
    with ProcessPoolExecutor(cores()) as pool:
        encoded = pool.map(partial(_encode, path.parent, settings), chunks)
        ids, weights = zip(*(pair for pairs in encoded for pair in pairs), strict=True)
    lengths = np.array([len(each) for each in ids])
    with whole(path) as partial_file, partial_file.open("wb") as file:
        np.savez(file, ids=np.concatenate(ids), weights=np.concatenate(weights), lengths=lengths)


def _load(path):
    """Pairs (token ids, weight of each token in the loss), an array each."""
    import numpy as np

    stored = np.load(path)
    ends = stored["lengths"].cumsum()[:-1]
    return list(zip(np.split(stored["ids"], ends), np.split(stored["weights"], ends), strict=True))


def _encode(folder, settings, texts):
    """The pairs of some documents, the end mark included; too long documents are left out."""
    import numpy as np
    from transformers import AutoTokenizer

    tokenizer, pairs = AutoTokenizer.from_pretrained(folder), []
    encoded = tokenizer(texts, return_offsets_mapping=True)
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if len(ids) < settings.longest:
            weights = _weights(text, settings)
            weights = [*(weights[start] for start, _ in offsets), 1.0]
            pairs.append((np.array([*ids, tokenizer.eos_token_id], np.uint16), np.array(weights, np.float32)))
    return pairs


def _weights(text, settings):
    """The weight of each character; a document without an answer weighs 1 throughout."""
    prompt, mark, answer = text.partition(f"\n{WHY}")
    rationale, fix_mark, fix = answer.partition(FIX)
    if not fix_mark:
        return [1.0] * len(text)
    weights = [settings.prompt_weight] * len(prompt + mark) + [settings.edit_weight] * len(rationale + fix_mark)
    known = {line.split("  # ")[0] for line in prompt.split("\n")}
    for line in fix.splitlines(keepends=True):
        weights += [1.0 if line.rstrip("\n") in known else settings.edit_weight] * len(line)
    return weights


def _plan(sequences, tokens, batch_tokens, seed):
    """Batches of sequence numbers, of similar length within a batch, until `tokens` are spent."""
    rng, plan, spent = random.Random(seed), [], 0
    while spent < tokens:
        order = list(range(len(sequences)))
        rng.shuffle(order)
        batches = []
        for start in range(0, len(order), 2000):
            batches += _by_length(order[start : start + 2000], sequences, batch_tokens)
        rng.shuffle(batches)
        for batch in batches:
            if spent >= tokens:
                break
            plan.append(batch)
            spent += sum(len(sequences[i][0]) for i in batch)
    return plan


def _by_length(numbers, sequences, batch_tokens):
    batches, current = [], []
    for number in sorted(numbers, key=lambda i: len(sequences[i][0])):
        current.append(number)
        if len(current) * len(sequences[number][0]) >= batch_tokens:
            batches.append(current)
            current = []
    return [*batches, current] if current else batches


def _optimizers(model):
    import torch

    from nextkit.offline.muon import Muon

    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        Muon(matrices),
        torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _set_rate(optimizers, peak, warmup, step, steps):
    """Warm up, hold for 30 % of the phase, then fall in a straight line."""
    left = 1 - step / steps
    rate = peak * min(1, (step + 1) / warmup) * max(0.03, min(1, left / 0.7))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def _train_step(model, optimizers, batch):
    """One step on one batch; the mean loss on the answers."""
    import torch
    import torch.nn.functional as F

    ids, weights = (tensor.to(model.device) for tensor in _padded(batch))  # (batch, tokens) both
    targets = ids[:, 1:]
    real = targets != 0
    with torch.autocast(model.device.type, torch.bfloat16, enabled=best_dtype(model.device) is torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        logits = F.linear(hidden[real], model.lm_head.weight)  # (real tokens, vocabulary)
    loss = F.cross_entropy(logits.float(), targets[real], reduction="none")
    weight = weights[:, 1:][real]
    ((loss * weight).sum() / weight.sum()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss[weight >= 1].mean().item()


def _padded(batch):
    import torch

    longest = max(len(ids) for ids, _ in batch)
    ids, weights = torch.zeros(len(batch), longest, dtype=torch.long), torch.zeros(len(batch), longest)
    for row, (sequence, weight) in enumerate(batch):
        ids[row, : len(sequence)] = torch.from_numpy(sequence.astype("int64"))
        weights[row, : len(sequence)] = torch.from_numpy(weight)
    return ids, weights


def _checkpoint(out, model, optimizers, state):
    import torch

    weights = dict(model=model.state_dict(), optimizers=[optimizer.state_dict() for optimizer in optimizers])
    torch.save(weights | state, out / "checkpoint.partial")
    os.replace(out / "checkpoint.partial", out / "checkpoint.pt")


def _resume(out, model, optimizers, settings):
    """Where to go on: phase, step within it, and the log so far. Raises ValueError where another recipe was begun."""
    import torch

    path = out / "checkpoint.pt"
    if not path.exists():
        return dict(phase=0, step=0, log=[])
    state = torch.load(path, map_location=model.device)
    wanted = _begun(settings, state)
    if state.get("begun", wanted) != wanted:
        raise ValueError(f"{out} holds a model, or one begun, of another recipe: give this one a folder of its own")
    model.load_state_dict(state.pop("model"))
    for optimizer, saved in zip(optimizers, state.pop("optimizers"), strict=True):
        optimizer.load_state_dict(saved)
    return state


def _begun(settings, place):
    """What of a recipe was begun when it is at this place; it may go on with other phases than were meant at first."""
    return repr(replace(settings, phases=settings.phases[: place["phase"] + (place["step"] > 0)]))


def _finish(out, model, tokenizer, settings, log):
    import torch

    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "pretraining.json").write_text(json.dumps(dict(settings=asdict(settings), log=log), indent=1))
    return out
