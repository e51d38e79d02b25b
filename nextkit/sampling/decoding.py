"""Decoding: many continuations of a few prompts, token by token, with one reading of each prompt.

A prompt goes through the model once, what the model remembers of it (the KV cache) is copied n times, and the copies are
continued together, each row dropped when it has ended.
"""

import functools
import inspect

# Ended rows are dropped when fewer than this share still goes on: dropping copies the cache, keeping wastes a row.
COMPACT = 0.75
# Texts that end an answer are looked for in its last tokens, now and then: it costs a decoding a row. A GPU is asked
# no more often which rows have ended: at each question it waits.
STOP_EVERY, STOP_WINDOW = 8, 24
NOTHING = -1  # stands where a row has ended


def decode(model, prompts, n, *, temperature, max_tokens, seed, eos, ended=None):
    """Continue each prompt (a list of token ids) n times; returns len(prompts) * n lists of ids, end mark included.

    eos: ids that end a row. ended: called with a row's ids now and then; whether it has ended for another reason.
    """
    import torch

    device, generator = model.device, torch.Generator(model.device).manual_seed(seed)
    ids, mask = _left_padded(prompts, device)  # (prompts, tokens)
    every = STOP_EVERY if device.type == "cuda" else 1
    with torch.inference_mode():
        cache = _growing_cache(room=max_tokens)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        logits = _next_logits(model, ids, mask, positions, cache).repeat_interleave(n, 0)
        cache.batch_repeat_interleave(n)
        mask, position = mask.repeat_interleave(n, 0), positions[:, -1:].repeat_interleave(n, 0)
        rows = torch.arange(len(logits), device=device)
        alive, ends = torch.ones_like(rows, dtype=torch.bool), torch.tensor(eos, device=device)
        written = torch.full((len(logits), max_tokens), NOTHING, device=device)
        for place in range(max_tokens):
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
                if count < COMPACT * len(alive):
                    keep = alive.nonzero()[:, 0]
                    rows, drawn, mask, position, alive = (x[keep] for x in (rows, drawn, mask, position, alive))
                    cache.batch_select_indices(keep)
            mask, position = torch.cat([mask, mask.new_ones(len(mask), 1)], 1), position + 1
            logits = _next_logits(model, drawn[:, None], mask, position, cache)
    return [[token for token in row if token != NOTHING] for row in written.tolist()]


def _draw(logits, temperature, generator):
    """One token a row from logits of shape (rows, vocabulary)."""
    import torch

    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits.float() / temperature, -1), 1, generator=generator)[:, 0]


def _next_logits(model, ids, mask, positions, cache):
    how = {_cache_name(type(model)): cache, "attention_mask": _seen(model, mask, ids.shape[1])}
    return model(input_ids=ids, position_ids=positions, use_cache=True, logits_to_keep=1, **how).logits[:, -1]


@functools.cache
def _cache_name(kind):
    """What a kind of model calls its cache: given by another name it would see one token at a time, and say nothing."""
    return "cache" if "cache" in inspect.signature(kind.forward).parameters else "past_key_values"


def _seen(model, mask, queries):
    """Which keys the last `queries` tokens see, from a mask of shape (rows, keys): of shape (rows, 1, queries, keys).

    As it is, and not as the library makes it of the mask: there a token of the padding sees nothing, of which some
    kernels make nan, and each step waits to learn whether anything is padded. Models that look back a certain distance
    only, or compute attention otherwise, get the plain mask.
    """
    import torch

    if model.config._attn_implementation != "sdpa" or not _sees_all(model.config.get_text_config()):
        return mask
    keys = mask.shape[1]
    seen = mask[:, None, None, :].bool()
    if queries == 1:
        return seen
    before = torch.ones(queries, keys, dtype=torch.bool, device=mask.device).tril(keys - queries)
    return (seen & before) | torch.eye(queries, keys, dtype=torch.bool, device=mask.device)


def _sees_all(config):
    """Whether each token of a model sees all before it, in every layer, and by a mask alone."""
    kinds = {*(getattr(config, "layer_types", None) or ())}
    nearer = ("sliding_window", "attention_chunk_size", "alibi")
    return kinds <= {"full_attention"} and not any(getattr(config, name, None) for name in nearer)


def _growing_cache(room):
    """A KV cache with space for `room` more tokens: writing a token copies nothing but that token."""
    from transformers.cache_utils import Cache, DynamicLayer

    class GrowingLayer(DynamicLayer):
        """Keys and values are views into a larger buffer; the library's own layer copies all of them at each token."""

        def update(self, key_states, value_states, *args, **kwargs):
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            self.keys = self._append("keys", key_states)
            self.values = self._append("values", value_states)
            return self.keys, self.values

        def _append(self, name, states):
            buffer, old = getattr(self, name + "_buffer", None), getattr(self, name)
            length = old.shape[-2] if old.numel() else 0
            if buffer is None or buffer.shape[0] != states.shape[0] or buffer.shape[-2] < length + states.shape[-2]:
                buffer = states.new_empty(*states.shape[:2], length + states.shape[-2] + room, states.shape[-1])
                if length:
                    buffer[:, :, :length] = old
                setattr(self, name + "_buffer", buffer)
            buffer[:, :, length : length + states.shape[-2]] = states
            return buffer[:, :, : length + states.shape[-2]]

        def batch_select_indices(self, indices):
            self._rebuffer(lambda buffer: buffer[indices])

        def batch_repeat_interleave(self, repeats):
            self._rebuffer(lambda buffer: buffer.repeat_interleave(repeats, 0))

        def _rebuffer(self, change):
            """Other rows; one buffer at a time is there twice."""
            length = self.get_seq_length()
            for name in ("keys", "values"):
                setattr(self, name, None)  # a view, which would keep the old buffer
                setattr(self, name + "_buffer", change(getattr(self, name + "_buffer")))
                setattr(self, name, getattr(self, name + "_buffer")[:, :, :length])

    return Cache(layer_class_to_replicate=GrowingLayer)


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
