"""Rows: the steps of a trace, out of the columns that the traced process sends.

Columns take the traced process less time to make, and the pipe less room, than a record for each step.
"""

NONE = {name: [] for name in "frames numbers lines whose changed paths literals ends prints".split()}  # noqa: SIM905


def rows(columns):
    """A list [index, line, function, depth, changes, event, value, where, output, frame] of each step.

    columns: what `Columns.written` returns, maybe through JSON. Raises ValueError where they do not fit together: a
    hostile program may have written them.
    """
    try:
        return list(_rows(**columns).values())
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        raise ValueError(f"these columns are no steps: {error}") from error


def _rows(*, frames, numbers, lines, whose, changed, paths, literals, ends, prints):
    found, known = {}, {number: rest for number, *rest in frames}
    for number, line, who in zip(range(len(lines)) if numbers is None else numbers, lines, whose, strict=True):
        name, depth, begin, frame = known[who]
        event = "call" if number == begin else "line"
        found[number] = [number, line, name, depth, [], event, "", "", "", frame]
    for number, path, literal in zip(changed, paths, literals, strict=True):
        if number in found:
            found[number][4].append([path, literal])
    for number, *end in ends:
        if number in found:
            found[number][5:8] = end
    for number, text in prints:
        if number in found:
            found[number][8] = text
    return found
