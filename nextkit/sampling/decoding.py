"""Decoding: many continuations of a few prompts, token by token, with one reading of each prompt."""

from nextkit.sampling.cache import remember

# Ended rows are dropped when fewer than this share still goes on: dropping copies the cache, and on a GPU a step must be
# recorded anew; keeping wastes a row.
COMPACT, COMPACT_RECORDED = 0.75, 0.5
# Texts that end an answer are looked for in its last tokens, now and then: it costs a decoding a row. A GPU is asked
# no more often which rows have ended: at each question it waits.
STOP_EVERY, STOP_WINDOW = 8, 24
NOTHING = -1  # stands where a row has ended


def decode(model, prompts, n, *, temperature, max_tokens, seed, eos, ended=None, given_up=lambda: False):
    """Continue each prompt (a list of token ids) n times; returns len(prompts) * n lists of ids, end mark included.

    eos: ids that end a row. ended: called with a row's ids now and then; whether it has ended for another reason.
    given_up: called before each token; whether the rest is not wanted any more.
    """
    import torch

    device, generator = model.device, torch.Generator(model.device).manual_seed(seed)
    every, compact = (STOP_EVERY, COMPACT_RECORDED) if device.type == "cuda" else (1, COMPACT)
    with torch.inference_mode():
        cache = remember(model, n, max_tokens)
        logits = cache.read(*_left_padded(prompts, device)).repeat_interleave(n, 0)  # (rows, vocabulary)
        cache.repeat(n)
        rows = torch.arange(len(logits), device=device)
        alive, ends = torch.ones_like(rows, dtype=torch.bool), torch.tensor(eos, device=device)
        written = torch.full((len(logits), max_tokens), NOTHING, device=device)
        for place in range(max_tokens):
            if given_up():
                break
            drawn = _draw(logits, temperature, generator)  # (rows,)
            written[rows, place] = torch.where(alive, drawn, NOTHING)
            alive &= ~torch.isin(drawn, ends)
            if ended is not None and place % STOP_EVERY == STOP_EVERY - 1:
                going = alive.nonzero()[:, 0]
                said = [ended(row) for row in written[rows[going], : place + 1].tolist()]
                alive[going] &= ~torch.tensor(said, dtype=torch.bool, device=device)
            if place % every == every - 1:
                count = int(alive.sum())
                if not count:
                    break
                if count < compact * len(alive):
                    keep = alive.nonzero()[:, 0]
                    rows, drawn, alive = rows[keep], drawn[keep], alive[keep]
                    cache.keep(keep)
            if place + 1 < max_tokens:
                logits = cache.go_on(drawn)
    return [[token for token in row if token != NOTHING] for row in written.tolist()]


def _draw(logits, temperature, generator):
    """One token a row from logits of shape (rows, vocabulary)."""
    import torch

    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits.float() / temperature, -1), 1, generator=generator)[:, 0]


def _left_padded(prompts, device):
    """Token ids and mask of shape (prompts, tokens), the prompts flush right."""
    import torch

    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)
