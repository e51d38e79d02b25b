"""Sampling: rationales and fixes from a model, r, y^ ~ P(. | x, y~, T, e).

Self-training lives on many samples a task. The n samples of a prompt share one reading of it, see
`nextkit.sampling.decoding`.

    sampler = LocalSampler("offline-base")
    samples = sampler.sample([build_prompt(task, trace(task))], n=16, temperature=0.8)[0]
"""

import time
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Protocol

from nextkit.prompting import WHY, Prompt, parse_completion, parse_program
from nextkit.sampling.cache import attends_plainly
from nextkit.sampling.decoding import STOP_WINDOW, decode
from nextkit.sampling.encoding import encode_prompt, has_chat_template
from nextkit.sampling.lanes import is_small, side_by_side
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

__all__ = ["LocalSampler", "Sample", "Sampler", "as_fix", "as_texts", "check_drawing"]
__all__ += ["decode", "encode_prompt", "has_chat_template"]  # of `decoding` and `encoding`, taken from here too
__all__ += ["fingerprint", "load_model", "load_tokenizer", "resolve_model", "weights_of"]  # of `loading`

ROWS = 384  # sequences that are decoded together on a CPU
LANE = 192  # of these, on each of its cores, where a model is small
MOST_ROWS = 4096  # on a GPU, however much its memory would hold
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
    them; None for 384, for 192 on each core where a small model is sampled from on a CPU, and on a GPU for as many as
    its memory should hold. chat: whether prompts go through the model's chat template; None for if it has one (base
    models often have one that they were never trained on: say False there). stop: texts that end an answer. After
    sample(), `speed` holds its generated tokens a second. Raises ValueError for a model that cannot be loaded or a
    device that is not there, and at the first sample() RuntimeError for weights that do not fit; each names the mend.
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
        free memory where they are not given. Raises ValueError when a prompt leaves no room for an answer of max_tokens.
        """
        from tqdm.auto import tqdm

        check_drawing(n, temperature)
        model = self.model(adapter)
        encoded = [encode_prompt(self.tokenizer, prompt, self.chat) for prompt in prompts]
        self._check_lengths(prompts, encoded, max_tokens)
        rows = self.rows or self._fitting(max(map(len, encoded), default=0), n, max_tokens)
        groups = _groups(encoded, max(1, rows // n))
        results, tokens, started = [None] * len(prompts), 0, time.monotonic()
        bar = tqdm(total=n * len(prompts), desc="sampling", unit="sample", disable=not self.progress)
        with bar, side_by_side(model, len(groups)) as (in_lanes, given_up):
            how = dict(temperature=temperature, max_tokens=max_tokens, given_up=given_up.is_set)

            def answers(number, group):
                own = how | dict(seed=seed + 1009 * number)
                return self._decode(model, [encoded[i] for i in group], n, own, rows)

            for group, written in zip(groups, in_lanes(answers, range(len(groups)), groups), strict=True):
                for place, i in enumerate(group):
                    results[i] = [self._record(prompts[i], ids) for ids in written[place * n : (place + 1) * n]]
                tokens += sum(map(len, written))
                bar.update(n * len(group))
        self.speed = tokens / max(1e-9, time.monotonic() - started)
        return results

    def _fitting(self, prompt, n, answer):
        """How many sequences to decode together: n answers of so many tokens to each prompt of so many."""
        import torch

        from nextkit.sampling.sizing import cache_bytes

        if torch.device(self.device).type != "cuda":
            return LANE if is_small(self.model_in_use) else ROWS
        config = self.model_in_use.config.get_text_config()
        tokens = answer + prompt / (n if attends_plainly(self.model_in_use) else 1)
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
