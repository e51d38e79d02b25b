"""Pretraining: making the models in data/, on two cores or a GPU.

A small Llama-shaped network reads a corpus in phases (`recipes`), each with its own share of right repairs, in batches
of equal length (`reading`). Matrices are trained with Muon, everything else with AdamW. Everything is drawn from one
seed. A checkpoint is written every few hundred steps, and a run that was interrupted goes on from it.

    pretrain("runs/offline/base", RECIPES["base"])
"""

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

from nextkit.offline.reading import load_phase, padded, phase_file, plan_batches, seed_of, texts_of
from nextkit.offline.tokenizer import train_tokenizer
from nextkit.sampling.loading import best_dtype, load_model, load_tokenizer, pick_device, prefer_flash, resolve_model


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
    texts = texts_of(settings, 0, most=8000)
    return train_tokenizer(texts, settings.vocabulary, settings.positions)


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
    sequences = load_phase(phase_file(out, state["phase"], settings))
    plan = plan_batches(sequences, phase.tokens, settings.batch_tokens, seed_of(settings, state["phase"]))
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

    ids, weights = (tensor.to(model.device) for tensor in padded(batch))  # (batch, tokens) both
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
