"""Tokens a second on a CPU: LocalSampler against the library's generate, interleaved, on the shipped base model.

    python benchmarks/sampling.py        # some ten minutes; writes its section of README.md

All draw 32 samples for each of 24 training prompts at temperature 0.8; only tokens up to the end mark count. "One group
after another" is LocalSampler without lanes, all cores at one group.
"""

import os
import platform
import statistics
import time

import torch
from sections import write_section

from nextkit.prompting import build_prompt
from nextkit.sampling import LocalSampler, lanes
from nextkit.tasks import load_tasks
from nextkit.tracing import trace_all

PROMPTS, SAMPLES, ROWS, TOKENS, RUNS = 24, 32, 192, 200, 3


def by_generate(sampler, prompts, seed):
    """Tokens a second of generate()."""
    torch.manual_seed(seed)
    model, tokenizer, count, started = sampler.model(), sampler.tokenizer, 0, time.monotonic()
    tokenizer.padding_side = "left"
    for start in range(0, len(prompts), ROWS // SAMPLES):
        batch = tokenizer([p.text for p in prompts[start : start + ROWS // SAMPLES]], return_tensors="pt", padding=True)
        batch = {name: batch[name] for name in ("input_ids", "attention_mask")}
        options = dict(
            do_sample=True, temperature=0.8, num_return_sequences=SAMPLES, max_new_tokens=TOKENS, pad_token_id=0
        )
        out = model.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
        count += int((out != 0).sum())
    return count / (time.monotonic() - started)


def in_lanes(sampler, prompts, seed):
    """Tokens a second of LocalSampler.sample()."""
    sampler.sample(prompts, SAMPLES, max_tokens=TOKENS, seed=seed)
    return sampler.speed


def one_after_another(sampler, prompts, seed):
    """Tokens a second of LocalSampler.sample() as in a model too large for lanes."""
    small, lanes.SMALL = lanes.SMALL, 0
    try:
        return in_lanes(sampler, prompts, seed)
    finally:
        lanes.SMALL = small


METHODS = {
    "generate": by_generate,
    "nextkit, one group after another": one_after_another,
    "nextkit, a group on each core": in_lanes,
}


def main():
    """Measure and write the table."""
    tasks = load_tasks("train")[:PROMPTS]
    prompts = [build_prompt(task, trace) for task, trace in zip(tasks, trace_all(tasks), strict=True)]
    sampler = LocalSampler("offline-base", device="cpu", rows=ROWS, progress=False)
    sampler.sample(prompts[:1], 2, max_tokens=8)  # loads, and asks how the model attends
    runs = [[method(sampler, prompts, seed) for method in METHODS.values()] for seed in range(RUNS)]
    lines = [
        f"offline-base, {PROMPTS} prompts x {SAMPLES} samples, {ROWS} rows at a time, {RUNS} runs, {sampler.dtype}, "
        f"{torch.get_num_threads()} of {os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}",
        "",
        "| method | tokens a second | slowest and fastest run | against generate |",
        "| --- | --- | --- | --- |",
    ]
    columns = dict(zip(METHODS, zip(*runs, strict=True), strict=True))
    for name, speeds in columns.items():
        middle = statistics.median(speeds)
        ratio = middle / statistics.median(columns["generate"])
        lines.append(f"| {name} | {middle:,.0f} | {min(speeds):,.0f} to {max(speeds):,.0f} | {ratio:.1f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    write_section("Sampling", text)


if __name__ == "__main__":
    main()
