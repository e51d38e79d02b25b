"""Tokens a second: LocalSampler against the library's generate, interleaved, on the shipped base model.

    python benchmarks/sampling.py        # prints one line a method: median of three, and the ratio

Both draw 32 samples for each of 12 training prompts at temperature 0.8; only tokens up to the end mark count.
"""

import statistics
import time

import torch

from nextkit.prompting import build_prompt
from nextkit.sampling import LocalSampler
from nextkit.tasks import load_tasks
from nextkit.tracing import trace_all

PROMPTS, SAMPLES, ROWS, TOKENS = 12, 32, 192, 200


def by_generate(sampler, prompts, seed):
    """Tokens a second of generate() at 192 rows."""
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


def by_sampler(sampler, prompts, seed):
    """Tokens a second of LocalSampler.sample()."""
    sampler.sample(prompts, SAMPLES, max_tokens=TOKENS, seed=seed)
    return sampler.speed


def main():
    """Measure and print."""
    tasks = load_tasks("train")[:PROMPTS]
    prompts = [build_prompt(task, trace) for task, trace in zip(tasks, trace_all(tasks), strict=True)]
    sampler = LocalSampler("offline-base", rows=ROWS, progress=False)
    sampler.model()
    runs = [(by_generate(sampler, prompts, seed), by_sampler(sampler, prompts, seed)) for seed in range(3)]
    library, ours = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"generate, {ROWS} rows: {library:.0f} tokens/s\nLocalSampler, {ROWS} rows on each core: {ours:.0f} tokens/s")
    print(
        f"ratio {ours / library:.2f}; {sampler.dtype}, {torch.get_num_threads()} threads, n = 3 runs of {PROMPTS * SAMPLES} samples"
    )


if __name__ == "__main__":
    main()
