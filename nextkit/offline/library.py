"""Real code for a corpus: the functions of Python's own standard library, read from the Python that runs this.

`code()` is all of them as text, to learn how code is written. `functions()` are those that stand on their own: what
they use is built in, imported from a module that touches nothing outside, or a constant beside them. Such a function
can be run on drawn arguments, so that a bug in it makes a repair task (`draw_library_task`). The others can be edited too,
but not run: such a bug must be seen in the code alone (`draw_edited_function`). Nothing of it is kept in this project,
and another version of Python gives other functions.
"""

import ast
import builtins
import functools
import hashlib
import itertools
import random
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path

from nextkit.datasets.mutate import CATALOGUE, random_edit
from nextkit.offline.execution import run
from nextkit.offline.programs import draw_argument
from nextkit.tasks import RepairTask

MODULES = frozenset(
    """binascii bisect collections copy decimal fractions functools heapq itertools keyword math operator re statistics
    string struct textwrap unicodedata""".split()  # noqa: SIM905
)
OUTSIDE = frozenset(
    """breakpoint compile delattr dir eval exec exit globals hash help id input locals memoryview open print quit setattr
    super vars __import__""".split()  # noqa: SIM905
)
UNFIT = (
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.Global,
    ast.Nonlocal,
    ast.ClassDef,
    ast.With,
    ast.Import,
    ast.ImportFrom,
)
KINDS = ("nat", "signed", "big", "ints", "str", "sentence", "words", "letter", "pairs", "rows")
LINES = range(3, 31)
CHARACTERS = 1800
SIGNATURES = 60  # kinds of arguments that are tried on a function
CALLS = 12


@dataclass(frozen=True)
class LibraryFunction:
    """A function of the standard library that stands on its own.

    name: with its module. description: the first sentence of its docstring, or its name. program: source, with the
    imports and constants that it needs. entry: its name in the program. kinds: those of arguments that it takes, as
    `draw_argument` names them, for each of the signatures that suit it.
    """

    name: str
    description: str
    program: str
    entry: str
    kinds: tuple[tuple[str, ...], ...]


@functools.cache
def code():
    """The source of every function of the library that is not too long, each once, in a fixed order: a list of texts."""
    found = {}
    for _, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(ast.unparse(node))
    return [text for text in found if len(text) <= CHARACTERS and text.count("\n") + 1 in LINES]


@functools.cache
def functions():
    """The functions that stand on their own and can be run on drawn arguments, in a fixed order."""
    from tqdm.auto import tqdm

    alone = [found for module, tree in _modules() for found in _alone(module, tree)]
    suited = ((f, _signatures(f)) for f in tqdm(alone, desc="standard library", unit="function"))
    return [replace(function, kinds=kinds) for function, kinds in suited if kinds]


def draw_library_task(rng, shown, hidden):
    """A repair task made of a library function by one edit, or None when the draw came to nothing."""
    function = rng.choice(functions())
    calls = _calls(rng, function, rng.choice(function.kinds), 2 * (shown + hidden))[: shown + hidden]
    if len(calls) <= shown or len({value for _, value in calls[:shown]}) < 2:
        return None
    edit = random_edit(function.program, rng, weights=CATALOGUE)
    if edit is None:
        return None
    tests = tuple(f"assert {call} == {value}" for call, value in calls)
    meta = dict(family="library", key=function.name, bug=edit.kind)
    name = hashlib.sha256(f"{edit.program}{tests}".encode()).hexdigest()[:8]
    return RepairTask(
        f"library/{name}", function.description, edit.program, tests[:shown], tests[shown:], "", function.program,
        "pretrain", meta,
    )  # fmt: skip


def draw_edited_function(rng):
    """(description, edited program, program) of any function of the library; None when there is no such edit."""
    node = ast.parse(rng.choice(code())).body[0]
    program = _bare(node)
    edit = random_edit(program, rng, weights=CATALOGUE)
    return edit and (_described(node), edit.program, program)


def _paths():
    """(name, path) of each module of the library; what is installed beside it and its tests are left out."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not {"site-packages", "test", "tests", "lib2to3", "encodings", "_pydecimal"} & {*parts}:
            yield ".".join(parts), path


def _modules():
    """(name, syntax tree) of each module of the library that this Python can read."""
    for name, path in _paths():
        try:
            yield name, ast.parse(path.read_text())
        except (SyntaxError, ValueError):
            continue


def _alone(module, tree):
    """The functions of a module that stand on their own; their kinds of arguments are not known yet."""
    beside = _beside(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.args.args and not node.decorator_list and _is_fit(node):
            needed = sorted(_free(node) - {node.name})
            outer = [name for name in needed if name in beside or not hasattr(builtins, name)]
            if OUTSIDE.isdisjoint(needed) and all(name in beside for name in outer):
                program = "\n".join(dict.fromkeys([*(beside[name] for name in outer), _bare(node)]))
                if len(program) <= CHARACTERS:
                    yield LibraryFunction(f"{module}.{node.name}", _described(node), program, node.name, ())


def _beside(tree):
    """name -> source of what a function of the module may use: imports of harmless modules and short constants."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {a.asname or a.name: ast.unparse(ast.Import([a])) for a in node.names if a.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES and not node.level:
            found |= {a.asname or a.name: ast.unparse(ast.ImportFrom(node.module, [a], 0)) for a in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _is_constant(node):
            found[node.targets[0].id] = ast.unparse(node)
    return {name: text for name, text in found.items() if not text.endswith("*")}


def _is_constant(node):
    names = any(isinstance(child, ast.Name) for child in ast.walk(node.value))
    return not names and len(node.targets) == 1 and len(ast.unparse(node)) < 200


def _is_fit(node):
    inner = list(ast.walk(node))
    returns = any(isinstance(child, ast.Return) and child.value for child in inner)
    return (
        returns and not any(isinstance(child, UNFIT) for child in inner) and len(ast.unparse(node).split("\n")) in LINES
    )


def _free(node):
    """Names that a function uses and does not bind itself."""
    used, bound = set(), set()
    for child in ast.walk(node):
        if isinstance(child, ast.Name):
            (used if isinstance(child.ctx, ast.Load) else bound).add(child.id)
        elif isinstance(child, ast.arg):
            bound.add(child.arg)
        elif isinstance(child, ast.FunctionDef | ast.ExceptHandler) and child.name:
            bound.add(child.name)
    return used - bound


def _bare(node):
    """A function's source without docstring and annotations."""
    node = ast.parse(ast.unparse(node)).body[0]
    if ast.get_docstring(node) is not None and len(node.body) > 1:
        del node.body[0]
    node.returns = None
    for argument in ast.walk(node):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return ast.unparse(node)


def _described(node):
    words = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    sentence = words.split(". ")[0].rstrip(".")
    return f"{sentence}." if 10 <= len(sentence) <= 160 else f"{node.name.strip('_').replace('_', ' ').capitalize()}."


def _signatures(function):
    """The three kinds of arguments that most different values come of; the same for the same function."""
    rng, found = random.Random(function.name), {}
    arguments = ast.parse(function.program).body[-1].args
    least, most = len(arguments.args) - len(arguments.defaults), len(arguments.args)
    if most > 4 or arguments.kwonlyargs:
        return ()
    for count in range(max(1, least), most + 1):
        every = list(itertools.product(KINDS, repeat=count))
        for kinds in rng.sample(every, min(len(every), SIGNATURES)):
            found[kinds] = len({value for _, value in _calls(rng, function, kinds, CALLS // 3)})
    likely = sorted((kinds for kinds, values in found.items() if values > 1), key=found.get, reverse=True)[:6]
    told = {kinds: len({value for _, value in _calls(rng, function, kinds, CALLS)}) for kinds in likely}
    return tuple(sorted((kinds for kinds, values in told.items() if values > 3), key=told.get, reverse=True)[:3])


def _calls(rng, function, kinds, count):
    """Pairs of source text (call, literal of its value) of distinct calls that return something that can be written."""
    drawn = {repr(a): a for a in (tuple(draw_argument(rng, kind) for kind in kinds) for _ in range(count))}
    results = run(function.program, function.entry, list(drawn.values()))
    literals = [_literal(value) if ended else "" for ended, value in results]
    calls = [f"{function.entry}({', '.join(map(repr, arguments))})" for arguments in drawn.values()]
    return [(call, literal) for call, literal in zip(calls, literals, strict=True) if literal]


def _literal(value):
    """A value as source text; nothing where it is None, long, a set, which has no order, or cannot be written."""
    try:
        text = repr(value)
        fits = value is not None and len(text) < 60 and not isinstance(value, set | frozenset)
        return text if fits and ast.literal_eval(text) == value else ""
    except Exception:  # whatever the value's own methods raise, or a number of thousands of digits
        return ""
