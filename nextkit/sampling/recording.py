"""Steps recorded and played again: on a GPU, one step of an answer is a thousand small kernels.

To ask for them one by one takes longer than they run. A CUDA graph asks once: the step is recorded, and played again
for each token. Its tensors stay where they are, so answers are looked at through a window of which a part is not
written yet, and masked; when the window is full, or rows are dropped, a step is recorded anew.
"""

import functools
import weakref

from nextkit.sampling.cache import SharedPrompts, _attending, shared_layer

WINDOW = 64  # tokens at first; then it doubles
REFUSE = weakref.WeakSet()  # models whose steps are not recorded: most of these ask their tensors what to do next


class RecordedPrompts(SharedPrompts):
    """SharedPrompts whose steps are played from a recording, where the model allows it.

    length: tokens of the answers so far. window: how many of them a step can see. place: the token that it writes,
    tokens: what it reads, both on the device. graph, logits: the recording and what it computes.
    """

    def __init__(self, model, room):
        super().__init__(model, room)
        self.room, self.length, self.window, self.graph = room, 0, 0, None

    def _layer(self, room):
        return _recorded_layer()(room, self)

    def repeat(self, n):
        import torch

        super().repeat(n)
        self.place = torch.zeros(1, dtype=torch.long, device=self.of.device)
        self.counted = torch.arange(self.room, device=self.of.device)

    def keep(self, rows):
        super().keep(rows)
        self.graph = None

    def go_on(self, tokens):
        if self.length == self.window:
            self.window, self.graph = min(self.room, max(WINDOW, 2 * self.window)), None
        self.position.add_(1)
        self.place.fill_(self.length)
        self.length += 1
        if self.model in REFUSE or not tokens.is_cuda:
            self.tokens = tokens
            return self._step()
        if self.graph is None:
            return self._record(tokens)
        self.tokens.copy_(tokens)
        self.graph.replay()
        return self.logits

    def _step(self):
        """What is done for each token, the same each time: nothing but what stands in tensors may differ."""
        self.own = self.counted[: self.window] <= self.place
        with _attending(self.model, self.attend):
            return self._logits(self.tokens[:, None], self.position, self.real)

    def _record(self, tokens):
        """Take the step, record it for those to come, and return its logits."""
        import torch

        self.tokens, self.logits = tokens.clone(), None
        first = self._step()  # what is made at a first step would else be made in the recording
        torch.cuda.synchronize(self.of.device)
        self.graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(self.of.device)  # by default that of whichever device came first
        try:
            with torch.cuda.graph(self.graph, stream=stream):
                self.logits = self._step()
        except RuntimeError as error:
            self.graph = None
            if "out of memory" in str(error).lower():
                raise
            REFUSE.add(self.model)
        return first


@functools.cache
def _recorded_layer():
    """The class of a layer of RecordedPrompts."""

    class RecordedLayer(shared_layer()):
        """A SharedLayer that writes where a tensor says, and shows a window of its answers."""

        def __init__(self, room, cache):
            super().__init__(room)
            self.cache = cache

        def write(self, states):
            for buffer, each in zip(self.answers, states, strict=True):
                buffer.index_copy_(2, self.cache.place, each)
            return [buffer[:, :, : self.cache.window] for buffer in self.answers]

        def keep(self, rows, prompts):
            self.length = self.cache.length
            super().keep(rows, prompts)

    return RecordedLayer
