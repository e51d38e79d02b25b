"""Settings of self-training: everything that Algorithm 1 leaves open, with our default and the paper's value.

settings_table()      # name, ours, the paper's, what it means
"""

import os
from dataclasses import dataclass, field, fields

from nextkit.few_shot import TASKS as EXAMPLES
from nextkit.finetuning import LoraSettings
from nextkit.naturalize import STYLES
from nextkit.records import check_whole
from nextkit.sampling import check_drawing

SHOWN = ("trace", "outcome", "nothing")
KEPT = ("passed", "faithful", "random")
UNKNOWN = "not known"


def _setting(default, paper, about):
    return field(default=default, metadata=dict(paper=paper, about=about))


@dataclass(frozen=True)
class SelfTrainingSettings:
    """One run of Algorithm 1; what each field means stands beside it. Raises ValueError for a value that cannot be."""

    model: str = _setting("offline-base", "PaLM 2-L", "the base, tuned again from the start in each round")
    rounds: int = _setting(2, "about 10", "rounds of sampling and tuning")
    samples: int = _setting(8, "32", "samples of a task and round")
    temperature: float = _setting(0.8, "0.8", "of sampling")
    hard: float = _setting(0.5, "0.1", "tasks with a higher pass@1 under the base are left out (line 1)")
    hard_samples: int | None = _setting(None, "32", "samples that decide it; None: those of the first round")
    per_task: int | None = _setting(4, UNKNOWN, "kept samples of a task; None for no cap")
    distinct: bool = _setting(False, UNKNOWN, "whether equal programs of a task are kept once")
    kept: str = _setting("passed", "passed", "what is learnt from: passed, faithful (see grounding), or random samples")
    shown: str = _setting("trace", "trace", "of the failing run: trace, outcome (how the test ended), or nothing")
    style: str = _setting("inline", "inline", "how the trace is written, see naturalize")
    rationale: bool = _setting(True, "yes", "whether a rationale comes before the fix")
    few_shot: int | tuple[str, ...] = _setting(
        0, "a few", "solved examples before the base's prompts, never a tuned model's: how many of ours, or texts"
    )
    instruction: bool | str = _setting(False, UNKNOWN, "whether ours stands before the base's prompts, or a text")
    max_tokens: int = _setting(200, UNKNOWN, "of an answer")
    eval_samples: int = _setting(16, UNKNOWN, "samples of a development task")
    seed: int = _setting(0, UNKNOWN, "of sampling and tuning")
    part: int = _setting(250, "-", "tasks that are stored together: what an interruption can cost")
    apart: bool = _setting(False, "-", "whether tuning runs in a process of its own, which gives all memory back")
    lora: LoraSettings = field(
        default_factory=LoraSettings, metadata=dict(paper=UNKNOWN, about="how the base is tuned")
    )

    def __post_init__(self):
        for name, choices in dict(shown=SHOWN, kept=KEPT).items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(choices)}")
        for name in ("rounds", "samples", "eval_samples", "max_tokens", "part"):
            check_whole(name, getattr(self, name), least=1)
        for name in ("per_task", "hard_samples"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), least=1)
        check_whole("seed", self.seed, least=0)
        if self.style not in STYLES:
            raise ValueError(f"style is {self.style!r}: choose one of {', '.join(STYLES)}")
        check_drawing(self.samples, self.temperature)
        if isinstance(self.few_shot, str):
            raise ValueError("few_shot is one text: give how many of the kit's own examples, or a tuple of your texts")
        if isinstance(self.few_shot, int) and not 0 <= self.few_shot <= len(EXAMPLES):
            raise ValueError(
                f"few_shot is {self.few_shot}: the kit has {len(EXAMPLES)} examples; for more, give your texts"
            )
        if not isinstance(self.lora, LoraSettings):
            raise ValueError(f"lora is {self.lora!r}: give LoraSettings(...), which say how the base is tuned")
        if not 0 <= self.hard <= 1:
            raise ValueError(f"hard is {self.hard!r}: give a share between 0 and 1")
        if self.hard_samples in (None, self.samples) and self.hard * self.samples < 1:
            raise ValueError(
                f"hard is {self.hard!r} with {self.samples} samples, so a task is hard only if none of them passes, and nothing "
                "could be learnt from it: set hard_samples=32, as in the paper, or raise hard to at least "
                f"1/{self.samples}"
            )
        if self.kept == "faithful" and not (self.rationale and self.shown == "trace"):
            raise ValueError("kept is 'faithful', which needs rationales and traces: set rationale=True, shown='trace'")


def settings_table(settings=None):
    """The settings as a DataFrame: a row a field with ours, the paper's value where it is known, and the meaning."""
    import pandas as pd

    settings = settings or SelfTrainingSettings()
    rows = [(f.name, getattr(settings, f.name), f.metadata["paper"], f.metadata["about"]) for f in fields(settings)]
    return pd.DataFrame(rows, columns=["setting", "ours", "paper", "meaning"]).set_index("setting")


def switched_on(name, default="0"):
    """Whether an environment variable asks for something: nothing, 0, no, off and false do not."""
    return (os.environ.get(name) or default).lower() not in ("", "0", "no", "off", "false")
