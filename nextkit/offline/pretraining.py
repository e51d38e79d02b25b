"""Pretraining: the recipe that made the models in data/, from an empty network to a weak repairer, on two cores.

A small Llama-shaped network reads the corpus once or twice, in batches of equal length. Matrices are trained with
Muon, everything else with AdamW; the learning rate warms up, holds and falls to nothing; tokens of the prompt weigh
half, because what matters is the answer. Everything is drawn from one seed. A checkpoint is written every few hundred
steps, and a run that was interrupted goes on from it.

    pretrain("runs/offline/base", PretrainSettings(SHAPES["base"]))
"""

import json
import os
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from nextkit.offline.corpus import draw_corpus
from nextkit.offline.tokenizer import train_tokenizer

LONGEST = 420  # tokens; longer documents are left out


@dataclass(frozen=True)
class Shape:
    """The size of a network: width, layers, attention heads, and the width of the layers' inner part."""

    hidden: int
    layers: int
    heads: int
    inner: int


SHAPES = {"base": Shape(192, 6, 3, 512), "proxy": Shape(128, 5, 2, 352)}


@dataclass(frozen=True)
class PretrainSettings:
    """What a pretraining run is made of; the same settings give the same model on the same machine.

    documents: size of the corpus. tokens: how many tokens are trained on. batch_tokens: padded tokens a batch.
    prompt_weight: weight of the loss on what stands before the answer.
    """

    shape: Shape
    documents: int = 50_000
    tokens: int = 8_000_000
    batch_tokens: int = 4096
    learning_rate: float = 3e-3
    prompt_weight: float = 0.5
    warmup: int = 60
    seed: int = 0


def pretrain(out, settings, *, corpus=None, tokenizer=None, every=300):
    """Pretrain a model from scratch and save it, with its tokenizer, in Hugging Face layout under `out`.

    corpus: documents to use instead of drawing settings.documents. every: steps between checkpoints. Returns `out`.
    """
    import torch
    from tqdm.auto import tqdm

    torch.manual_seed(settings.seed)
    out = Path(out)
    corpus = corpus or draw_corpus(settings.documents, settings.seed)
    tokenizer = tokenizer or train_tokenizer(corpus[:8000])
    sequences = _encode(corpus, tokenizer)
    plan = _plan(sequences, settings)
    model = build_model(settings.shape, len(tokenizer))
    optimizers = _optimizers(model, settings)
    first, log = _resume(out, model, optimizers)
    started, losses = time.monotonic(), []
    for step in tqdm(range(first, len(plan)), initial=first, total=len(plan), desc="pretraining", unit="step"):
        _set_rate(optimizers, settings, step, len(plan))
        losses.append(_train_step(model, optimizers, [sequences[i] for i in plan[step]], settings))
        if (step + 1) % every == 0 or step + 1 == len(plan):
            log.append(
                dict(
                    step=step + 1,
                    answer_loss=round(sum(losses) / len(losses), 4),
                    seconds=round(time.monotonic() - started),
                )
            )
            losses = []
            _checkpoint(out, model, optimizers, step + 1, log)
    return _finish(out, model, tokenizer, settings, log)


def build_model(shape, vocabulary):
    """A Llama-shaped causal language model of the given Shape with random weights, tied embeddings, 640 positions."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            intermediate_size=shape.inner,
            max_position_embeddings=640,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=1,
            pad_token_id=0,
        )
    )


def _encode(corpus, tokenizer):
    """Pairs (token ids, length of the prompt); documents without an answer count as all answer."""
    sequences = []
    why = tokenizer.encode("\n# Why:")[-1]
    for ids in tokenizer(corpus)["input_ids"]:
        if len(ids) < LONGEST:
            sequences.append(([*ids, tokenizer.eos_token_id], ids.index(why) + 1 if why in ids else 0))
    return sequences


def _plan(sequences, settings):
    """Batches of sequence numbers, of similar length within a batch, until `settings.tokens` are spent."""
    rng, plan, spent = random.Random(settings.seed), [], 0
    while spent < settings.tokens:
        order = list(range(len(sequences)))
        rng.shuffle(order)
        batches = []
        for start in range(0, len(order), 2000):
            batches += _by_length(order[start : start + 2000], sequences, settings.batch_tokens)
        rng.shuffle(batches)
        for batch in batches:
            if spent >= settings.tokens:
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


def _optimizers(model, settings):
    import torch

    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    rate = settings.learning_rate
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _set_rate(optimizers, settings, step, steps):
    """Warm up, hold for 30 % of the run, then fall in a straight line."""
    left = 1 - step / steps
    rate = settings.learning_rate * min(1, (step + 1) / settings.warmup) * max(0.03, min(1, left / 0.7))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def _train_step(model, optimizers, batch, settings):
    """One step on one batch; the mean loss on the answers."""
    import torch
    import torch.nn.functional as F

    ids, prompt_lengths = _padded(batch)  # (batch, tokens), (batch,)
    targets = ids[:, 1:]
    real = targets != 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        logits = F.linear(hidden[real], model.lm_head.weight)  # (real tokens, vocabulary)
    loss = F.cross_entropy(logits.float(), targets[real], reduction="none")
    place = torch.arange(1, ids.shape[1]).expand_as(targets)[real]
    answer = place >= prompt_lengths[:, None].expand_as(targets)[real]
    weight = torch.where(answer, 1.0, settings.prompt_weight)
    ((loss * weight).sum() / weight.sum()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss[answer].mean().item()


def _padded(batch):
    import torch

    ids = torch.zeros(len(batch), max(len(ids) for ids, _ in batch), dtype=torch.long)
    for row, (sequence, _) in enumerate(batch):
        ids[row, : len(sequence)] = torch.tensor(sequence)
    return ids, torch.tensor([length for _, length in batch])


def _checkpoint(out, model, optimizers, step, log):
    import torch

    out.mkdir(parents=True, exist_ok=True)
    state = dict(model=model.state_dict(), optimizers=[o.state_dict() for o in optimizers], step=step, log=log)
    torch.save(state, out / "checkpoint.partial")
    os.replace(out / "checkpoint.partial", out / "checkpoint.pt")


def _resume(out, model, optimizers):
    """The step to go on from and the log so far; 0 and nothing for a new run."""
    import torch

    path = out / "checkpoint.pt"
    if not path.exists():
        return 0, []
    state = torch.load(path)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["step"], state["log"]


def _finish(out, model, tokenizer, settings, log):
    import torch

    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "pretraining.json").write_text(json.dumps(dict(settings=asdict(settings), log=log), indent=1))
    return out
