"""Ablations: each control changes one thing, and the table is read as it is."""

from dataclasses import replace

import pandas as pd
import pytest

from nextkit import stages
from nextkit.ablations import BASE, BLIND, CONTROLS, NEXT, compare, read
from nextkit.finetuning import Adapter
from nextkit.plotting import plot_controls
from nextkit.runs import Run
from nextkit.sampling import Sample
from nextkit.selftraining import SelfTrainingSettings
from nextkit.stages import NothingKeptError

RIGHT, WRONG = "def f(x):\n    return x + 1", "def f(x):\n    return x + 3"
SAID = "It returns 0, not 2. In `return x - 1` change `-` to `+`."
SETTINGS = SelfTrainingSettings(rounds=1, samples=4, eval_samples=8, hard=0.5)


class Scripted:
    """Right once in four tries; tuned, three times in four, but once where it is shown nothing."""

    def __init__(self):
        self.drawn = []  # (whether tuned, temperature) of each call

    def sample(self, prompts, n, *, adapter=None, temperature, **options):
        self.drawn.append((adapter is not None, temperature))
        return [[self.one(p, k, adapter) for k in range(n)] for p in prompts]

    def one(self, prompt, k, adapter):
        right = k % 4 < (3 if adapter and "# (0)" in prompt.text else 1)
        fix = RIGHT if right else WRONG
        said = self.says(adapter)
        text = fix if prompt.text.endswith("# Fix:") else f" {said}\n# Fix:\n{fix}"
        return Sample(prompt.task_id, prompt.text, text, said, fix, 3, "stop")

    def says(self, adapter):
        return SAID


class Vague(Scripted):
    """Says nothing that could be checked, so that no sample of it is faithful."""

    def says(self, adapter):
        return "because"


class VagueOnceTuned(Scripted):
    def says(self, adapter):
        return "because" if adapter else SAID


class Wrong(Scripted):
    def one(self, prompt, k, adapter):
        return replace(super().one(prompt, k, adapter), fix=WRONG)


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
def tasks(task):
    """Training, development and held-out tasks."""
    return [task], [replace(task, task_id="t/dev")], [replace(task, task_id=f"t/held-out-{k}") for k in range(5)]


@pytest.fixture
def table(asked, tasks, tmp_path):
    return compare(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted())


def test_every_control_has_a_row_for_each_k_with_interval_differences_and_cost(table):
    assert list(table.model.unique()) == [BLIND, *CONTROLS]
    assert set(table.k) == {1, 8} and (table.low <= table.pass_at_k).all() and (table.pass_at_k <= table.high).all()
    tuned = table[~table.model.isin([BLIND, BASE, "base at 0.2"])]
    assert (tuned.kept > 0).all() and (tuned.seconds > 0).all() and (tuned.tokens == 5 * 8 * 3).all()


def test_differences_are_from_the_base_from_blind_edits_and_from_next(table):
    rows = table[table.k == 1].set_index("model")
    assert rows.loc[NEXT].over_base == pytest.approx(0.5) and rows.loc[NEXT].over_next == 0
    assert rows.loc["trace removed at test"].over_next == pytest.approx(-0.5) and rows.loc[BASE].over_next == -0.5
    assert rows.loc[NEXT].over_blind == pytest.approx(0.75 - rows.loc[BLIND].pass_at_k)
    assert rows.loc[BLIND].over_blind == rows.loc[BASE].over_base == 0


def test_each_control_is_tuned_on_what_it_says(asked, table):
    prompts = dict(zip(list(CONTROLS)[1:5], asked, strict=False))
    assert "# (0)" in prompts[NEXT][0].prompt and "# (" not in prompts["no trace"][0].prompt
    assert "# got 0" in prompts["failing test only"][0].prompt and "# (" not in prompts["failing test only"][0].prompt
    assert prompts["fix only"][0].completion.startswith("def f") and prompts["fix only"][0].prompt.endswith("# Fix:")


def test_base_and_next_are_drawn_at_a_lower_temperature_after_tuning_only(asked, tasks, tmp_path):
    sampler = Scripted()
    found = compare(SETTINGS, Run(tmp_path), *tasks, names=["base at 0.2", "NExT at 0.2"], sampler=sampler)
    assert list(found.model.unique()) == [BLIND, BASE, NEXT, "base at 0.2", "NExT at 0.2"]
    assert asked[0] == asked[1]  # what is learnt from is NExT's
    assert [drawn for drawn in sampler.drawn if drawn[1] != 0.8] == [(False, 0.2), (True, 0.2)]


def test_some_controls_may_be_left_out(asked, tasks, tmp_path):
    found = compare(SETTINGS, Run(tmp_path), *tasks, names=["fix only"], sampler=Scripted())
    assert list(found.model.unique()) == [BLIND, BASE, NEXT, "fix only"]


def test_an_unknown_control_is_named(tasks, tmp_path):
    with pytest.raises(ValueError, match="no control 'magic': choose from base, NExT"):
        compare(SETTINGS, Run(tmp_path), *tasks, names=["magic"], sampler=Scripted())


def test_a_control_that_does_not_go_with_the_settings_is_refused_before_anything_is_computed(tasks, tmp_path):
    with pytest.raises(ValueError, match="control 'faithful only' does not go with these settings: .* or leave it out"):
        compare(replace(SETTINGS, shown="outcome"), Run(tmp_path), *tasks, sampler=Scripted())
    assert not list(tmp_path.iterdir())


@pytest.fixture
def without_faithful(asked, tasks, tmp_path):
    return compare(SETTINGS, Run(tmp_path), *tasks, names=["fix only", "faithful only"], sampler=Vague())


def test_a_control_that_keeps_nothing_has_rows_without_rates_and_the_others_stand(without_faithful):
    assert list(without_faithful.model.unique()) == [BLIND, BASE, NEXT, "fix only", "faithful only"]
    rows = without_faithful[without_faithful.model == "faithful only"]
    assert set(rows.k) == {1, 8} and rows.pass_at_k.isna().all() and (rows.kept == 0).all()
    assert without_faithful[without_faithful.model == "fix only"].over_next.notna().all()


def test_that_nothing_was_kept_is_said(without_faithful):
    assert read(without_faithful).splitlines()[-1] == "faithful only: nothing was kept, so nothing was tuned."


def test_a_control_that_keeps_nothing_is_named_in_the_figure(without_faithful):
    axes = plot_controls(without_faithful)[0]
    shown = {text.get_text(): low for low, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    assert axes.get_ylim()[0] < shown["faithful only"] < shown[NEXT] < axes.get_ylim()[1]


def test_a_control_that_keeps_nothing_in_its_second_round_counts_with_its_first(asked, tasks, tmp_path):
    settings = replace(SETTINGS, rounds=2)
    table = compare(settings, Run(tmp_path), *tasks, names=["faithful only"], sampler=VagueOnceTuned())
    rows = table[table.model == "faithful only"]
    assert (rows.kept == 1).all() and rows.pass_at_k.notna().all()


def test_that_next_itself_keeps_nothing_is_an_error(asked, tasks, tmp_path):
    with pytest.raises(NothingKeptError):
        compare(SETTINGS, Run(tmp_path), *tasks, sampler=Wrong())


def row(model, rate, over_base=(0, 0, 0), over_blind=(0, 0, 0)):
    """A row of a table, with differences and their intervals as (mean, low, high)."""
    differences = dict(over_base=over_base, over_blind=over_blind, over_next=(0, 0, 0))
    spans = {f"{name}{end}": of[at] for name, of in differences.items() for at, end in enumerate(("", "_low", "_high"))}
    return dict(model=model, k=1, pass_at_k=rate) | spans


@pytest.mark.parametrize(
    "rate, over_base, over_blind, said",
    [(0.5, (0.3, 0.2, 0.4), (0.4, 0.3, 0.5), "50.0 %, +30.0 points [+20.0, +40.0] over the base: a gain."),
     (0.2, (0.0, -0.1, 0.1), (0.1, 0.01, 0.2), "no clear difference."),
     (0.1, (-0.1, -0.2, -0.01), (0, -0.1, 0.1), "a loss."),
     (0.3, (0.1, 0.01, 0.2), (0.1, 0, 0.2), "a gain, but not clearly above blind edits.")],
)  # fmt: skip
def test_the_table_is_read_whatever_it_says(rate, over_base, over_blind, said):
    table = pd.DataFrame([row(BLIND, 0.1), row(BASE, 0.2), row(NEXT, rate, over_base, over_blind)])
    assert read(table).splitlines()[-1].endswith(said)


def test_a_table_that_cannot_be_read_says_why():
    table = pd.DataFrame(dict(model=["base", "base"], k=[1, 1]))
    for k in (1, 8):
        with pytest.raises(ValueError, match=f"pass@{k} has .* rows of .* models: there is k = 1"):
            read(table, k)
