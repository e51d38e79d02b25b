"""Programs of the offline models' little world: assembled from parts, or of a hand-written family, with arguments.

`draw_program(rng)` returns a correct Program with a description that is exact because both were made of the same
parts. Its `key` names what the program is made of, without identifiers and constants: splits are made by this key,
so that no combination of parts is in two splits.
"""

import ast
import builtins
import keyword
import re
from dataclasses import dataclass

from nextkit.offline.families import FAMILIES, UNSEEN
from nextkit.offline.parts import ACCUMULATORS, CONDITIONS, FINISHES, SOURCES, TRANSFORMS

POOLS = dict(
    f=[
        "f",
        "g",
        "solve",
        "calc",
        "run",
        "func",
        "find_sum",
        "get_values",
        "check",
        "find_all",
        "total_of",
        "process",
        "compute",
        "make_list",
    ],
    xs=["xs", "nums", "vals", "items", "data", "arr", "lst", "numbers", "values", "list1", "seq"],
    zs=["zs", "other", "list2", "ys", "b_list", "rest"],
    ws=["words", "ws", "names", "tokens", "strs"],
    x=["x", "v", "e", "y", "num", "val", "item", "el", "z"],
    y=["y", "w", "q", "other", "b", "second"],
    i=["i", "j", "k", "idx", "pos"],
    t=["t", "total", "acc", "res", "ans", "r", "out", "result", "cnt", "best"],
    u=["u", "got", "new", "kept", "final", "runs"],
    s=["s", "text", "word", "line", "str1", "name", "msg"],
    c=["c", "ch", "char", "letter"],
    w=["w", "word", "tok", "item"],
    r=["r", "row", "part", "group"],
    n=["n", "num", "m", "number", "a", "size"],
    m=["m", "b", "other", "top", "target"],
    p=["p", "k", "limit", "low", "bound", "h"],
    q=["q", "key", "mark", "sub", "letters"],
    a=["a", "first", "prev"],
    b=["b", "second", "cur", "base"],
    z=["z", "d", "step"],
)
# Combinations of parts that would be a held-out family under another name.
HELD_OUT = [{"digits", "sum"}, {"strdigits", "sum"}, {"last", "below"}, {"ifelse", "evenindex"}, {"below#", "sum"}]
SYLLABLES = [c + v for c in "bcdfgmnprst" for v in "aeiou"]
ONSETS = [
    "",
    *"bcdfghjklmnprstvwz",
    "br",
    "ch",
    "cl",
    "cr",
    "dr",
    "fl",
    "gr",
    "pl",
    "pr",
    "sh",
    "sp",
    "st",
    "str",
    "th",
    "tr",
]
VOWELS = [*"aeiouy", "ai", "ea", "ee", "ie", "oo", "ou"]
CODAS = ["", *"bdglmnprstxk", "ck", "ct", "ll", "lt", "nd", "ng", "nt", "rk", "rm", "rt", "ss", "st", "th"]


@dataclass(frozen=True)
class Program:
    """A correct program. key: its parts; family: "assembled" or a name; params: name -> kind of argument, in order."""

    description: str
    code: str
    entry: str
    params: tuple[tuple[str, str], ...]
    key: str
    family: str


def draw_program(rng, *, families=0.35):
    """A random program; of a hand-written seen family with probability `families`, else assembled from parts."""
    if rng.random() < families:
        return from_family(rng, rng.choice([family for family in FAMILIES if family.name not in UNSEEN]))
    return (_formula if rng.random() < 0.12 else _assembled)(rng)


def draw_unseen(rng):
    """A random program of one of the ten families that are held out whole."""
    return from_family(rng, rng.choice([family for family in FAMILIES if family.name in UNSEEN]))


def from_family(rng, family):
    """A program of one hand-written Family, with its constants drawn."""
    a = rng.randint(1, 6)
    constants = dict(a=a, b=rng.randint(2, 5), k=rng.randint(2, 6), top=a + rng.randint(4, 9), one=rng.randint(0, 1))
    code = family.code
    for name, value in constants.items():
        code = code.replace(f"{{{name}}}", str(value))
    words = rng.choice(family.words)
    return finished(rng, words, code, family.params, key=family.name, family=family.name, constants=constants)


def _assembled(rng):
    """One loop of Source, Condition, Transform and Accumulator, and perhaps a Finish."""
    while True:
        source = weighted(rng, SOURCES)
        accumulator = weighted(rng, [a for a in ACCUMULATORS if source.kind in a.kinds and _fits(a, source)])
        transform = _transform(rng, source, accumulator)
        has = accumulator.condition in ("must", "own") or rng.random() < 0.45
        condition = (
            weighted(rng, [c for c in CONDITIONS if c.kind == source.kind and _fits(c, source)]) if has else None
        )
        if transform is None or (accumulator.name in ("count", "indexes") and condition is None):
            continue
        finishes = [f for f in FINISHES if f.kind == accumulator.gives and accumulator.name not in ("any", "all")]
        finish = rng.choice(finishes) if finishes and rng.random() < 0.22 else None
        parts = [source, condition, transform or None, accumulator, finish]
        names = [getattr(part, "name", "-") or "-" for part in parts]
        if not any(held <= {names[0] + "#", *names} for held in HELD_OUT):
            return _loop(rng, source, condition, transform, accumulator, finish, "|".join(names))


def _fits(part, source):
    return part.needs != "index" or bool(source.index)


def _transform(rng, source, accumulator):
    """A Transform that the accumulator takes; "" for none; None when the accumulator cannot take this source."""
    plain = "int" if source.kind == "int" else "str"
    usable = [t for t in TRANSFORMS if t.kind == source.kind and t.gives in accumulator.takes and _fits(t, source)]
    if accumulator.transform and usable and (plain not in accumulator.takes or rng.random() < 0.45):
        return weighted(rng, usable)
    return "" if plain in accumulator.takes else None


def _loop(rng, source, condition, transform, accumulator, finish, key):
    params, slots = dict(source.params), _slots(rng)
    element = source.element
    if condition and condition.needs in ("param", "letters"):
        params |= {"p": "small"} if condition.needs == "param" else {"q": "abc"}
    c_code, c_words = _filled(rng, condition, slots, element) if condition else ("", "")
    v_code, v_words = _filled(rng, transform, slots, element) if transform else (element, "{n}")
    chosen = f"{source.noun} that {c_words}" if condition else source.noun
    words = dict(n=v_words.replace("{n}", chosen), N=source.noun, w=c_words, T=v_words.replace("{n}", source.noun))
    fill = dict(v=v_code, c=c_code) | slots
    update = [_put(line, fill) for line in accumulator.update]
    if condition and accumulator.condition != "own":
        update = [f"if {c_code}:", *indented(update)]
    depth = len(source.loop)
    body = [*source.before, *source.loop, *indented([*source.inner, *update, *source.after], depth)]
    if not accumulator.init and not accumulator.ends:
        raise AssertionError(accumulator.name)
    ending, tail = [*accumulator.ends], ""
    if accumulator.result:
        code, tail = _filled(rng, finish, _slots(rng), "") if finish else ("return {r}", "")
        ending = [code.replace("{r}", accumulator.result)]
    description = _put(rng.choice(accumulator.words), words | slots) + (f", {tail}" if tail else "")
    code = "\n".join([f"def f({', '.join(params)}):", *indented([*accumulator.init, *body, *ending])])
    wording = description[0].upper() + description[1:] + "."
    return finished(rng, wording, code, params, key=key, family="assembled")


def _formula(rng):
    """A few steps of arithmetic on one to three numbers, some of them under a condition."""
    params = {name: "nat" for name in "nmp"[: rng.choice([1, 2, 2, 3])]}
    verbs = {"+": "add {}", "-": "subtract {}", "*": "multiply by {}"}
    first = rng.choice(list(params))
    lines, words, key = [f"t = {first}"], [f"start with {{{first}}}"], ["formula", str(len(params))]
    for _ in range(rng.choice([1, 2, 2, 3])):
        op = rng.choice("+-*")
        operand = rng.choice([*params, str(rng.randint(2, 9)), str(rng.randint(2, 9))])
        shown = f"{{{operand}}}" if operand in params else operand
        step, said = f"t {op}= {operand}", verbs[op].format(shown)
        key.append(op + ("p" if operand in params else "k"))
        if rng.random() < 0.5:
            k = rng.randint(2, 9)
            tests = [
                ("t > {}", "the result is above {}"),
                ("t < {}", "the result is below {}"),
                ("t % 2 == 0", "the result is even"),
            ]
            tests += [(f"{first} > {{}}", f"{{{first}}} is above {{}}")]
            code, when = rng.choice(tests)
            lines += [f"if {code.replace('{}', str(k))}:", f"    {step}"]
            words.append(f"if {when.replace('{}', str(k))}, {said}")
            key.append("if" + code[0] + code[2])
        else:
            lines.append(step)
            words.append(said)
    code = "\n".join([f"def f({', '.join(params)}):", *indented([*lines, "return t"])])
    description = "; ".join(words)
    return finished(
        rng, description[0].upper() + description[1:] + ".", code, params, key=" ".join(key), family="formula"
    )


def finished(rng, words, code, params, *, key, family, constants=None):
    """The Program with identifiers drawn anew, in code, description and parameters alike."""
    names = _names(rng, _identifiers(code))
    words = _put(words, (constants or {}) | {name: f"`{names[name]}`" for name in params})
    return Program(
        words, rename(code, names), names["f"], tuple((names[n], kind) for n, kind in params.items()), key, family
    )


class _Renamed(ast.NodeTransformer):
    def __init__(self, names):
        self.names = names

    def visit_Name(self, node):
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node):
        return ast.arg(self.names.get(node.arg, node.arg))

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        return node


def _identifiers(code):
    """The function's name, then all that it binds."""
    nodes = list(ast.walk(ast.parse(code)))
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    functions = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    return [*functions, *sorted(stored | {node.arg for node in nodes if isinstance(node, ast.arg)})]


def _names(rng, wanted):
    """A distinct name for each canonical one: mostly from its pool, at times two words, at times made of syllables."""
    names = {}
    for name in wanted:
        while name not in names:
            kind = rng.random()
            if kind < 0.8:
                drawn = rng.choice(POOLS[name])
            elif kind < 0.88:
                drawn = rng.choice(POOLS["t"]) + "_" + rng.choice(POOLS["x"])
            else:
                drawn = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 3)))
            if drawn not in names.values():
                names[name] = drawn
    return names


def rename(code, names):
    """The code with its identifiers replaced; names: identifier -> another."""
    return ast.unparse(_Renamed(names).visit(ast.parse(code)))


def draw_names(rng, code):
    """identifier -> its new name, for most that the code defines: one or two words that stand in no pool."""
    names = {}
    for name in _identifiers(code):
        while name not in names:
            drawn = name if rng.random() < 0.3 else "_".join(_invented(rng) for _ in range(rng.choice([1, 1, 1, 2])))
            if not (drawn in names.values() or keyword.iskeyword(drawn) or hasattr(builtins, drawn)):
                names[name] = drawn
    return names


def _invented(rng):
    """A word that can be spoken and is, mostly, none."""
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.choice([1, 1, 2])))


def _filled(rng, piece, slots, element):
    """A piece's code and words with its constant drawn from the range that it names."""
    k = rng.randint(piece.low, piece.high)
    fill = slots | dict(e=grouped(element, piece.code), k=k, k2=k + slots["a"], p="p", q="q")
    return _put(piece.code, fill), _put(piece.words, fill | dict(p="{p}", q="{q}", n="{n}"))


def _slots(rng):
    return dict(a=rng.randint(1, 5), b=rng.randint(1, 5), l=rng.choice("abeiox"))


def grouped(element, code):
    """The element in brackets where an operator follows it in `code`."""
    return f"({element})" if " " in element and re.search(r"\{e\}( [-+*%/]|\.|\[)|[-+] \{e\}", code) else element


def _put(template, fill):
    return re.sub(r"\{(\w+)\}", lambda found: str(fill.get(found.group(1), found.group())), template)


def indented(lines, depth=1):
    """The lines, moved right by `depth` levels."""
    return ["    " * depth + line for line in lines]


def weighted(rng, parts):
    """One of the parts, each as likely as its weight says."""
    return rng.choices(parts, [part.weight for part in parts])[0]


def draw_argument(rng, kind):
    """A random argument of a kind that parts and families name."""
    draws = dict(
        ints=lambda: [
            rng.randint(-9, 9) if rng.random() < 0.5 else rng.randint(1, 9) for _ in range(rng.randint(2, 5))
        ],
        naturals=lambda: [rng.randint(1, 4) for _ in range(rng.randint(2, 4))],
        trio=lambda: [rng.randint(1, 9) for _ in range(3)],
        pairs=lambda: [(rng.randint(1, 9), rng.randint(1, 9)) for _ in range(rng.randint(2, 3))],
        rows=lambda: [[rng.randint(0, 9) for _ in range(rng.randint(1, 3))] for _ in range(2)],
        nat=lambda: rng.randint(1, 12),
        signed=lambda: rng.randint(-3, 3),
        tiny=lambda: rng.randint(1, 4),
        small=lambda: rng.randint(2, 8),
        mid=lambda: rng.randint(3, 20),
        big=lambda: rng.randint(10, 9999),
        str=lambda: _word(rng, 3, 6, rng.choice(["abeiox", "aBeIoX", "ab12e", "python"])),
        abc=lambda: _word(rng, 3, 5, "abo"),
        letter=lambda: rng.choice("abo"),
        words=lambda: [_word(rng, 1, 4, rng.choice(["abeiox", "ab"])) for _ in range(rng.randint(2, 4))],
        sentence=lambda: " ".join(_word(rng, 1, 4, "abeiox") for _ in range(rng.randint(2, 3))),
    )
    return draws[kind]()


def _word(rng, shortest, longest, letters):
    return "".join(rng.choice(letters) for _ in range(rng.randint(shortest, longest)))
