"""Ablations: each control changes one thing, and the table is read as it is."""

from dataclasses import replace

import pandas as pd
import pytest

from nextkit import stages
from nextkit.ablations import BASE, BLIND, CONTROLS, NEXT, compare, read
from nextkit.finetuning import Adapter
from nextkit.runs import Run
from nextkit.sampling import Sample
from nextkit.selftraining import SelfTrainingSettings

RIGHT, WRONG = "def f(x):\n    return x + 1", "def f(x):\n    return x + 3"
SAID = "It returns 0, not 2. In `return x - 1` change `-` to `+`."
SETTINGS = SelfTrainingSettings(rounds=1, samples=4, eval_samples=8, hard=0.5)


class Scripted:
    """Right once in four tries; tuned, three times in four, but once where it is shown nothing."""

    def sample(self, prompts, n, *, adapter=None, **options):
        return [[self.one(p, k, adapter) for k in range(n)] for p in prompts]

    def one(self, prompt, k, adapter):
        right = k % 4 < (3 if adapter and "# (0)" in prompt.text else 1)
        fix = RIGHT if right else WRONG
        text = fix if prompt.text.endswith("# Fix:") else f" {SAID}\n# Fix:\n{fix}"
        return Sample(prompt.task_id, prompt.text, text, SAID, fix, 3, "stop")


@pytest.fixture
def asked(monkeypatch):
    """What is tuned on, in order."""
    asked = []

    def fake(base, examples, out, settings=None, *, chat=False, apart=False):
        asked.append(examples)
        return Adapter(str(out), base, len(examples), 1, 1, (1.0,), 2.0)

    monkeypatch.setattr(stages, "finetune", fake)
    return asked


@pytest.fixture
def table(asked, task, tmp_path):
    tasks = [task], [replace(task, task_id="t/dev")], [replace(task, task_id=f"t/{k}") for k in range(5)]
    return compare(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted())


def test_every_control_has_a_row_for_each_k_with_interval_differences_and_cost(table):
    assert list(table.model.unique()) == [BLIND, *CONTROLS]
    assert set(table.k) == {1, 8} and (table.low <= table.pass_at_k).all() and (table.pass_at_k <= table.high).all()
    tuned = table[~table.model.isin([BLIND, BASE])]
    assert (tuned.kept > 0).all() and (tuned.seconds > 0).all() and (tuned.tokens == 5 * 8 * 3).all()


def test_differences_are_from_the_base_and_from_next(table):
    rows = table[table.k == 1].set_index("model")
    assert rows.loc[NEXT].over_base == pytest.approx(0.5) and rows.loc[NEXT].over_next == 0
    assert rows.loc["trace removed at test"].over_next == pytest.approx(-0.5) and rows.loc[BASE].over_next == -0.5


def test_each_control_is_tuned_on_what_it_says(asked, table):
    prompts = dict(zip(list(CONTROLS)[1:5], asked, strict=False))
    assert "# (0)" in prompts[NEXT][0].prompt and "# (" not in prompts["no trace"][0].prompt
    assert "# got 0" in prompts["failing test only"][0].prompt and "# (" not in prompts["failing test only"][0].prompt
    assert prompts["fix only"][0].completion.startswith("def f") and prompts["fix only"][0].prompt.endswith("# Fix:")


def test_some_controls_may_be_left_out(asked, task, tmp_path):
    found = compare(SETTINGS, Run(tmp_path), [task], [task], [task], names=["fix only"], sampler=Scripted())
    assert list(found.model.unique()) == [BLIND, BASE, NEXT, "fix only"]


def test_an_unknown_control_is_named(task, tmp_path):
    with pytest.raises(ValueError, match="no control 'magic': choose from base, NExT"):
        compare(SETTINGS, Run(tmp_path), [task], [task], [task], names=["magic"], sampler=Scripted())


def row(model, rate, low, high, gain, gain_low, gain_high):
    return dict(model=model, k=1, pass_at_k=rate, low=low, high=high, over_base=gain, over_base_low=gain_low,
                over_base_high=gain_high, over_next=0, over_next_low=0, over_next_high=0)  # fmt: skip


@pytest.mark.parametrize(
    "rates, said",
    [((0.5, 0.4, 0.6, 0.3, 0.2, 0.4), "50.0 %, +30.0 points [+20.0, +40.0] over the base: a gain."),
     ((0.2, 0.1, 0.3, 0.0, -0.1, 0.1), "no clear difference."), ((0.1, 0.0, 0.1, -0.1, -0.2, -0.01), "a loss."),
     ((0.3, 0.1, 0.5, 0.1, 0.01, 0.2), "a gain, but not clearly above blind edits.")],
)  # fmt: skip
def test_the_table_is_read_whatever_it_says(rates, said):
    table = pd.DataFrame([row(BLIND, 0.1, 0.05, 0.15, 0, 0, 0), row(BASE, 0.2, 0.1, 0.3, 0, 0, 0), row(NEXT, *rates)])
    assert read(table).splitlines()[-1].endswith(said)
