"""What a model remembers of its prompts while it answers (the KV cache), and how it goes on from there.

The samples of a prompt share what was remembered of it: each step reads that once a prompt, not once a sample, and only
the answers are remembered one by one. Models that attend in ways of their own get the library's cache, where every
sample has its own copy of its prompt.
"""

import functools
import inspect
import threading
import weakref
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar

SHARED = "shared_prompts"  # the name of our attention among the library's
USUAL = {
    "dropout",
    "scaling",
    "is_causal",
    "position_ids",
    "use_cache",
}  # what attention is told and does not depend on
_attends = ContextVar("how a model attends that uses our attention", default=None)
_in_use = Counter()  # configuration -> threads in which its model attends as we do: there is one setting for all
_changing = threading.Lock()
_plain = weakref.WeakKeyDictionary()  # model -> whether it attends plainly


def remember(model, n, room):
    """SharedPrompts where n samples have something to share and they suit the model, else CopiedPrompts.

    room: tokens of the longest answer. On a CUDA GPU steps are recorded, see `nextkit.sampling.recording`.
    """
    if n == 1 or not attends_plainly(model):
        return CopiedPrompts(model)
    if model.device.type != "cuda":
        return SharedPrompts(model, room)
    from nextkit.sampling.recording import RecordedPrompts

    return RecordedPrompts(model, room)


class CopiedPrompts:
    """The library's cache: prompts are read, copied for each sample, and go on as rows of their own."""

    def __init__(self, model):
        from transformers import DynamicCache

        self.model, self.cache = model, DynamicCache(config=model.config.get_text_config())

    def read(self, ids, mask):
        """Logits after each prompt, of shape (prompts, vocabulary). ids, mask: of shape (prompts, tokens), padded left."""
        self.mask, positions = mask, (mask.cumsum(1) - 1).clamp(min=0)
        self.position = positions[:, -1:]
        return self._logits(ids, positions, self._seen(mask))

    def repeat(self, n):
        """From here on there are n rows a prompt, those of a prompt side by side."""
        self.cache.batch_repeat_interleave(n)
        self.mask, self.position = (each.repeat_interleave(n, 0) for each in (self.mask, self.position))

    def keep(self, rows):
        """Only these rows, in ascending order, go on."""
        self.cache.batch_select_indices(rows)
        self.mask, self.position = self.mask[rows], self.position[rows]

    def go_on(self, tokens):
        """Logits after one more token a row, of shape (rows, vocabulary)."""
        import torch

        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], 1)
        self.position = self.position + 1
        return self._logits(tokens[:, None], self.position, self.mask)

    def _seen(self, mask):
        return mask

    def _logits(self, ids, positions, mask):
        how = {_cache_name(type(self.model)): self.cache, "attention_mask": mask}
        found = self.model(input_ids=ids, position_ids=positions, use_cache=True, logits_to_keep=1, **how)
        return found.logits[:, -1]


class SharedPrompts(CopiedPrompts):
    """A cache in which each prompt stands once, and each row has no more than its own answer.

    real: the mask of the prompts, of shape (prompts, 1, 1, tokens). of: the prompt of each row. slots: the rows of each
    prompt, of shape (prompts, most rows of a prompt), any row where there is none. places: where each row stands among
    the slots. own: which tokens of the answers are written, None for all that attention is given.
    """

    own = None

    def __init__(self, model, room):
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.cache_utils import Cache

        AttentionInterface.register(SHARED, _attend)
        AttentionMaskInterface.register(SHARED, AttentionMaskInterface()["sdpa"])
        self.model, self.cache = model, Cache(layer_class_to_replicate=lambda: self._layer(room))

    def _layer(self, room):
        return shared_layer()(room)

    def repeat(self, n):
        import torch

        self.real = self.mask[:, None, None, :].bool()
        self.position = self.position.repeat_interleave(n, 0)
        self.of = torch.arange(len(self.mask), device=self.mask.device).repeat_interleave(n)
        self._place()

    def keep(self, rows):
        import torch

        self.position = self.position[rows]
        prompts, self.of = torch.unique(self.of[rows], return_inverse=True)
        self.real = self.real[prompts]
        for layer in self.cache.layers:
            layer.keep(rows, prompts)
        self._place()

    def _place(self):
        """Lay the rows out by their prompts."""
        import torch

        rows, counts = torch.arange(len(self.of), device=self.of.device), self.of.bincount()
        most = int(counts.max())
        self.places = self.of * most + rows - (counts.cumsum(0) - counts)[self.of]
        self.slots = rows.new_zeros(len(counts) * most)
        self.slots[self.places] = rows
        self.slots = self.slots.view(len(counts), most)

    def _seen(self, mask):
        return seen(mask)

    def go_on(self, tokens):
        self.position = self.position + 1
        with _attending(self.model, self.attend):
            return self._logits(tokens[:, None], self.position, self.real)  # a mask, so that the library makes none

    def attend(self, module, query, key, value, attention_mask, scaling=None, **_):
        """What the rows see in a layer for one token each: of their prompts, and of their own answers.

        query: of shape (rows, heads, 1, size); key, value: (rows, heads of keys, tokens, size), of the answers.
        Returns (what they see, of shape (rows, 1, heads, size); None in place of the weights).
        """
        keys, values = self.cache.layers[module.layer_idx].prompts
        rows, heads = key.shape[:2]
        scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        query = query.reshape(rows, heads, -1, query.shape[-1])  # heads that share keys side by side
        asked = query[self.slots].transpose(1, 2).flatten(2, 3)  # (prompts, heads of keys, rows and heads, size)
        told, weight = _weighed(asked, keys, values, scaling, self.real)
        told, weight = (self._by_row(each, query.shape[2]) for each in (told, weight))
        own, own_weight = _weighed(query, key, value, scaling, self.own)
        share = (weight - own_weight).sigmoid().to(told.dtype)
        return (own + share * (told - own)).reshape(rows, 1, -1, own.shape[-1]), None

    def _by_row(self, grid, group):
        """From (prompts, heads of keys, rows and heads, size) to (rows, heads of keys, heads, size)."""
        return grid.unflatten(2, (self.slots.shape[1], group)).transpose(1, 2).flatten(0, 1)[self.places]


def _weighed(query, keys, values, scaling, mask=None):
    """(what attention gives, the logarithm of its sum of weights), by which two such can be put together.

    Scores are computed in fp32, as the library's kernels do: in bf16 great ones would be rounded to eighths.
    """
    import torch

    scores = _products(query, keys).mul_(scaling)
    if mask is not None:
        scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
    most = scores.amax(-1, keepdim=True)
    weights = scores.sub_(most).exp_()
    total = weights.sum(-1, keepdim=True)
    return weights.div_(total).to(values.dtype) @ values, most + total.log()


def _products(query, keys):
    """Each query times each key, in fp32."""
    import torch

    if query.device.type != "cuda" or query.dtype is torch.float32:
        return query.float() @ keys.float().mT
    flat = torch.bmm(query.flatten(0, 1), keys.flatten(0, 1).mT, out_dtype=torch.float32)  # without copies in fp32
    return flat.unflatten(0, query.shape[:2])


def _attend(module, query, key, value, attention_mask, **how):
    """Called by the library's models in place of their own attention, while some thread wants it."""
    from transformers import AttentionInterface

    attend = _attends.get() or AttentionInterface()["sdpa"]
    return attend(module, query, key, value, attention_mask, **how)


@contextmanager
def _attending(model, attend):
    """The model attends as the function `attend` does, in this thread; in others as they want it, or by sdpa."""
    config = model.config.get_text_config()
    _count(config, 1)
    ours = _attends.set(attend)
    try:
        yield
    finally:
        _attends.reset(ours)
        _count(config, -1)


def _count(config, change):
    """Count the threads in which the model of that configuration attends as we do; while there are any, it asks us."""
    with _changing:
        _in_use[id(config)] += change
        config._attn_implementation = SHARED if _in_use[id(config)] else "sdpa"
        if not _in_use[id(config)]:
            del _in_use[id(config)]


@functools.cache
def shared_layer():
    """The class of a layer of SharedPrompts."""
    from transformers.cache_utils import DynamicLayer

    class SharedLayer(DynamicLayer):
        """prompts: keys and values, of shape (prompts, heads, tokens, size). Those of the answers have room to grow."""

        def __init__(self, room):
            super().__init__()
            self.room, self.prompts, self.answers, self.length = room, None, None, 0

        def update(self, key_states, value_states, *_, **__):
            if self.prompts is None:
                # as the steps want them: else each would copy them
                self.prompts, self.is_initialized = (key_states.contiguous(), value_states.contiguous()), True
                return self.prompts
            states = key_states, value_states
            if self.answers is None:
                self.answers = [each.new_zeros(*each.shape[:2], self.room, each.shape[-1]) for each in states]
            return self.write(states)

        def write(self, states):
            """Add the keys and values of one more token; those of all answers so far."""
            for buffer, each in zip(self.answers, states, strict=True):
                buffer[:, :, self.length] = each[:, :, 0]
            self.length += 1
            return [buffer[:, :, : self.length] for buffer in self.answers]

        def get_seq_length(self):
            return 0 if self.prompts is None else self.prompts[0].shape[-2] + self.length

        def keep(self, rows, prompts):
            if len(prompts) < len(self.prompts[0]):
                self.prompts = [each[prompts] for each in self.prompts]
            if self.answers is not None:
                self.answers = [self._chosen(buffer, rows) for buffer in self.answers]

        def _chosen(self, buffer, rows):
            """Some rows of a buffer; what is not written yet is not copied."""
            chosen = buffer.new_zeros(len(rows), *buffer.shape[1:])
            chosen[:, :, : self.length] = buffer[rows, :, : self.length]
            return chosen

    return SharedLayer


@functools.cache
def _cache_name(kind):
    """What a kind of model calls its cache: given by another name it would see one token at a time, and say nothing."""
    return "cache" if "cache" in inspect.signature(kind.forward).parameters else "past_key_values"


def seen(mask):
    """Which tokens each token sees, of shape (prompts, 1, tokens, tokens), from a mask of shape (prompts, tokens).

    As it is, and not as the library makes it of the mask: there a token of the padding sees nothing, of which some
    kernels make nan.
    """
    import torch

    keys = mask.shape[1]
    before = torch.ones(keys, keys, dtype=torch.bool, device=mask.device).tril()
    return (mask[:, None, None, :].bool() & before) | torch.eye(keys, dtype=torch.bool, device=mask.device)


def attends_plainly(model):
    """Whether each token of a model sees all before it in every layer, by its keys and a mask alone; asked of it once."""
    if model not in _plain:
        config = model.config.get_text_config()
        kinds = {*(getattr(config, "layer_types", None) or ())}
        nearer = ("sliding_window", "attention_chunk_size", "alibi")
        plain = kinds <= {"full_attention"} and not any(getattr(config, name, None) for name in nearer)
        usual = model._supports_attention_backend and config._attn_implementation in ("sdpa", SHARED)
        _plain[model] = bool(plain and usual and _uses_what_is_remembered(model))
    return _plain[model]


def _uses_what_is_remembered(model):
    """Whether attention in each layer is given just what the cache returned for that layer, our mask, and no more."""
    import torch
    from transformers import AttentionInterface

    trial, calls = SharedPrompts(model, 1), []
    ids = torch.ones(1, 2, dtype=torch.long, device=model.device)
    mask = seen(ids)

    def watch(module, query, key, value, attention_mask, **how):
        keys, values = trial.cache.layers[module.layer_idx].prompts
        unusual = [name for name, of in how.items() if of is not None and of is not False and name not in USUAL]
        as_given = key is keys and value is values and attention_mask is mask
        calls.append(module.layer_idx if as_given and not unusual else None)
        return AttentionInterface()["sdpa"](module, query, key, value, attention_mask, **how)

    with torch.inference_mode(), _attending(model, watch):
        trial._logits(ids, ids.cumsum(1) - 1, mask)
    return calls == [*range(len(trial.cache.layers))]
