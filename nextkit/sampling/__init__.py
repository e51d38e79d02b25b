"""Sampling: rationales and fixes from a model, r, y^ ~ P(. | x, y~, T, e).

Self-training lives on many samples a task. The n samples of a prompt share one reading of it: the prompt goes through
the model once, what the model remembers of it (the KV cache) is copied n times, and the copies are continued
together, each row dropped when it has ended.

    sampler = LocalSampler("offline-base")
    samples = sampler.sample([build_prompt(task, trace(task))], n=16, temperature=0.8)[0]
"""

import functools
import inspect
import time
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Protocol

from nextkit.prompting import WHY, Prompt, messages, parse_completion, parse_program
from nextkit.sampling.loading import (
    as_dtype,
    best_dtype,
    check_attention,
    fingerprint,
    free_memory,
    load_config,
    load_model,
    load_tokenizer,
    pick_device,
    resolve_model,
    weights_of,
)

__all__ = [
    "LocalSampler",
    "Sample",
    "Sampler",
    "as_fix",
    "as_texts",
    "check_drawing",
    "decode",
    "encode_prompt",
    "has_chat_template",
]
__all__ += [
    "fingerprint",
    "load_model",
    "load_tokenizer",
    "resolve_model",
    "weights_of",
]  # of `loading`, taken from here too

# Ended rows are dropped when fewer than this share still goes on: dropping copies the cache, keeping wastes a row.
COMPACT = 0.75
# Texts that end an answer are looked for in its last tokens, now and then: it costs a decoding a row. A GPU is asked
# no more often which rows have ended: at each question it waits.
STOP_EVERY, STOP_WINDOW = 8, 24
NOTHING = -1  # stands where a row has ended
ROWS, MOST_ROWS = 384, 4096  # decoded together: on a CPU, and at most on a GPU
SEAMS = 8  # tokens by which a text that is put together may be longer than its parts


@dataclass(frozen=True)
class Sample:
    """One completion, taken apart. tokens: generated, the end mark included. finish: "stop", or "length" if cut off."""

    task_id: str
    prompt: str
    text: str
    rationale: str
    fix: str
    tokens: int
    finish: str


def as_fix(sample):
    """The Sample of a completion that is a program alone, fenced or not: no rationale was asked for."""
    return replace(sample, rationale="", fix=parse_program(sample.text))


class Sampler(Protocol):
    """Whatever samples completions; n samples a prompt, one list a prompt, in the order of the prompts."""

    def sample(self, prompts, n, *, temperature=0.8, max_tokens=256, seed=0, adapter=None) -> list[list[Sample]]: ...


def as_texts(stop):
    """Texts that end an answer as a tuple: ("\\n# Task:") without a comma is one text, not many of one letter."""
    return (stop,) if isinstance(stop, str) else tuple(stop)


def check_drawing(n, temperature):
    """Raises ValueError for a number of samples, or a temperature, that cannot be."""
    if not (isinstance(n, Integral) and n > 0):
        raise ValueError(f"n is {n!r}: give a whole number of samples, at least 1")
    if not (isinstance(temperature, Real) and temperature >= 0):
        raise ValueError(f"temperature is {temperature!r}: give 0, which is greedy, or more")


class LocalSampler:
    """Samples from a causal language model of transformers on this machine.

    model: a folder, a name on the Hugging Face hub, or a shipped model's bare name ("offline-base"). device, dtype:
    chosen by what the machine has when None. rows: sequences decoded together, halved where the memory does not hold
    them; None for 384, and on a GPU for as many as its memory should hold. chat: whether prompts go through the model's chat template; None for if it has one (base models often have one
    that they were never trained on: say False there). stop: texts that end an answer. After sample(), `speed` holds
    its generated tokens a second. Raises ValueError for a model that cannot be loaded or a device that is not there, and
    at the first sample() RuntimeError for weights that do not fit; each names the mend.
    """

    def __init__(self, model, *, device=None, dtype=None, rows=None, chat=None, stop=(), progress=True):
        self.path = resolve_model(model)
        self.device = pick_device(device)
        self.dtype = as_dtype(dtype) or best_dtype(self.device)
        config = load_config(self.path).get_text_config()
        check_attention(self.path, config)
        self.positions = getattr(config, "max_position_embeddings", 10**9)
        self.rows, self.stop, self.progress, self.speed = rows, as_texts(stop), progress, 0.0
        self.tokenizer = load_tokenizer(self.path)
        self.chat = has_chat_template(self.tokenizer) if chat is None else chat
        self._loaded = (object(), None)

    def sample(self, prompts, n, *, temperature=0.8, max_tokens=256, seed=0, adapter=None):
        """n Samples for each Prompt. temperature: 0 means greedy. adapter: folder of a LoRA adapter to apply.

        The same arguments give the same samples on the same machine with the same `rows`, which on a GPU depend on its
        free memory where they are not given. Raises ValueError when a
        prompt leaves no room for an answer of max_tokens.
        """
        from tqdm.auto import tqdm

        check_drawing(n, temperature)
        model = self.model(adapter)
        encoded = [encode_prompt(self.tokenizer, prompt, self.chat) for prompt in prompts]
        self._check_lengths(prompts, encoded, max_tokens)
        rows = self.rows or self._fitting(max(map(len, encoded), default=0) + max_tokens)
        results, tokens, started = [None] * len(prompts), 0, time.monotonic()
        with tqdm(total=n * len(prompts), desc="sampling", unit="sample", disable=not self.progress) as bar:
            for number, group in enumerate(_groups(encoded, max(1, rows // n))):
                how = dict(temperature=temperature, max_tokens=max_tokens, seed=seed + 1009 * number)
                written = self._decode(model, [encoded[i] for i in group], n, how, rows)
                for place, i in enumerate(group):
                    results[i] = [self._record(prompts[i], ids) for ids in written[place * n : (place + 1) * n]]
                tokens += sum(map(len, written))
                bar.update(n * len(group))
        self.speed = tokens / max(1e-9, time.monotonic() - started)
        return results

    def _fitting(self, tokens):
        """How many sequences of so many tokens to decode together."""
        import torch

        from nextkit.sampling.sizing import cache_bytes

        if torch.device(self.device).type != "cuda":
            return ROWS
        config = self.model_in_use.config.get_text_config()
        token = cache_bytes(config) * self.dtype.itemsize / 2
        row = 1.5 * tokens * token + 16 * config.vocab_size  # with copies of the cache, and the chances of each token
        most = max(1, min(MOST_ROWS, int(0.8 * free_memory(self.device) / row)))
        return 2 ** (most.bit_length() - 1)  # so that it seldom depends on what else is there

    def _decode(self, model, encoded, n, how, rows, first=0):
        """`decode`, in pieces where `rows` or the memory do not hold the whole; lists of ids, prompt after prompt.

        first: the number of the first sample: pieces of one prompt's samples must not draw the same.
        """
        if n > rows:  # then there is one prompt
            return self._in_pieces(model, encoded, n, how, first, rows)
        ended, seed = self._stopped if self.stop else None, how["seed"] + first
        try:
            return decode(model, encoded, n, eos=self._ends(model), ended=ended, **how | dict(seed=seed))
        except RuntimeError as error:  # torch.cuda.OutOfMemoryError is one, and other devices raise it plainly
            if "out of memory" not in str(error).lower() or (len(encoded) == 1 and n == 1):
                raise
        _free_memory()
        if len(encoded) == 1:
            return self._in_pieces(model, encoded, n, how, first, -(-n // 2))
        half = len(encoded) // 2
        halves = (encoded[:half], encoded[half:])
        return sum((self._decode(model, some, n, how, rows, first) for some in halves), [])

    def _in_pieces(self, model, encoded, n, how, first, size):
        pieces = ((start, min(size, n - start)) for start in range(0, n, size))
        return [ids for start, count in pieces for ids in self._decode(model, encoded, count, how, size, first + start)]

    def _ends(self, model):
        """Ids of the tokens that end an answer."""
        ends = getattr(model.generation_config, "eos_token_id", None)
        ends = ends if isinstance(ends, list) else [ends]
        return sorted({self.tokenizer.eos_token_id, *ends} - {None})

    def _stopped(self, ids):
        """Whether an answer holds a text that ends it."""
        text = self.tokenizer.decode(ids[-STOP_WINDOW:])
        return any(mark in text for mark in self.stop)

    def model(self, adapter=None):
        """The model in use, with the LoRA adapter of that folder merged in; the last one is kept."""
        key = adapter and (str(adapter), weights_of(adapter))  # the folder may have been tuned anew
        if self._loaded[0] != key:
            self.release()  # first the old weights go: the memory may not hold two
            self._loaded = (key, load_model(self.path, adapter, device=self.device, dtype=self.dtype))
        return self._loaded[1]

    def release(self):
        """Give the memory of the model in use back; it is loaded again when it is needed."""
        self._loaded = (object(), None)
        _free_memory()

    @property
    def model_in_use(self):
        """The model that sampled last."""
        return self._loaded[1]

    @property
    def identity(self):
        """What its answers depend on, beside the model and the arguments of sample(): part of a stage's key.

        Not device and rows: they are how something is computed, and a run may go on on another machine.
        """
        return dict(stop=self.stop, dtype=str(self.dtype))

    def room(self, max_tokens, examples=0):
        """How many tokens a prompt may have that is answered by so many; what the chat template adds is spared.

        examples: how many solved ones stand in the prompt, each of which is two turns of a chat.
        """
        template = 0
        if self.chat:
            turns = Prompt("", "", "x", (f"x{WHY}x",) * examples, "x")
            template = len(encode_prompt(self.tokenizer, turns, True))
        return self.positions - max_tokens - template - SEAMS

    def length(self, text):
        """How many tokens a text has."""
        return len(self.tokenizer(text)["input_ids"])

    def _check_lengths(self, prompts, encoded, max_tokens):
        room = self.positions - max_tokens
        for prompt, ids in zip(prompts, encoded, strict=True):
            if len(ids) > room:
                raise ValueError(
                    f"task {prompt.task_id!r}: a prompt of {len(ids)} tokens leaves no room for {max_tokens} more in a "
                    f"model of {self.positions} positions: build it with build_prompt(..., room=sampler.room({max_tokens}), "
                    "length=sampler.length), which shrinks the trace, or ask for fewer max_tokens"
                )

    def _record(self, prompt, ids):
        stopped = bool(ids) and ids[-1] in self._ends(self.model_in_use)
        text = self.tokenizer.decode(ids[:-1] if stopped else ids)
        for mark in self.stop:
            text, found, _ = text.partition(mark)
            stopped = stopped or bool(found)
        answer = parse_completion(text)
        finish = "stop" if stopped else "length"
        return Sample(prompt.task_id, prompt.text, text, answer.rationale, answer.fix, len(ids), finish)


def has_chat_template(tokenizer):
    """Whether the model says how it is talked to."""
    return bool(getattr(tokenizer, "chat_template", None))


def encode_prompt(tokenizer, prompt, chat):
    """The token ids of a Prompt; chat: as turns, by the tokenizer's own template, up to where the answer begins."""
    if not chat:
        ids = tokenizer(prompt.text)["input_ids"]
        return ids[:-1] if ids[-1:] == [tokenizer.eos_token_id] else ids  # some tokenizers end whatever they read
    turns = messages(prompt)
    system = turns[0]["content"] if turns[0]["role"] == "system" else ""
    try:
        text = _templated(tokenizer, turns)
        heard = system.strip() in text
    except Exception:  # templates are programs: some know no system turn and raise an error of their own
        if not system:
            raise
        heard = False
    if not heard:  # others leave it out in silence
        first, second, *rest = turns
        text = _templated(tokenizer, [dict(second, content=f"{first['content']}\n\n{second['content']}"), *rest])
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _templated(tokenizer, turns):
    """The turns as the template writes them, asked not to have the model think first: the rationale is its thinking."""
    try:
        return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    except Exception as error:
        raise ValueError(f"the chat template of {tokenizer.name_or_path!r} fails: {error}: try chat=False") from error


def decode(model, prompts, n, *, temperature, max_tokens, seed, eos, ended=None):
    """Continue each prompt (a list of token ids) n times; returns len(prompts) * n lists of ids, end mark included.

    One forward pass reads the prompts, its cache is repeated n times, and rows that ended are dropped now and then.
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


def _groups(encoded, size):
    """Numbers of the prompts in groups of about equal length, the longest first, so that memory runs out early."""
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i]))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _free_memory():
    """Give back what the allocator keeps, so that less may fit where more did not."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
