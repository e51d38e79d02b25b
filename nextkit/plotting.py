"""Plotting: one function for each figure, drawn from stored results. Each returns a matplotlib Axes."""

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"


def plot_rounds(table, *, blind=None, ax=None):
    """pass@1 and pass@8 by round with 95 % intervals; the blind edit's rate as a dashed line of the same colour.

    table: rows with columns model, k, pass_at_k, low, high, tasks. blind: rows of the control, with k and pass_at_k.
    """
    ax = ax or _axes(6, 3.6)
    for k, color in zip(sorted(table.k.unique()), (BLUE, ORANGE, GREY), strict=False):
        rows = table[table.k == k]
        errors = [100 * (rows.pass_at_k - rows.low), 100 * (rows.high - rows.pass_at_k)]
        style = dict(color=color, marker="o", capsize=3, clip_on=False)
        ax.errorbar(rows.model, 100 * rows.pass_at_k, errors, label=f"pass@{k}", **style)
        if blind is not None and k in set(blind.k):
            level = 100 * blind[blind.k == k].pass_at_k.iloc[0]
            ax.axhline(level, color=color, ls="--", lw=1, label=f"blind edit, pass@{k}")
    ax.set(ylim=(0, 100), ylabel="tasks repaired, %", title=f"NExT by round, {int(table.tasks.iloc[0])} tasks")
    ax.legend(frameon=False, fontsize=8, ncols=2)
    return ax


def plot_comparison(table, *, k=1, ax=None):
    """A dot with its 95 % interval for each model and control; only the name where there is no rate."""
    rows = table[table.k == k].iloc[::-1]
    ax = ax or _axes(6, 0.42 * len(rows) + 1)
    errors = [100 * (rows.pass_at_k - rows.low), 100 * (rows.high - rows.pass_at_k)]
    ax.errorbar(100 * rows.pass_at_k, rows.model, xerr=errors, fmt="o", color=BLUE, capsize=3, clip_on=False)
    ax.set(xlim=(0, 100), xlabel="tasks repaired, % (95 % interval)", title=f"The gain and its controls, pass@{k}")
    ax.set_ylim(-0.5, len(rows) - 0.5)  # of its own matplotlib leaves out an end without a dot
    return ax


def plot_controls(table):
    """pass@1 and, where it was measured, pass@8 of every control side by side; dashed lines for the base and NExT."""
    import matplotlib.pyplot as plt

    from nextkit.ablations import BASE, NEXT

    ks = sorted(table.k.unique())
    rows = table.model.nunique()
    _, axes = plt.subplots(1, len(ks), figsize=(9, 0.36 * rows + 1.2), sharey=True, squeeze=False, layout="constrained")
    for k, ax in zip(ks, axes[0], strict=True):
        ax.spines[["top", "right"]].set_visible(False)
        plot_comparison(table, k=k, ax=ax)
        rates = table[table.k == k].set_index("model").pass_at_k
        for name, color in ((BASE, GREY), (NEXT, ORANGE)):
            ax.axvline(100 * rates[name], color=color, ls="--", lw=1)
        ax.set_title(f"pass@{k}")
    return axes[0]


def plot_loss(losses, *, ax=None):
    """The loss on the completions, step by step."""
    ax = ax or _axes(6, 2.6)
    ax.plot(range(1, len(losses) + 1), losses, color=BLUE, lw=1.5)
    ax.set(xlabel="step", ylabel="loss", title="LoRA tuning: loss on the completions")
    return ax


def plot_verdicts(verdicts, *, most=9, ax=None):
    """How many samples passed, and why the others did not: the commonest reasons, at most `most` bars."""
    from collections import Counter

    from nextkit.filtering import why

    counts = Counter(why(verdict) for verdict in verdicts)
    return plot_counts(counts, label="samples", title=f"{len(verdicts)} samples, judged", most=most, ax=ax)


def plot_claims(table, *, ax=None):
    """The share of claims that are true, undecided and false, a bar a model for passing and failing fixes apart.

    table: of `grounding.claims_table`, with a column model.
    """
    models = dict.fromkeys(table.model)
    groups = {
        (model, ok): table[table.model.eq(model) & table.passed.eq(ok)] for model in models for ok in (True, False)
    }
    groups = {key: rows for key, rows in reversed(groups.items()) if len(rows)}
    ax = ax or _axes(7, 0.5 * len(groups) + 1)
    names = [f"{model}, {'passed' if ok else 'failed'} (n={len(rows)})" for (model, ok), rows in groups.items()]
    start = [0.0] * len(groups)
    for holds, said, color in ((True, "true", BLUE), (None, "undecided", "#dddddd"), (False, "false", ORANGE)):
        shares = [100 * sum(value is holds for value in rows.holds) / len(rows) for rows in groups.values()]
        if not any(shares):
            continue
        ax.barh(names, shares, left=start, color=color, label=said)
        start = [one + other for one, other in zip(start, shares, strict=True)]
    ax.set(xlim=(0, 100), xlabel="claims, %")
    ax.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def plot_counts(counts, *, label, title, most=30, ax=None):
    """A bar for each of the `most` commonest, longest first, "passed" in colour; counts: a Counter. Raises ValueError
    where there is nothing to draw."""
    if not counts:
        raise ValueError(f"there are no {label} to draw: give some")
    common = counts.most_common(most)
    rest = counts.total() - sum(count for _, count in common)
    common = ([*common, ("other", rest)] if rest else common)[::-1]
    names, lengths = zip(*common, strict=True)
    ax = ax or _axes(6, 0.26 * len(common) + 1)
    bars = ax.barh(names, lengths, color=[BLUE if name == "passed" else GREY for name in names])
    ax.bar_label(bars, padding=3, fontsize=8)
    ax.tick_params(axis="y", labelsize=9)
    ax.set(xlabel=label, title=title)
    return ax


def _axes(width, height):
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
