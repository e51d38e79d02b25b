"""Tuning and sampling on a GPU, as shares of what the card itself reaches.

    PYTHONPATH=. python benchmarks/gpu.py                       # writes its section of README.md
    python benchmarks/gpu.py --shapes tiny --steps 6 --dry      # tries the benchmark itself, on any machine

Weights are random: they do not matter for speed. The ceilings are measured in the same run: bf16 matrix products for
tuning, which needs 4 operations a parameter and token (forward, and backward to the activations alone); copying memory
for sampling, where the limit is that of reading the weights once, and every sequence's whole cache, for a token of each
(LocalSampler reads a prompt's cache once for all of its samples, so it may go beyond it). Texts are as long as real
ones: prompts of 500 to 900 tokens, answers of 150 to 350. "Step by step" is LocalSampler without its recording. What is
measured is printed at once.
"""

import argparse
import random
import statistics
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import torch
from sections import write_section

from nextkit.finetuning import LoraSettings, _with_lora
from nextkit.finetuning.training import Plan, train
from nextkit.offline.tokenizer import train_tokenizer
from nextkit.sampling import decode, recording
from nextkit.sampling.loading import best_dtype, pick_device, prefer_flash
from nextkit.sampling.sizing import cache_bytes, parameters, shape

SHAPES = ("Qwen2.5-Coder-0.5B", "Qwen2.5-Coder-1.5B")
SAMPLES, PROMPT, ANSWER = 32, (500, 900), (150, 350)


def main():
    """Measure each shape and print, or write, the table."""
    options = _options()
    device, dtype = pick_device(), best_dtype(pick_device())
    ceilings = flops_ceiling(device, dtype), bandwidth_ceiling(device)
    prefer_flash(device)
    rows = []
    for name in options.shapes.split(","):
        rows.append(measure(name, options, device, dtype, ceilings))
    title = f"Tuning and sampling, {torch.cuda.get_device_name() if device == 'cuda' else device}"
    text = f"torch {torch.__version__}, {dtype}; measured ceilings: {ceilings[0] / 1e12:.4g} TFLOP/s, "
    text += f"{ceilings[1] / 1e12:.3g} TB/s\n\n{table(rows)}"
    print(f"## {title}\n\n{text}")
    if options.out:
        options.out.write_text(f"## {title}\n\n{text}\n")
    if not options.dry:
        write_section(title, text)


def measure(name, options, device, dtype, ceilings):
    """A row of the table for one shape."""
    config = tiny() if name == "tiny" else shape(name)
    count = parameters(config)
    step = count * dtype.itemsize + options.prompts * SAMPLES * _middle(options) * cache_bytes(config)
    limits = dict(tuning=ceilings[0] / (4 * count), sampling=options.prompts * SAMPLES * ceilings[1] / step)
    row = dict(shape=name, parameters=f"{count / 1e6:.0f} M")
    for label, work in WORK.items():
        speed, peak, busy = work(config, options, device, dtype, random.Random(0))
        limit = limits["tuning" if label == "tuning" else "sampling"]
        found = {f"{label}, tok/s": f"{speed:.0f}", f"{label}, of the limit": _percent(speed / limit)}
        found |= {f"{label}, GB": peak, f"{label}, busy": busy}
        print(name, found, flush=True)  # at once: nothing is lost if the rest fails
        row |= found
    return row


def tuning(config, options, device, dtype, rng):
    """(real tokens a second, peak memory, busy share) of the kit's own training loop.

    The first third of the steps warms up, the second is measured, the last is watched, which costs some time.
    """
    settings = LoraSettings(max_steps=options.steps, epochs=1000, batch_size=options.batch, save_steps=0)
    examples = [_example(rng, options) for _ in range(options.steps * options.batch)]
    tokens = statistics.mean(len(example["input_ids"]) for example in examples)
    stamps, third = [], options.steps // 3

    def note(*_):
        if not stamps:
            _forget(device)  # an attempt before may have had too little memory
        stamps.append(time.monotonic())
        if len(stamps) == 2 * third:
            watched.start()

    with tempfile.TemporaryDirectory() as folder, closing(Watched(device)) as watched:
        plan = Plan(
            name="random", model=lambda: _with_lora(_random(config, device, dtype), settings), tokenizer=_tokenizer(),
            features=examples, validation=[], settings=settings, folder=Path(folder, "c"), key="", report=note,
            losses=Path(folder, "losses.jsonl"),
        )  # fmt: skip
        train(plan)
    return tokens * options.batch * third / (stamps[2 * third - 1] - stamps[third - 1]), _peak(device), watched.share


def sampling(sample, config, options, device, dtype, rng):
    """(tokens a second, peak memory, busy share) of 32 samples for each prompt; a first, short run warms up."""
    model = _random(config, device, dtype).eval()
    prompts = [_ids(rng, _scaled(PROMPT, options)) for _ in range(options.prompts)]
    sample(model, prompts, 4)
    _forget(device)
    started = time.monotonic()
    sample(model, prompts, options.answer)
    _wait(device)
    speed, peak = len(prompts) * SAMPLES * options.answer / (time.monotonic() - started), _peak(device)
    with closing(Watched(device)) as watched:
        watched.start()
        sample(model, prompts, min(32, options.answer))
    return speed, peak, watched.share


def by_decode(model, prompts, tokens):
    """The kit's own: one reading of each prompt for all of its samples."""
    decode(model, prompts, SAMPLES, temperature=0.8, max_tokens=tokens, seed=0, eos=[-1])


def by_steps(model, prompts, tokens):
    """The kit's own, but that no step is recorded."""
    recording.REFUSE.add(model)
    by_decode(model, prompts, tokens)


def by_generate(model, prompts, tokens):
    """The library's, with the same prompts and numbers."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    how = dict(do_sample=True, temperature=0.8, num_return_sequences=SAMPLES, min_new_tokens=tokens, pad_token_id=0)
    model.generate(ids, attention_mask=mask, max_new_tokens=tokens, **how)


def flops_ceiling(device, dtype, size=8192):
    """Operations a second of a product of two square matrices: the best of ten."""
    size = size if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / _fastest(lambda: a @ b, device)


def bandwidth_ceiling(device, size=2**30):
    """Bytes a second that are read and written in copying a gigabyte (less without a GPU): the best of ten."""
    source = torch.empty(size if device == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _fastest(lambda: target.copy_(source), device)


class Watched:
    """The share of time in which the GPU ran a kernel, from start() to close(); "-" where there is none."""

    def __init__(self, device):
        self.device, self.profile, self.share = device, None, "-"

    def start(self):
        if self.device == "cuda":
            _wait(self.device)
            self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self.profile.start()

    def close(self):
        if self.profile is None:
            return
        _wait(self.device)
        self.profile.stop()
        on_gpu = [e for e in self.profile.events() if e.device_type is torch.autograd.DeviceType.CUDA]
        spans = sorted((e.time_range.start, e.time_range.end) for e in on_gpu)
        busy, until = 0.0, spans[0][0]
        for start, end in spans:
            busy += max(0.0, end - max(start, until))
            until = max(until, end)
        self.share = _percent(busy / (until - spans[0][0]))


WORK = {
    "tuning": tuning,
    "generate": partial(sampling, by_generate),
    "step by step": partial(sampling, by_steps),
    "LocalSampler": partial(sampling, by_decode),
}


def table(rows):
    """The rows as a Markdown table that stands on its side: a column a shape."""
    lines = [[name, *(str(row[name]) for row in rows)] for name in rows[0]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tiny():
    """A shape for trying this file."""
    from transformers import Qwen2Config

    return Qwen2Config(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128,
        vocab_size=1024, tie_word_embeddings=True,
    )  # fmt: skip


def _options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shapes", default=",".join(SHAPES), help="names of nextkit.sampling.sizing.SHAPES, or tiny")
    parser.add_argument("--steps", type=int, default=20, help="of tuning")
    parser.add_argument("--batch", type=int, default=24, help="examples a step")
    parser.add_argument("--prompts", type=int, default=8, help=f"sampled together, {SAMPLES} samples each")
    parser.add_argument("--answer", type=int, default=250, help="tokens of a sample")
    parser.add_argument("--out", type=Path, help="a file for the table, beside README.md")
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    return parser.parse_args()


def _random(config, device, dtype):
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")


def _tokenizer():
    tokenizer = train_tokenizer(["a b c"])
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def _example(rng, options):
    prompt, answer = (_ids(rng, _scaled(of, options)) for of in (PROMPT, ANSWER))
    return dict(input_ids=prompt + answer, labels=[-100] * len(prompt) + answer)


def _ids(rng, span):
    return [rng.randrange(1000) for _ in range(rng.randint(*span))]


def _scaled(span, options):
    return tuple(n // 20 for n in span) if options.shapes == "tiny" else span


def _middle(options):
    """The length of a sequence halfway through its answer."""
    return statistics.mean(_scaled(PROMPT, options)) + options.answer / 2


def _fastest(work, device):
    times = []
    for _ in range(10):
        _wait(device)
        started = time.monotonic()
        work()
        _wait(device)
        times.append(time.monotonic() - started)
    return min(times)


def _wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def _forget(device):
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(device):
    return f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if device == "cuda" else "-"


def _percent(share):
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
