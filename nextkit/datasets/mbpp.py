"""MBPP: 974 short Python problems, each with a correct program and three asserts; what Mbpp-R is made from.

`load_mbpp` reads the file that its authors publish (google-research/google-research, mbpp/mbpp.jsonl, CC-BY-4.0) or
fetches the same rows from the Hugging Face hub. Nothing of MBPP ships with nextkit.

    problems = load_mbpp("mbpp.jsonl")
    [p for p in problems if p.split == "train"][0].reference
"""

from dataclasses import dataclass

from nextkit.datasets.files import field, from_hub, read_rows, refuse

HUB = "google-research-datasets/mbpp"
# The splits of Austin et al. 2021, by number of the problem.
SPLITS = dict(prompt=range(1, 11), test=range(11, 511), validation=range(511, 601), train=range(601, 975))


@dataclass(frozen=True)
class Problem:
    """One problem of MBPP.

    number: 1 to 974. description: in natural language. reference: a correct program, source text. tests, challenge:
    assert statements; most problems have no challenge tests. setup: code to run before the program. split: "prompt",
    "test", "validation" or "train".
    """

    number: int
    description: str
    reference: str
    tests: tuple[str, ...]
    challenge: tuple[str, ...] = ()
    setup: str = ""
    split: str = ""

    @property
    def task_id(self):
        """Its name in a task set, such as "mbpp/601"."""
        return f"mbpp/{self.number}"


def load_mbpp(path):
    """The Problems of MBPP, in the order of the file.

    path: a file of JSON lines, plain or .gz; or "hub", to fetch them from the Hugging Face hub. Raises
    FileNotFoundError where there is no such file, and ValueError naming file, line, field, value and mend for one that
    is not MBPP.
    """
    rows = _hub_rows() if path == "hub" else read_rows(path)
    problems = {}
    for where, row in rows:
        problem = _problem(where, row)
        if problem.number in problems:
            refuse(where, "task_id", problem.number, "it occurs twice: leave one of the two out")
        problems[problem.number] = problem
    return list(problems.values())


def _hub_rows():
    """Pairs (where, row) of the four files on the hub."""
    for split in SPLITS:
        name = f"full/{split}-00000-of-00001.parquet"
        rows = _read_parquet(from_hub(HUB, name))
        yield from ((f"{HUB}/{name}, row {number}", row) for number, row in enumerate(rows))


def _read_parquet(file):
    import pandas as pd

    try:
        rows = pd.read_parquet(file).to_dict("records")
    except ImportError as error:
        raise ImportError(
            "the hub's files need pyarrow: pip install pyarrow, or give the path of mbpp.jsonl"
        ) from error
    return [
        {name: value.tolist() if hasattr(value, "tolist") else value for name, value in row.items()} for row in rows
    ]


def _problem(where, row):
    """One row as a Problem; `text` is called `prompt` in the sanitized edition, and imports stand apart there."""
    number = field(where, row, "task_id", int)
    split = next((name for name, numbers in SPLITS.items() if number in numbers), None)
    if split is None:
        refuse(where, "task_id", number, "MBPP has problems 1 to 974: give one of them")
    # Two problems build trees of a class that their programs define, so this goes before each test, not the program.
    before = _plain(field(where, row, "test_setup_code", str, "")).strip()
    before = f"{before}\n" if before else ""
    return Problem(
        number,
        field(where, row, ("text", "prompt"), str),
        _plain(field(where, row, "code", str)),
        tuple(before + test for test in _texts(where, row, "test_list")),
        tuple(before + test for test in _texts(where, row, "challenge_test_list", [])),
        "\n".join(_texts(where, row, "test_imports", [])),
        split,
    )


def _texts(where, row, name, *default):
    texts = field(where, row, name, list, *default)
    if not all(isinstance(text, str) for text in texts) or not (texts or default):
        refuse(where, name, texts, "give a list of assert statements, each as text")
    return map(_plain, texts)


def _plain(text):
    """Text with line ends as Python writes them."""
    return text.replace("\r", "")
