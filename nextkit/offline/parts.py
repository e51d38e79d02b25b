"""Parts that programs are assembled from: where values come from, which count, what is made of them, how they add up.

    for x in xs:                 a Source: "the values"
        if x % 2 == 0:           a Condition: "are even"
            t += x * 3           a Transform ("3 times ...") in an Accumulator ("sum ...")
    return t + 5                 a Finish: "plus 5"

Each part carries its piece of code and its piece of the description, so that the description of a program is exact
because it was assembled from the same parts. Code is written with canonical names (xs, x, i, t, ...) that are
replaced when the program is finished. In templates, {e} is the current element, {c} the condition, {v} the
transformed element, {k} a constant, {p} a parameter and {n} the noun for the elements.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """Where elements come from. params: name -> kind of argument; kind: "int", "char" or "word" elements."""

    name: str
    loop: tuple[str, ...]
    element: str
    noun: str
    params: dict
    kind: str = "int"
    index: str = ""
    before: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    weight: float = 3


SOURCES = [
    Source("for", ("for x in xs:",), "x", "the values", {"xs": "ints"}, weight=14),
    Source("index", ("for i in range(len(xs)):",), "xs[i]", "the values", {"xs": "ints"}, index="i", weight=8),
    Source("enumerate", ("for i, x in enumerate(xs):",), "x", "the values", {"xs": "ints"}, index="i", weight=5),
    Source("rest", ("for x in xs[1:]:",), "x", "the values after the first", {"xs": "ints"}),
    Source("butlast", ("for x in xs[:-1]:",), "x", "the values except the last", {"xs": "ints"}),
    Source("second", ("for x in xs[::2]:",), "x", "the values at even indexes", {"xs": "ints"}),
    Source("upto", ("for x in range(1, n + 1):",), "x", "the numbers from 1 to {n}", {"n": "small"}, weight=5),
    Source("from2", ("for x in range(2, n + 1):",), "x", "the numbers from 2 to {n}", {"n": "small"}),
    Source("below", ("for x in range(n):",), "x", "the numbers below {n}", {"n": "small"}),
    Source(
        "digits",
        ("while n > 0:",),
        "x",
        "the digits",
        {"n": "big"},
        inner=("x = n % 10",),
        after=("n //= 10",),
        weight=4,
    ),
    Source("strdigits", ("for c in str(n):",), "int(c)", "the digits", {"n": "big"}),
    Source(
        "zipadd", ("for x, y in zip(xs, zs):",), "x + y", "the sums of matching values", {"xs": "trio", "zs": "trio"}
    ),
    Source(
        "zipsub",
        ("for x, y in zip(xs, zs):",),
        "x - y",
        "the differences of matching values",
        {"xs": "trio", "zs": "trio"},
    ),
    Source("pairmul", ("for x, y in xs:",), "x * y", "the products of the pairs", {"xs": "pairs"}),
    Source("pairsub", ("for x, y in xs:",), "x - y", "the differences of the pairs", {"xs": "pairs"}),
    Source("pairsnd", ("for x, y in xs:",), "y", "the second values of the pairs", {"xs": "pairs"}),
    Source("nested", ("for r in xs:", "    for x in r:"), "x", "the values of all rows", {"xs": "rows"}),
    Source("rowsum", ("for r in xs:",), "sum(r)", "the sums of the rows", {"xs": "rows"}),
    Source("rowmax", ("for r in xs:",), "max(r)", "the largest values of the rows", {"xs": "rows"}),
    Source("rowfirst", ("for r in xs:",), "r[0]", "the first values of the rows", {"xs": "rows"}),
    Source(
        "adjsub", ("for i in range(len(xs) - 1):",), "xs[i + 1] - xs[i]", "the steps between neighbours", {"xs": "ints"}
    ),
    Source("adjadd", ("for i in range(len(xs) - 1):",), "xs[i] + xs[i + 1]", "the sums of neighbours", {"xs": "ints"}),
    Source(
        "while",
        ("while i < len(xs):",),
        "xs[i]",
        "the values",
        {"xs": "ints"},
        index="i",
        before=("i = 0",),
        after=("i += 1",),
        weight=5,
    ),
    Source("lengths", ("for w in ws:",), "len(w)", "the lengths of the words", {"ws": "words"}, weight=4),
    Source("chars", ("for c in s:",), "c", "the letters", {"s": "str"}, kind="char", weight=12),
    Source("charindex", ("for i in range(len(s)):",), "s[i]", "the letters", {"s": "str"}, "char", "i", weight=4),
    Source("words", ("for w in ws:",), "w", "the words", {"ws": "words"}, kind="word", weight=8),
    Source("split", ("for w in s.split():",), "w", "the words of the text", {"s": "sentence"}, kind="word"),
]


@dataclass(frozen=True)
class Piece:
    """A condition, a transform or a finish. low, high: the range of its constant {k}; gives: kind of the result."""

    name: str
    code: str
    words: str
    kind: str = "int"
    low: int = 2
    high: int = 6
    gives: str = ""
    needs: str = ""
    weight: float = 2


CONDITIONS = [
    Piece("even", "{e} % 2 == 0", "are even", weight=3),
    Piece("odd", "{e} % 2 == 1", "are odd", weight=3),
    Piece("notodd", "{e} % 2 != 0", "are odd"),
    Piece("positive", "{e} > 0", "are positive"),
    Piece("negative", "{e} < 0", "are negative"),
    Piece("above", "{e} > {k}", "are above {k}", low=1, high=7, weight=3),
    Piece("below", "{e} < {k}", "are below {k}", low=1, high=7, weight=3),
    Piece("atleast", "{e} >= {k}", "are at least {k}", low=1, high=7, weight=3),
    Piece("atmost", "{e} <= {k}", "are at most {k}", low=1, high=7, weight=3),
    Piece("divisible", "{e} % {k} == 0", "are divisible by {k}", low=2, high=5),
    Piece("indivisible", "{e} % {k} != 0", "are not divisible by {k}", low=2, high=5),
    Piece("differ", "{e} != {k}", "differ from {k}", low=1, high=7),
    Piece("equal", "{e} == {k}", "equal {k}", low=1, high=5),
    Piece("between", "{k} <= {e} <= {k2}", "lie between {k} and {k2}", low=1, high=4),
    Piece("aboveparam", "{e} > {p}", "are above {p}", needs="param"),
    Piece("belowparam", "{e} < {p}", "are below {p}", needs="param"),
    Piece("atleastparam", "{e} >= {p}", "are at least {p}", needs="param"),
    Piece("divparam", "{e} % {p} == 0", "are divisible by {p}", needs="param"),
    Piece("evenindex", "i % 2 == 0", "are at even indexes", needs="index"),
    Piece("lateindex", "i >= {k}", "are at index {k} or later", high=3, needs="index"),
    Piece("vowel", "{e} in 'aeiou'", "are vowels", "char", weight=4),
    Piece("consonant", "{e} not in 'aeiou'", "are not vowels", "char", weight=3),
    Piece("letter", "{e} == '{l}'", "equal '{l}'", "char"),
    Piece("notletter", "{e} != '{l}'", "differ from '{l}'", "char"),
    Piece("upper", "{e}.isupper()", "are upper case", "char"),
    Piece("lower", "{e}.islower()", "are lower case", "char"),
    Piece("after", "{e} > '{l}'", "come after '{l}'", "char"),
    Piece("inparam", "{e} in {q}", "occur in {q}", "char", needs="letters"),
    Piece("longer", "len({e}) > {k}", "are longer than {k}", "word", high=4, weight=3),
    Piece("shorter", "len({e}) < {k}", "are shorter than {k}", "word", high=4, weight=3),
    Piece("length", "len({e}) == {k}", "have {k} letters", "word", high=4),
    Piece("starts", "{e}.startswith('{l}')", "start with '{l}'", "word"),
    Piece("ends", "{e}.endswith('{l}')", "end with '{l}'", "word"),
    Piece("contains", "'{l}' in {e}", "contain '{l}'", "word"),
    Piece("palindrome", "{e} == {e}[::-1]", "read the same backwards", "word"),
]

TRANSFORMS = [
    Piece("square", "{e} ** 2", "the squares of {n}", gives="int"),
    Piece("times", "{e} * {k}", "{k} times {n}", gives="int", weight=3),
    Piece("plus", "{e} + {k}", "{n} plus {k}", gives="int", weight=3),
    Piece("minus", "{e} - {k}", "{n} minus {k}", gives="int", weight=3),
    Piece("remainder", "{e} % {k}", "the remainders of {n} by {k}", gives="int"),
    Piece("quotient", "{e} // {k}", "{n} divided by {k}", gives="int"),
    Piece("absolute", "abs({e})", "the absolute values of {n}", gives="int"),
    Piece("floor", "max({e}, {k})", "{n}, but at least {k}", gives="int"),
    Piece("cap", "min({e}, {k})", "{n}, but at most {k}", gives="int"),
    Piece("from", "{k} - {e}", "{k} minus {n}", gives="int"),
    Piece("linear", "{e} * {k} + {k2}", "{k} times {n} plus {k2}", gives="int"),
    Piece("plusindex", "{e} + i", "{n} plus their index", gives="int", needs="index"),
    Piece("timesindex", "{e} * i", "{n} times their index", gives="int", needs="index"),
    Piece("toupper", "{e}.upper()", "{n} in upper case", "char", gives="str"),
    Piece("tolower", "{e}.lower()", "{n} in lower case", "char", gives="str"),
    Piece("repeat", "{e} * {k}", "{n} repeated {k} times", "char", high=3, gives="str"),
    Piece("dash", "{e} + '-'", "{n} with a dash after each", "char", gives="str"),
    Piece("len", "len({e})", "the lengths of {n}", "word", gives="int", weight=4),
    Piece("initial", "{e}[0]", "the first letters of {n}", "word", gives="str"),
    Piece("final", "{e}[-1]", "the last letters of {n}", "word", gives="str"),
    Piece("reversed", "{e}[::-1]", "{n}, each reversed", "word", gives="str"),
    Piece("wordupper", "{e}.upper()", "{n} in upper case", "word", gives="str"),
]


@dataclass(frozen=True)
class Accumulator:
    """How elements add up. condition: "may", "must" or "own" (the update writes {c} itself).

    takes: kinds of transformed element it accepts. gives: kind of the result. words: variants of the description.
    """

    name: str
    init: tuple[str, ...]
    update: tuple[str, ...]
    result: str
    words: tuple[str, ...]
    takes: tuple[str, ...] = ("int",)
    gives: str = "int"
    condition: str = "may"
    transform: bool = True
    ends: tuple[str, ...] = field(default=())
    kinds: tuple[str, ...] = ("int", "char", "word")
    needs: str = ""
    weight: float = 3


ANY = ("int", "str")
ACCUMULATORS = [
    Accumulator("sum", ("t = 0",), ("t += {v}",), "t", ("sum {n}", "add up {n}"), weight=10),
    Accumulator("product", ("t = 1",), ("t *= {v}",), "t", ("multiply {n}", "return the product of {n}"), kinds=("int",)),
    Accumulator("count", ("t = 0",), ("t += 1",), "t", ("count {n}", "return how many are {n}"), ANY, condition="must", transform=False, weight=7),
    Accumulator("list", ("t = []",), ("t.append({v})",), "t", ("list {n}", "collect {n}"), ANY, "list", weight=10),
    Accumulator("max", ("t = 0",), ("if {v} > t:", "    t = {v}"), "t", ("find the largest of {n}, at least 0",), kinds=("int",)),
    Accumulator("maxcall", ("t = 0",), ("t = max(t, {v})",), "t", ("find the largest of {n}, at least 0",)),
    Accumulator("min", ("t = 99",), ("if {v} < t:", "    t = {v}"), "t", ("find the smallest of {n}, at most 99",)),
    Accumulator("first", (), ("if {c}:", "    return {v}"), "", ("return the first of {n}, or -1",), ANY, "", "own", ends=("return -1",), weight=4),
    Accumulator("last", ("t = -1",), ("if {c}:", "    t = {v}"), "t", ("return the last of {n}, or -1",), ANY, "", "own", weight=3),
    Accumulator("where", (), ("if {c}:", "    return i"), "", ("return the index of the first of {n}, or -1",), ANY, "", "own", False, ("return -1",), needs="index", weight=5),
    Accumulator("indexes", ("t = []",), ("t.append(i)",), "t", ("list the indexes of {n}",), ANY, "list", "must", False, needs="index", weight=5),
    Accumulator("any", (), ("if {c}:", "    return True"), "", ("tell whether any of {N} {w}", "return True if some of {N} {w}"), ANY, "", "own", False, ("return False",), weight=4),
    Accumulator("all", (), ("if not ({c}):", "    return False"), "", ("tell whether all of {N} {w}", "return True if all of {N} {w}"), ANY, "", "own", False, ("return True",), weight=4),
    Accumulator("ifelse", ("t = 0",), ("if {c}:", "    t += {v}", "else:", "    t -= {v}"), "t", ("add {T} if they {w}, else subtract them",), condition="own", weight=4),
    Accumulator("points", ("t = 0",), ("if {c}:", "    t += {a}", "else:", "    t -= {b}"), "t", ("give {a} points for each of {n} and take {b} for each other",), ANY, condition="own", transform=False, weight=4),
    Accumulator("mapelse", ("t = []",), ("if {c}:", "    t.append({v})", "else:", "    t.append({b})"), "t", ("list {T} if they {w}, else {b}",), ANY, "list", "own", kinds=("int",)),
    Accumulator("running", ("u = []", "t = 0"), ("t += {v}", "u.append(t)"), "u", ("list the running totals of {n}",), gives="list", weight=4),
    Accumulator("tally", ("t = {}",), ("t[{v}] = t.get({v}, 0) + 1",), "t", ("count how often each of {n} occurs",), ANY, "dict"),
    Accumulator("distinct", ("t = []",), ("if {v} not in t:", "    t.append({v})"), "t", ("list {n} without duplicates",), ANY, "list"),
    Accumulator("both", ("t = 0", "u = 0"), ("t += {v}", "u += 1"), "(t, u)", ("return the sum and the number of {n}",), gives="tuple"),
    Accumulator("partition", ("t = []", "u = []"), ("if {c}:", "    t.append({v})", "else:", "    u.append({v})"), "t + u", ("list {T}, first those that {w}, then the others",), ANY, "list", "own"),
    Accumulator("streak", ("t = 0", "u = 0"), ("if {c}:", "    t += 1", "    u = max(u, t)", "else:", "    t = 0"), "u", ("find the longest run of {n}",), ANY, condition="own", transform=False),
    Accumulator("until", ("t = 0",), ("if {c}:", "    break", "t += {v}"), "t", ("sum {T} before the first that {w}",), condition="own"),
    Accumulator("concat", ("t = ''",), ("t += {v}",), "t", ("join {n}", "write {n} one after another"), ("str",), "str", weight=8),
    Accumulator("backwards", ("t = ''",), ("t = {v} + t",), "t", ("write {n} backwards",), ("str",), "str", weight=4),
    Accumulator("replace", ("t = ''",), ("if {c}:", "    t += '*'", "else:", "    t += {v}"), "t", ("join {T}, with '*' for those that {w}",), ("str",), "str", "own", weight=4),
    Accumulator("longest", ("t = ''",), ("if len({v}) > len(t):", "    t = {v}"), "t", ("find the longest of {n}",), ("str",), "str", kinds=("word",), weight=6),
]  # fmt: skip

FINISHES = [
    Piece("plus", "return {r} + {k}", "plus {k}", high=9),
    Piece("minus", "return {r} - {k}", "minus {k}", high=9),
    Piece("times", "return {r} * {k}", "times {k}", high=9),
    Piece("modulo", "return {r} % {k}", "modulo {k}", high=9),
    Piece("capped", "return min({r}, {k})", "but at most {k}", high=9),
    Piece("iseven", "return {r} % 2 == 0", "and tell whether that is even"),
    Piece("exceeds", "return {r} > {k}", "and tell whether that is above {k}", high=9),
    Piece("sorted", "return sorted({r})", "in rising order", "list"),
    Piece("reversed", "return {r}[::-1]", "in reverse order", "list"),
    Piece("number", "return len({r})", "and return how many", "list"),
    Piece("head", "return {r}[:2]", "but only the first 2", "list"),
    Piece("upper", "return {r}.upper()", "in upper case", "str"),
    Piece("size", "return len({r})", "and return the length", "str"),
    Piece("mark", "return {r} + '!'", "with '!' at the end", "str"),
]
