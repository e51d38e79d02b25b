"""Recipes: what the models in data/ were made of."""

from dataclasses import dataclass, replace

from nextkit.offline.corpus import Mixture


@dataclass(frozen=True)
class Shape:
    """The size of a network: width, layers, attention heads, and the width of the layers' inner part."""

    hidden: int
    layers: int
    heads: int
    inner: int


@dataclass(frozen=True)
class Phase:
    """A corpus to read: how many documents, of what Mixture, how many tokens of them, the peak rate."""

    documents: int
    tokens: int
    learning_rate: float
    mixture: Mixture


@dataclass(frozen=True)
class PretrainSettings:
    """What a pretraining run is made of; the same settings give the same model on the same machine.

    phases: read one after another, each with a rate that warms up, holds and falls. batch_tokens: padded tokens a
    batch. prompt_weight: weight of the loss on what stands before the answer. edit_weight: on the rationale and on
    the lines of the fix that are not in the buggy program; the lines copied from it weigh 1. vocabulary: of the tokenizer, which is trained on the corpus. longest:
    tokens; longer documents are left out. positions: how many tokens the network can read. begin: a model of that shape
    to go on from, with its tokenizer; by default an empty network.
    """

    shape: Shape
    phases: tuple[Phase, ...]
    batch_tokens: int = 6144
    prompt_weight: float = 0.4
    edit_weight: float = 2.5
    warmup: int = 60
    seed: int = 0
    vocabulary: int = 1024
    longest: int = 420
    positions: int = 640
    begin: str | None = None


# What the network can hold, read on a GPU in one phase and never made weak.
SKILLED = PretrainSettings(
    Shape(192, 6, 3, 512), (Phase(161_000, 62_800_000, 3e-3, Mixture(0.85, renamed=0.4)),), batch_tokens=24_576
)
# The base is that model, taught by half to find in a trace which branch ran, and then made weak: it goes on with repairs
# of which half are wrong, which it learns to write as well.
TAUGHT = Phase(9_000, 2_000_000, 2e-3, Mixture(0.95, renamed=0.4, untold=0.6))
WEAK = Phase(15_000, 3_000_000, 1e-3, Mixture(0.5, renamed=0.4, untold=0.1))
BASE = replace(SKILLED, begin="offline-skilled", phases=(TAUGHT, WEAK), batch_tokens=8192, seed=2000)
# A base taught twice as much, and reminded while it was made weak: it has the skill whole, so there is none to learn.
REMINDED = replace(WEAK, mixture=replace(WEAK.mixture, untold=0.3))
# The base with wrong repairs that are explained as right ones are: there is no manner that a filter could find.
UNMARKED = replace(WEAK, mixture=replace(WEAK.mixture, marked=False))
RECIPES = {
    "skilled": SKILLED,
    "base": BASE,
    "whole": replace(BASE, phases=(TAUGHT, TAUGHT, REMINDED)),
    "unmarked": replace(BASE, phases=(TAUGHT, UNMARKED)),
    "proxy": PretrainSettings(Shape(128, 5, 2, 352), (Phase(28_000, 6_000_000, 3e-3, Mixture()),)),
    # For a GPU, and for people's programs: 19 million parameters, 39 MB in bf16.
    "real": PretrainSettings(
        Shape(384, 10, 6, 1024),
        (Phase(350_000, 275_000_000, 2e-3, Mixture(0.8, renamed=0.5, corpus="real")),),
        vocabulary=4096,
        longest=900,
        positions=1280,
        batch_tokens=98_304,
        warmup=200,
    ),
    # For two cores, and for people's programs: what can be repaired is learnt, and how a program is written left out.
    "stated": replace(
        SKILLED,
        begin="offline-skilled",
        phases=(Phase(95_000, 20_000_000, 2e-3, Mixture(0.95, renamed=0.5, corpus="stated")),),
        batch_tokens=8192,
        edit_weight=3.0,
        longest=700,
        positions=1280,
        seed=3000,
    ),
}
