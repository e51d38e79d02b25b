"""The plan: what each line of a program can change, read off its syntax before it runs.

Looking at every variable after every line is what makes tracing slow. Most lines bind a name or two and can change
nothing in place; the plan says which names those are, and which lines are "wild": they may change any container or
object that is in sight (a call of unknown code, an assignment to an element). Where in doubt, a line is wild: that
costs time, never truth.
"""

import ast
import builtins
import inspect
import sys
import types

PURE_CALLS = frozenset(
    """abs all any ascii bin bool bytes chr complex dict divmod enumerate float format frozenset hash hex int isinstance
    issubclass len list max min oct ord pow range repr reversed round set slice sorted str sum tuple type zip""".split()  # noqa: SIM905
)
PURE_METHODS = frozenset(
    """bit_length capitalize casefold count decode difference encode endswith find format get index intersection
    isalnum isalpha isdecimal isdigit isdisjoint islower isnumeric isspace issubset issuperset istitle isupper items
    join keys ljust lower lstrip most_common partition replace rfind rindex rjust rpartition rsplit rstrip split
    splitlines startswith strip swapcase symmetric_difference title translate union upper values zfill""".split()  # noqa: SIM905
)
PURE_MODULES = frozenset({"math", "cmath", "re", "string", "fractions", "decimal", "datetime", "sys"})
# Modules that change nothing later than they are called.
HARMLESS = PURE_MODULES | {"collections", "heapq", "bisect", "random", "copy", "typing", "operator"}
CALLING = frozenset({"sub", "subn"})  # functions of PURE_MODULES that call their second argument
THREADS = frozenset({"threading", "concurrent", "_thread", "multiprocessing", "asyncio"})
LAZY = frozenset({"map", "filter", "iter", "reduce", "eval", "exec", "globals", "locals", "vars", "setattr", "getattr"})
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LIVE = sys.version_info >= (3, 13)  # whether f_locals, asked for once, stay true as the frame goes on
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
MOVING = (ast.Slice, ast.Subscript, ast.Attribute, ast.Call, ast.Await, ast.Yield, ast.YieldFrom, *COMPREHENSIONS)
OPERATIONS = (ast.Call, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Attribute, ast.Subscript, ast.JoinedStr, ast.Starred)


class Line:
    """What a physical line of the program can do.

    start: the first line of the statement it belongs to. names: variables that it may bind. wild: whether it may
    change things in place. targets: where these are only elements of lists, each as (root variable, codes of the
    indexes), so that a long list need not be searched; else None. several: whether the statement has several lines.
    grows: whether a number may grow beyond all bounds in it. loops: whether a whole loop stands on it.
    """

    __slots__ = ("busy", "grows", "loops", "names", "several", "start", "targets", "wild")

    def __init__(self, start):
        self.start, self.names, self.wild, self.targets, self.several = start, (), False, None, False
        self.grows = self.loops = self.busy = False  # busy: whether there is anything to look at after it


class Code:
    """What never changes about a function of the program: its name, where it stands, its variables by role."""

    __slots__ = tuple("cells code data elsewhere flags free is_function line looks name parameters".split())  # noqa: SIM905

    def __init__(self, code, plan):
        self.code, self.name, self.flags = code, code.co_name, code.co_flags
        self.is_function = bool(code.co_flags & inspect.CO_OPTIMIZED)
        self.line = plan.starts_of_functions.get(code.co_firstlineno, code.co_firstlineno)
        starred = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
        self.parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]
        self.cells, self.free = code.co_cellvars, code.co_freevars
        self.data = tuple(name for name in plan.data if name in code.co_names)
        self.looks = LIVE or bool(self.parameters or self.free)  # whether its variables are asked for at its beginning
        self.elsewhere = bool(self.cells or self.data)


class Plan:
    """The lines of a program, by number, its code objects, by identity; and of the whole: global data, named lambdas.

    top_level: whether code outside functions does more than define. threaded: whether it may run threads. replaces:
    whether functions may be given other code than they were compiled to (`types.coroutine` does).
    assertions: line -> (code of the left side, of the right) of asserts that compare two plain names or constants.
    """

    def __init__(self, tree, length, code):
        knowledge = _Knowledge(tree)
        self.lines = [Line(number) for number in range(length + 2)]
        self.starts_of_functions = {}
        self.lambdas = {statement.value.lineno for statement in tree.body if _names_a_lambda(statement)}
        self.data = tuple(_module_data(tree))
        self.top_level = any(_does_something(statement) for statement in tree.body)
        self.threaded = bool(THREADS & _imported(tree))
        self.replaces = bool({"coroutine", "__code__"} & knowledge.mentioned)
        self.assertions = dict(_assertions(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
                self._add(node, knowledge)
        for line in self.lines:
            line.busy = bool(line.names or line.wild)
        self.codes = {id(found): Code(found, self) for found in _codes(code)}

    def _add(self, node, knowledge):
        """Add what one statement can change to the lines it stands on."""
        header = list(_header(node))
        first, last = _span(node, header)
        if isinstance(node, SCOPES):
            self.starts_of_functions[first] = node.lineno
            if node.body[0].lineno <= last:  # `def f(x): return 1` under a decorator: the body counts, it stands there
                for number in range(first, last + 1):
                    self.lines[number].start = node.body[0].lineno
        targets, names = knowledge.targets(node, header), _bound(node, header)
        wild = targets is None and knowledge.wild(node, header)
        for number in range(first, last + 1):
            line = self.lines[number]
            line.start = min(line.start, self.lines[first].start)
            line.names = tuple(dict.fromkeys([*line.names, *names]))
            line.several |= last > first
            unknown = wild or (line.wild and line.targets is None)
            unknown |= bool(names and line.targets)  # `a[i] = x; i += 1`: when the line has ended, i is another
            line.targets = None if unknown else [*(line.targets or ()), *(targets or ())]
            line.wild |= wild or bool(targets)
            line.grows |= _grows(header)
            line.loops |= isinstance(node, ast.For | ast.While) and node.body[0].lineno == number


def make_plan(program, code):
    """The Plan of a program: its source text, and the same compiled. Raises SyntaxError if it is not Python."""
    tree = ast.parse(program)
    if "class" in program:
        _mangle(tree)
    last = max((statement.end_lineno for statement in tree.body), default=1)  # a lone "\r" ends a line too
    return Plan(tree, max(program.count("\n") + 1, last), code)


class _Knowledge:
    """What must be known of the whole program before one of its lines can be called tame."""

    def __init__(self, tree):
        nodes = list(ast.walk(tree))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        self.defined = _defined(nodes)
        self.modules = _imported(tree) & PURE_MODULES
        self.shared = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
        self.mentioned = {getattr(node, field, None) for node in nodes for field in ("id", "attr", "name")}
        self.inserts = "defaultdict" in self.mentioned  # whether looking up a key may insert it
        # Where the program has classes, any operator may run code of its own; where something is lazy, any loop may.
        self.tame = not any(isinstance(node, ast.ClassDef) for node in nodes)
        taken_at_once = {id(a) for node in nodes if isinstance(node, ast.Call) for a in node.args}
        self.lazy = (
            bool(LAZY & names)
            or any(isinstance(node, ast.Yield | ast.YieldFrom | ast.Await) for node in nodes)
            or any(isinstance(node, ast.GeneratorExp) and id(node) not in taken_at_once for node in nodes)
            or bool(_imported(tree) - HARMLESS)
        )

    def wild(self, node, header):
        if isinstance(node, ast.With | ast.AsyncWith | ast.AsyncFor | ast.Delete | ast.Import | ast.ImportFrom):
            return True
        if isinstance(node, ast.For) and (self.lazy or not self.tame):
            return True
        if self.shared & set(_bound(node, header)):
            return True
        inner = [child for part in header for child in ast.walk(part)]
        if isinstance(node, ast.AugAssign) and not isinstance(node.target, ast.Name):
            return True
        return any(self._wild(child) for child in inner)

    def _wild(self, node):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, ast.Subscript) and self.inserts:
            return True
        if isinstance(node, ast.Yield | ast.YieldFrom | ast.Await):
            return True
        if isinstance(node, ast.Call):
            return not self._pure(node)
        if isinstance(node, ast.comprehension) and self.lazy:
            return True
        return not self.tame and isinstance(node, OPERATIONS)

    def _pure(self, call):
        """Whether calling this surely changes nothing in place."""
        if not self.tame or self.lazy or any(_is_function(k.value, self.defined) for k in call.keywords):
            return False
        function = call.func
        if isinstance(function, ast.Name):
            return function.id in PURE_CALLS and function.id not in self.defined
        if not isinstance(function, ast.Attribute):
            return False
        root = function.value
        if isinstance(root, ast.Name) and root.id in self.modules and root.id not in self.defined:
            return function.attr not in CALLING or not self._may_call(call.args)
        return function.attr in PURE_METHODS

    def _may_call(self, arguments):
        """Whether the second of them may be a function of the program."""
        starred = any(isinstance(argument, ast.Starred) for argument in arguments)
        return starred or any(_is_function(argument, self.defined) for argument in arguments[1:2])

    def targets(self, node, header):
        """[(root, index codes)] if all that the statement changes in place are elements of lists, else None."""
        if not self.tame or self.lazy:
            return None
        if isinstance(node, ast.Expr):
            return self._appended(node.value)
        if not isinstance(node, ast.Assign | ast.AugAssign):
            return None
        written = node.targets if isinstance(node, ast.Assign) else [node.target]
        written = [item for target in written for item in (target.elts if isinstance(target, ast.Tuple) else [target])]
        if any(self._wild(child) for child in ast.walk(node.value)) or _bound(node, header):
            return None
        found = [self._target(item) for item in written]
        return None if not found or None in found else found

    def _target(self, node):
        indexes = []
        while isinstance(node, ast.Subscript):
            if any(isinstance(child, MOVING) for child in ast.walk(node.slice)):
                return None
            indexes.insert(0, compile(ast.Expression(node.slice), "<index>", "eval"))
            node = node.value
        return (node.id, tuple(indexes)) if isinstance(node, ast.Name) and indexes else None

    def _appended(self, node):
        """`root[i].append(x)` changes the end of a list: its index is -1."""
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append"):
            return None
        if any(self._wild(child) for argument in node.args for child in ast.walk(argument)):
            return None
        end = compile("-1", "<index>", "eval")
        if isinstance(node.func.value, ast.Name):
            return [(node.func.value.id, (end,))]
        inner = self._target(node.func.value)
        return inner and [(inner[0], (*inner[1], end))]


def _codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _span(node, header):
    """First and last line of what runs of a statement: all of a simple one, the header of a compound one."""
    decorators = getattr(node, "decorator_list", [])
    first = min(part.lineno for part in (node, *decorators, *header) if hasattr(part, "lineno"))
    if not any(hasattr(node, block) for block in BLOCKS):
        return first, node.end_lineno
    ends = [part.end_lineno for part in header if hasattr(part, "end_lineno")]
    return first, max([getattr(node, "lineno", first), *ends])


def _header(node):
    """The parts of a statement that run on its own lines: all of a simple one, what stands before a block's colon."""
    if isinstance(node, SCOPES):
        arguments = [*node.args.defaults, *filter(None, node.args.kw_defaults)] if hasattr(node, "args") else node.bases
        return [*node.decorator_list, *arguments]
    children = [
        child
        for name, value in ast.iter_fields(node)
        if name not in BLOCKS
        for child in (value if isinstance(value, list) else [value])
        if isinstance(child, ast.AST)
    ]
    return [part for child in children for part in (_parts(child) if isinstance(child, ast.withitem) else [child])]


def _parts(item):
    """An item of a `with` has no place of its own in the source; what it is made of has."""
    return [item.context_expr, *([item.optional_vars] if item.optional_vars else [])]


def _bound(node, header):
    """Names that a statement may bind in the scope where it stands."""
    found = [name for part in header for name in _bound_in(part)]
    if isinstance(node, SCOPES) or (isinstance(node, ast.ExceptHandler) and node.name):
        found.append(node.name)
    for part in header:
        if isinstance(part, ast.alias):
            found.append((part.asname or part.name).split(".")[0])
    return list(dict.fromkeys(found))


def _bound_in(node, inside=False):
    """inside: of a comprehension, whose own targets stay in it."""
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.NamedExpr):
        yield node.target.id
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and not inside:
        yield node.id
    elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    for child in ast.iter_child_nodes(node):
        yield from _bound_in(child, inside or isinstance(node, COMPREHENSIONS))


def _grows(header):
    fast = ast.Mult | ast.Pow | ast.LShift | ast.Call
    return any(isinstance(child, fast) for part in header for child in ast.walk(part))


def _module_data(tree):
    """Names of variables of the module that may hold data."""
    for statement in tree.body:
        if not isinstance(statement, (*SCOPES, ast.Import, ast.ImportFrom)):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names


def _does_something(statement):
    if isinstance(statement, (*SCOPES, ast.Import, ast.ImportFrom, ast.Pass)):
        return False
    return not _names_a_lambda(statement) and not (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _names_a_lambda(statement):
    return isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda)


def _assertions(tree):
    """Asserts of the program whose sides can be looked at again without running anything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and len(node.test.ops) == 1:
            sides = node.test.left, node.test.comparators[0]
            if all(isinstance(side, ast.Name | ast.Constant) for side in sides):
                yield node.lineno, tuple(compile(ast.Expression(side), "<side>", "eval") for side in sides)


def _imported(tree):
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in named}


def _defined(nodes):
    found = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    found |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    found |= {node.name for node in nodes if isinstance(node, SCOPES)}
    return found | {
        alias.asname for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
    }


def _mangle(node, owner=""):
    """Give private names (`__x` in a class A) the names that they have when the program runs (`_A__x`)."""
    inner = node.name.lstrip("_") if isinstance(node, ast.ClassDef) else owner
    for field in ("id", "name", "arg", "asname", "rest"):
        if isinstance(name := getattr(node, field, None), str):
            setattr(node, field, _mangled(name, owner))
    if isinstance(node, ast.Global | ast.Nonlocal):
        node.names = [_mangled(name, owner) for name in node.names]
    for child in ast.iter_child_nodes(node):
        _mangle(child, inner if isinstance(child, ast.stmt) else owner)


def _mangled(name, owner):
    return f"_{owner}{name}" if owner and name.startswith("__") and not name.endswith("__") else name


def _is_function(node, defined):
    """Whether an argument may be a function of the program (a lambda is looked into where it stands)."""
    if isinstance(node, ast.Constant | ast.Lambda):
        return False
    return not (isinstance(node, ast.Name) and hasattr(builtins, node.id) and node.id not in defined)
