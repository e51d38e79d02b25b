"""Files: public data sets as rows, from a path or from where their authors publish them, with errors that help."""

import gzip
import json
import zlib
from pathlib import Path


def read_rows(path):
    """Pairs (where, row) of a file of JSON lines or of one JSON array, plain or .gz; `where` names the place for errors.

    Raises FileNotFoundError where there is no such file, and ValueError for what is no JSON object, or no text.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {str(path)!r}: give the path of the data set's file, or 'hub' to fetch it")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
            text = file.read()
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): give a file of JSON lines as UTF-8, or such a one as .gz"
        ) from error
    if not text.strip():
        raise ValueError(f"{path} is empty: give the whole file, as its authors publish it")
    if text.lstrip().startswith("["):
        yield from _rows_of_array(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", _object(f"{path}, line {number}", line)


def _rows_of_array(path, text):
    try:
        items = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} begins as a JSON array and is none ({error}): fetch it anew") from error
    if not items:
        raise ValueError(f"{path} is an empty array: give the whole file, as its authors publish it")
    for number, item in enumerate(items, 1):
        where = f"{path}, item {number}"
        if not isinstance(item, dict):
            refuse(where, "the item", item, "give a JSON object")
        yield where, item


def field(where, row, names, kind, *default):
    """The first of the fields that the row has, or the default. Raises ValueError naming field, value and mend."""
    names = (names,) if isinstance(names, str) else names
    values = [row[name] for name in names if name in row] or list(default)
    if not values:
        refuse(where, names[0], None, f"it is missing: give it as {_name(kind)}")
    if not isinstance(values[0], kind) or isinstance(values[0], bool):
        refuse(where, names[0], values[0], f"give it as {_name(kind)}")
    return values[0]


def refuse(where, name, value, mend):
    """Raises ValueError naming place, field, value and mend."""
    raise ValueError(f"{where}: {name} is {str(value)[:80]!r}: {mend}")


def _name(kind):
    return " or ".join(each.__name__ for each in kind) if isinstance(kind, tuple) else kind.__name__


def from_hub(repository, name):
    """The path of a file of a data set on the Hugging Face hub, fetched if need be. Raises OSError with the way out."""
    from huggingface_hub import hf_hub_download

    try:
        return hf_hub_download(repository, name, repo_type="dataset")
    except (OSError, ValueError) as error:
        raise OSError(
            f"{name} of {repository} could not be fetched: {error}: without a network give the path of the file"
        ) from error


def _object(where, line):
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ValueError(f"{where}: {line.strip()[:60]!r} is no JSON object: write one a line, as the public file does")
    return row
