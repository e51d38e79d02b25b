"""Grounding: does a rationale say true things?

`grounded` counts them: the claims of a rationale (`nextkit.grounding.claims`), in plain English or in the offline models'
language, held against the trace. For the offline models' language more can be said exactly: the edit that a rationale
states is applied to the buggy program and compared with the fix, and the result that it quotes with the trace.
"""

import math
from dataclasses import asdict, fields

from nextkit.grounding.claims import Claim, check_claims
from nextkit.offline.rationales import agrees, truthful

__all__ = ["Claim", "agreement", "check_claims", "claims_table", "faithful", "grounded", "truth"]


def grounded(rationale, trace, fix=None):
    """(true, false, undecided): how many claims of the rationale are so; all that `check_claims` finds."""
    holds = [claim.holds for claim in check_claims(rationale, trace, fix)]
    return holds.count(True), holds.count(False), holds.count(None)


def claims_table(tasks, samples, verdicts, traces, **labels):
    """A DataFrame with a row for each claim: labels, task_id, sample (its number), passed, and the Claim's fields.

    samples, verdicts: one list a task; traces: one a task.
    """
    import pandas as pd

    rows = []
    for task, drawn, judged, trace in zip(tasks, samples, verdicts, traces, strict=True):
        for number, (sample, verdict) in enumerate(zip(drawn, judged, strict=True)):
            about = dict(task_id=task.task_id, sample=number, passed=verdict.status == "passed")
            found = check_claims(sample.rationale, trace, sample.fix)
            rows += [labels | about | asdict(claim) for claim in found]
    columns = [*labels, "task_id", "sample", "passed", *(field.name for field in fields(Claim))]
    return pd.DataFrame(rows, columns=columns)


def faithful(task, sample, trace):
    """Whether the fix is exactly the edit that the rationale states, and the result that it quotes the true one.

    A rationale that states no edit, or quotes no result, is not faithful: it leaves nothing to check.
    """
    return agrees(task.buggy, sample.rationale, sample.fix) is True and truthful(sample.rationale, trace) is True


def agreement(tasks, samples):
    """The share of all samples whose fix is exactly the edit that the rationale states, as the offline models state it.

    nan where no rationale states an edit so, as with most other models.
    """
    return _share(
        agrees(task.buggy, sample.rationale, sample.fix)
        for task, row in zip(tasks, samples, strict=True)
        for sample in row
    )


def truth(samples, traces):
    """The share of all samples that quote a result as the offline models do, and quote the true one; traces: one a task.

    nan where no rationale quotes one so.
    """
    return _share(
        truthful(sample.rationale, trace) for row, trace in zip(samples, traces, strict=True) for sample in row
    )


def _share(flags):
    flags = list(flags)
    return math.nan if set(flags) <= {None} else sum(flag is True for flag in flags) / len(flags)
