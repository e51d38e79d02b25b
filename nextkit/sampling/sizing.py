"""Sizing: how much memory and time a model will need, computed from its shape before a weight is loaded.

    sizes(["Qwen2.5-Coder-1.5B", "data/offline-base"])          # a DataFrame, a row a model
    hours("Qwen2.5-Coder-1.5B", Job(tasks=10_000), Card())       # of sampling and tuning, a round

Parameters, weights and caches are exact. What tuning keeps of each token is counted roughly, and times assume that a
stated share of the card's limit is reached; both are estimates, and named so.
"""

from dataclasses import dataclass

from nextkit.sampling.loading import load_config, outline, resolve_model

BYTES = 2  # of a number in bf16
LORA_BYTES = 16  # of a trained number: itself, its gradient, and Adam's two moments, in fp32
OUTPUTS = ("lm_head", "embed_out")  # names of the output layer
LOGIT_BYTES = 8  # of a logit while tuning: itself in fp32, and its gradient

# The public shapes of a family that comes in many sizes: (width, layers, heads, kv heads, inner width, vocabulary, tied).
SHAPES = {
    "Qwen2.5-Coder-0.5B": (896, 24, 14, 2, 4864, 151_936, True),
    "Qwen2.5-Coder-1.5B": (1536, 28, 12, 2, 8960, 151_936, True),
    "Qwen2.5-Coder-3B": (2048, 36, 16, 2, 11_008, 151_936, True),
    "Qwen2.5-Coder-7B": (3584, 28, 28, 4, 18_944, 152_064, False),
    "Qwen2.5-Coder-14B": (5120, 48, 40, 8, 13_824, 152_064, False),
    "Qwen2.5-Coder-32B": (5120, 64, 40, 8, 27_648, 152_064, False),
}


@dataclass(frozen=True)
class Card:
    """A GPU, by default an H100. tflops: dense bf16. bandwidth: TB a second of its memory.

    tuned, sampled: shares of both that are reached; by default about those measured with 1.5 billion parameters.
    """

    tflops: float = 989.0
    bandwidth: float = 3.35
    tuned: float = 0.15
    sampled: float = 0.2


@dataclass(frozen=True)
class Job:
    """A round of self-training. prompt, answer: tokens. rows: sequences sampled together. kept: examples a task."""

    tasks: int = 1000
    samples: int = 32
    prompt: int = 700
    answer: int = 250
    rows: int = 256
    kept: int = 4
    epochs: int = 3


def shape(model):
    """The transformers config of a model: one of SHAPES by its name, or a folder or hub name."""
    from transformers import Qwen2Config

    if model not in SHAPES:
        return load_config(resolve_model(model)).get_text_config()
    width, layers, heads, kv, inner, vocabulary, tied = SHAPES[model]
    return Qwen2Config(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv,
        intermediate_size=inner, vocab_size=vocabulary, tie_word_embeddings=tied, max_position_embeddings=32_768,
    )  # fmt: skip


def sizes(models, *, rank=32, rows=256, tokens=1000, batch_tokens=8192):
    """A DataFrame, a row a model; memory in GB, of bf16.

    parameters (millions) and lora (the same, of that rank); weights; cache (of `rows` sequences of `tokens` each, at
    most: LocalSampler keeps a prompt once for all of its samples); sampling (weights and cache); tuning (an estimate:
    weights, adapter with its optimizer, and what is kept of `batch_tokens` tokens without checkpointing).
    """
    import pandas as pd

    return pd.DataFrame([_size(model, rank, rows, tokens, batch_tokens) for model in models]).set_index("model")


def hours(model, job=None, card=None):
    """dict(sampling, tuning): hours of a round, each limited by what limits it, memory bandwidth or arithmetic."""
    job, card, config = job or Job(), card or Card(), shape(model)
    count = parameters(config)
    middle = job.prompt + job.answer / 2  # tokens of a sequence, halfway through its answer
    step = count * BYTES + job.rows * middle * cache_bytes(config)  # read for a token of each row
    steps = job.tasks * job.samples * job.answer / job.rows
    trained = job.tasks * job.kept * job.epochs * (job.prompt + job.answer)
    sampling = steps * step / (card.bandwidth * 1e12 * card.sampled)
    tuning = 4 * count * trained / (card.tflops * 1e12 * card.tuned)  # forward, and backward to the activations alone
    return dict(sampling=sampling / 3600, tuning=tuning / 3600)


def parameters(config):
    """How many numbers a model of this shape has; nothing is allocated."""
    return sum(p.numel() for p in outline(config).parameters())


def cache_bytes(config):
    """Bytes that a token of a sequence takes in the KV cache."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return 2 * BYTES * config.num_hidden_layers * heads * _head(config)


def lora_parameters(config, rank):
    """How many numbers a LoRA adapter of all linear layers trains; the output layer has none."""
    import torch
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    layers = outline(config).named_modules()
    linear = [m for name, m in layers if isinstance(m, torch.nn.Linear | Conv1D) and not name.endswith(OUTPUTS)]
    return sum(rank * sum(m.weight.shape) for m in linear)


def _size(model, rank, rows, tokens, batch_tokens):
    config = shape(model)
    count, lora = parameters(config), lora_parameters(config, rank)
    weights, cache = count * BYTES, rows * tokens * cache_bytes(config)
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    kept = 14 * config.hidden_size + 6 * inner  # of a token and layer: inputs of what has a gradient
    per_token = config.num_hidden_layers * kept * BYTES + config.vocab_size * LOGIT_BYTES
    tuning = weights + lora * LORA_BYTES + batch_tokens * per_token
    millions = dict(parameters=count / 1e6, lora=lora / 1e6)
    memory = dict(weights=weights, cache=cache, sampling=weights + cache, tuning=tuning)
    return dict(model=model) | millions | {name: size / 1e9 for name, size in memory.items()}


def _head(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
