"""Text: a rationale as its rules read it: what is code and what is prose, which values stand in it, and what is said of
this run and what of another.
"""

import ast
import re

from nextkit.grounding import evidence

LONGEST_VALUE = 1_000  # characters
LONGEST_SENTENCE = 600  # characters in front of a claim that may take it back

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.S)
_SENTENCE = re.compile(r"(?<!\be\.g)(?<!\bi\.e)[.!?](?=\s)|\n")
_CLAUSE = re.compile(r"[,;:](?=\s)|\b(?:but|whereas|while|yet|and|so(?! that))\b")
_IF = re.compile(
    r"\b(?:if|when|whenever|unless|until|once|suppose|assum\w+|whether|imagine|would|as long as|in case|otherwise|so that|"
    r"for (?:example|instance)|e\.g|such as|making|this (?:ensures|guarantees|makes sure|way)|now (?:it|the)|"
    r"(?:by|after) (?:us|add|chang|replac|fix|correct|remov|swapp|modify|updat|adjust|mak|mov)ing|in (?:all |any )?other cases?|"
    r"for (?:an? |any |all )?(?:even|odd|negative|positive|empty|other|single|larger|smaller)|"
    r"(?:second|third|fourth|next|other|another) (?:test|assert\w*|case|example|input)|"
    r"(?<!the )(?:given|provided)|(?:after|with) (?:the|this|that|my) (?:fix|change|edit|correction)|"
    r"(?<!before )(?:the|my|this) (?:fix|correction)|"
    r"(?:new|fixed|corrected|correct|patched|repaired|changed|edited|intended|updated|modified|revised|improved|adjusted|"
    r"amended|following|my) (?:version|code|program|function|loop)|"
    r"(?:docstring|specification|spec|documentation|description|task|problem|exercise)s? "
    r"(?:says?|states?|claims?|demands?|promises?|requires?|asks?|tells?|wants?|reads?|specifies|describes?)|"
    r"according to (?:the|its) (?:docstring|spec\w*|documentation|description|task|problem))\b|"
    r"\A\W*(?:without|take|taking|say|consider)\b|\A\W*with (?:\0|[-+*/%<>=])|\w(?:Error|Exception): (?!\0|\w+\()",
    re.I,
)
_FIXED_BLOCK = re.compile(
    r"\b(?:(?:fixed|corrected|correct|updated|revised|modified|new) (?:code|version|program|function)|the fix)\b"
    r"[^\n`]{0,40}\n*```",
    re.I,
)
# What is set for the sake of argument: "for x = 2", "with `x` equal to 2". One that ends the text is about to be set.
_LET = re.compile(
    r"\b(?:for|(?<!ends )(?<!ended )(?<!exits )(?<!stops )(?<!finishes )(?<!up )(?<!left )with|given|take|taking|say|"
    r"consider)\s+(?:`?\Z|`?[A-Za-z_]\w*`?\s*(?:==?|is|being|equal to|equals|set to)\s)",
    re.I,
)
_INPUT = re.compile(r"\b(?:for|on|with) (?:the |an? )?(?:inputs?|arguments?|case)\s+`?", re.I)
_MEANT = re.compile(
    r"\b(?:should|must|could|can|may|might|shall|will|wants?|needs?|ought|to|never|not|cannot|no|\w+n't|nothing|neither|nor|"
    r"none of|nobody|nowhere|hardly|without|expect\w*|"
    r"chang\w+|replac\w+|us(?:e|es|ing)|sets?|setting|initiali[sz]\w+|starts?|writ\w+|adds?|inserts?|makes?|"
    r"remov\w+|instead|fix\w*|correct\w*|let)\b",
    re.I,
)
_AFTER = re.compile(
    r"\s*(?:\Z|\n|`|[.!?;:)](?=[\s\"')\]*]|\Z)|,(?!\s*(?:[`\d\[{'\"-]|\((?!\d+\))|(?:if|unless|whenever|provided|given|"
    r"as long as|in case)\b))|"
    r"(?:and|but)\b(?!\s*[`\d\[({'\"-])|(?:not|instead|rather|because|at|after|before|on|since|whereas|while|so|then|"
    r"although|though|here|there|again|later|wrongly|incorrectly)\b)"
)
_ATOM = re.compile(
    r"""-?(?:\d+\.\.\.\d+|\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)(?!\w)|(?:True|False|None)\b|(?:frozen)?set\(\)|"""
    r"""b?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
)
_EMPTY = re.compile(r"an empty (list|string|dict|dictionary|tuple|set)\b")
_EMPTIES = {"list": "[]", "string": "''", "dict": "{}", "dictionary": "{}", "tuple": "()", "set": "set()"}
_ANY_CALL = re.compile(r"(?<![\w.])[A-Za-z_][\w.]*\((?:[^()\n]|\([^()\n]*\))*\)")
_CALL = re.compile(_ANY_CALL.pattern + r"\s*\Z")


class Text:
    """A rationale with its code spans known. prose: the same text with code blanked out, of equal length.

    test: the test of the run. names: of the program's functions, and of what it calls. asked: the assertion that the run
    ended at, "" where that is not known.
    """

    def __init__(self, text, trace):
        self.text, self.test, self.asked, self.names = text, trace.test, _asked(trace), _functions(trace.program)
        self.spans = [found.span() for found in _CODE.finditer(text)]
        self.prose = _CODE.sub(lambda found: "\0" * len(found.group()), text)
        block = _FIXED_BLOCK.search(text)
        self.fixed = block.end() if block else len(text)  # from here on it may speak of the fixed program

    def said(self, start, *, meant=True):
        """Whether words from `start` on speak of the run: under no condition and, with `meant`, no wish and no denial."""
        sentence = self.sentence(start)
        begin = start - len(sentence)
        if (
            start >= self.fixed
            or self._is_conditional(sentence, start)
            or _LET.search(self.text[begin:start])
            or self.is_of_another_input(begin, start)
        ):
            return False
        return not (meant and _MEANT.search(_last_part(_CLAUSE, sentence)))

    def _is_conditional(self, sentence, start):
        """Whether a sentence sets a condition; code after `with` that the test gives is none."""
        found = _IF.search(sentence)
        if not found:
            return False
        begin = start - len(sentence)
        span = self.span(begin + found.end() - 1)
        given = "".join(self.text[slice(*span)].strip("`").split()) if span else ""
        return not (given and given in "".join(self.asked.split())) or bool(_IF.search(sentence, found.end()))

    def sentence(self, place):
        """The sentence that a place stands in, up to it, with code blanked out."""
        return _last_part(_SENTENCE, self.prose[max(0, place - LONGEST_SENTENCE) : place])

    def is_of_another_input(self, start, end):
        """Whether words between two places speak of an input that the test does not give."""
        for found in _INPUT.finditer(self.text, start, end):
            stop = _literal_end(self.text, found.end())
            literal = "".join(self.text[found.end() : stop or found.end()].split())
            given = rf"(?<!\w){re.escape(literal)}(?!\w)"
            if not (literal and re.search(given, "".join(self.asked.split()))):
                return True
        calls = (found.group().strip() for found in _ANY_CALL.finditer(self.text, start, end))
        return any(self.is_of_the_test(call) and not self.is_asked(call) for call in calls)

    def is_of_the_test(self, code):
        """Whether code names a function that the test calls."""
        name = re.match(r"[\w.]*", code).group()
        return bool(name) and re.search(rf"(?<!\w){re.escape(name)}\(", self.test) is not None

    def is_asked(self, call):
        """Whether the assertion that the run ended at makes exactly this call."""
        return "".join(call.split()) in "".join(self.asked.split())

    def span(self, place):
        """The code span that holds a place, as (start, end) with its marks, or None."""
        return next(((start, end) for start, end in self.spans if start <= place < end), None)

    def code_before(self, place):
        """The code that a text up to a place ends with: a span in code marks, without them, or a bare call; else None."""
        before = self.prose[:place]
        code = next((self.text[start:end] for start, end in self.spans if end == len(before.rstrip())), None)
        bare = _CALL.search(before[-300:])
        return code.strip("`") if code else bare.group().strip() if bare else None

    def value(self, place):
        """(literal, end) of the value that stands alone at a place, in code marks or bare, or None."""
        if empty := _EMPTY.match(self.text, place):
            return _EMPTIES[empty[1]], empty.end()
        marked = self.text.startswith("`", place)
        end = _literal_end(self.text, place + marked)
        if end is None or (marked and not self.text.startswith("`", end)):
            return None
        if not _AFTER.match(self.text, end + marked):
            return None
        return self.text[place + marked : end], end + marked


def _asked(trace):
    """Source of the assertion that a run ended at, "" where that is not known; all of them where it passed them all."""
    nodes = [node for node in evidence.nodes_of(trace.test) if isinstance(node, ast.Assert)]
    if len(nodes) < 2 or trace.outcome == "passed":
        return trace.test
    ended = [node for node in nodes if node.lineno <= trace.test_line <= node.end_lineno]
    return ast.get_source_segment(trace.test, ended[0]) if len(ended) == 1 else ""


def _functions(program):
    """Names of what a program defines as functions, calls, and calls as a method."""
    called = (node.func for node in evidence.nodes_of(program) if isinstance(node, ast.Call))
    names = {getattr(node, "attr", getattr(node, "id", "")) for node in called}
    return names | {node.name for node in evidence.nodes_of(program) if isinstance(node, ast.FunctionDef)}


def _last_part(boundary, text):
    ends = [found.end() for found in boundary.finditer(text)]
    return text[ends[-1] :] if ends else text


def _literal_end(text, place):
    """Where the literal that begins at a place ends, or None: a bracket at the one that closes it."""
    if atom := _ATOM.match(text, place):
        return atom.end()
    depth, start = 0, place
    while place < min(len(text), start + LONGEST_VALUE) and text[place] != "\n":
        string = _ATOM.match(text, place) if text[place] in "'\"" else None
        depth += (text[place] in "([{") - (text[place] in ")]}")
        place = string.end() if string else place + 1
        if depth == 0:
            return place if place > start + 1 and _is_literal(text[start:place]) else None
    return None


def _is_literal(text):
    return "..." in text or evidence.read(text) is not evidence.UNREADABLE
