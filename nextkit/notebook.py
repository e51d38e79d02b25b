"""What the notebooks share: which model they use, and how much work they do.

NEXTKIT_MODEL names another model for the whole series: a folder, a name on the Hugging Face hub, or a server and such a
name (http://localhost:8000/v1#Qwen/Qwen2.5-Coder-7B-Instruct), which is then sampled from there and tuned here.
NEXTKIT_CHAT=0 sends it prompts as plain text, not as the turns of a chat. NEXTKIT_FAST=1 shrinks the work for continuous
integration; NEXTKIT_DATA names a folder with public data sets, such as mbpp.jsonl.
"""

import os
import warnings
from functools import cache
from pathlib import Path

import pandas as pd

from nextkit.few_shot import few_shot, instruction
from nextkit.prompting import build_prompt
from nextkit.runs import Run
from nextkit.sampling import LocalSampler
from nextkit.sampling.endpoint import EndpointSampler
from nextkit.sampling.loading import is_url
from nextkit.settings import switched_on
from nextkit.tasks import DATA as TASK_DATA
from nextkit.tasks import RepairTask


def server_and_model(named):
    """What NEXTKIT_MODEL names, in two: the server's url or None, and the model. Raises ValueError for a server alone."""
    url, _, name = named.partition("#")
    if not is_url(named):
        return None, _found(named)
    if not name:
        raise ValueError(f"NEXTKIT_MODEL={named!r} names no model of the server: write {url}#name")
    return url, name


def _found(name):
    """The name, or the folder that it names where the kit lies: notebooks run one folder deeper."""
    folder = TASK_DATA.parent / name
    return str(folder) if "/" in name and (folder / "config.json").exists() else name


FAST = switched_on("NEXTKIT_FAST")
SERVER, MODEL = server_and_model(os.environ.get("NEXTKIT_MODEL", "offline-base"))
CHAT = switched_on("NEXTKIT_CHAT", "1")
SHIPPED = Path(MODEL).name.startswith("offline")  # such models were pretrained on the kit's prompts
# How self-training asks a base that has never seen them; the same is in `ask` and `sampler`.
GENERAL = {} if SHIPPED else dict(few_shot=3, instruction=True, max_tokens=256)
STOP = () if SHIPPED else ("\n# Task:",)  # a general model may go on with a task of its own making
DATA = TASK_DATA.parent / os.environ["NEXTKIT_DATA"] if os.environ.get("NEXTKIT_DATA") else None
warnings.filterwarnings("ignore", category=FutureWarning)
pd.set_option("display.max_colwidth", None)  # tables of text are there to be read

# The small example that the first notebooks share: it should return the odd numbers.
SEPARATE = RepairTask(
    task_id="example/separate",
    description="Return the odd numbers of the list.",
    buggy="def separate(lst):\n    odd = []\n    for n in lst:\n        if n % 2 == 0:\n            odd.append(n)\n    return odd",
    tests=("assert separate([1, 2, 3]) == [1, 3]", "assert separate([4]) == []", "assert separate([5, 5]) == [5, 5]"),
    reference="def separate(lst):\n    odd = []\n    for n in lst:\n        if n % 2 == 1:\n            odd.append(n)\n    return odd",
)


def size(normal, fast):
    """`normal`, or `fast` where NEXTKIT_FAST asks for little work."""
    return fast if FAST else normal


def sampler(**options):
    """The Sampler of MODEL: an EndpointSampler where SERVER serves it, else a LocalSampler; options are its own."""
    if SERVER is None:
        return local_sampler(**options)
    return EndpointSampler(SERVER, MODEL, **(dict(chat=CHAT, stop=STOP) | options))


def local_sampler(**options):
    """The LocalSampler of MODEL, for what needs its weights here, also where SERVER serves it."""
    return LocalSampler(MODEL, **(dict(chat=None if CHAT else False, stop=STOP) | options))


def ask(task, trace=None):
    """The Prompt of a task, as `build_prompt` makes it; for a general model with an instruction and solved examples."""
    return build_prompt(task, trace, **({} if SHIPPED else _told(trace is not None)))


def run_in(name):
    """The Run of a notebook: a folder of its own for each model and size of work, beside the kit's notebooks."""
    return Run(TASK_DATA.parent / "runs" / f"{name}-{Path(MODEL).name}{'-fast' * FAST}")


@cache
def _told(traced):
    style = "inline" if traced else None
    return dict(few_shot=few_shot(3, style=style), instruction=instruction(style=style))
