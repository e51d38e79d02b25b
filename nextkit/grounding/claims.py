"""Claims: the sentences of a rationale that a trace can bear out or contradict.

A rationale is worth reading if it is true of the run. What it says of the run is found by rules, in plain English and
in the language of the offline models alike, and each finding is held against the trace:

    result      It returns 3, not 2 (two claims: what came out, and what was asked for); got 3; expected 2; it should
                return 2 (what was asked for); never ends
    exception   raises IndexError; a KeyError is raised
    value       (4) t=3; (7) return [2]; at step 4 t is 3; `t` becomes 3; t=3
    line        line 3 never runs; line 4 runs twice; the loop runs 3 times
    edit        In `t += x` change `+=` to `-=`; replace `<` with `<=`

The rules are careful. What is not surely said of this run is no claim: what comes after `if` or `given`, a state that
should be, what is said of another input, of the fixed program or by a docstring, what is denied, code that stands in
the program, a value that goes on ("3 more than"). What cannot be decided is None.
"""

import builtins
import re
from dataclasses import dataclass

from nextkit.grounding import evidence
from nextkit.grounding.text import Text
from nextkit.offline.rationales import agrees
from nextkit.prompting import same_program

LONGEST = 8_000  # characters of a rationale that are read
NEAR = 300  # characters in front of a verb that its subject stands in


@dataclass(frozen=True)
class Claim:
    """One thing that a rationale says. text: its words, which stand at [start:end] of the rationale.

    kind: "result", "exception", "value", "line" or "edit". holds: True, False, or None where it cannot be decided.
    step: index of the trace's Step that bears it out or contradicts it, or None.
    """

    text: str
    start: int
    end: int
    kind: str
    holds: bool | None
    step: int | None = None


def check_claims(rationale, trace, fix=None):
    """The Claims of a rationale, held against a Trace, in the order of the text; they do not overlap. Never raises.

    A value without a step ("t is 3") holds if the variable ever has it; with one ("at step 4 t is 3"), if it has it
    right after that step; one quoted in the trace's own style ("(4) t=3"), if the step changed it to that. A result
    holds if the test saw it or the tested function returned it. Values are compared as Python compares them; one
    shortened with dots must agree at both ends. What a cut trace does not show is undecided. An edit is False where
    the program does not have the code that it names; it is True only if `fix`, where given, is exactly that edit.
    """
    text, found, taken = Text(rationale[:LONGEST], trace), [], set()
    for kind, rule in RULES:
        for start, end, (holds, step) in rule(text, trace, fix):
            if taken.isdisjoint(range(start, end)):
                found.append(Claim(rationale[start:end], start, end, kind, holds, step))
                taken.update(range(start, end))
    return sorted(found, key=lambda claim: claim.start)


# The rules: each finds (start, end, (holds, step)) in a text.

_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[[^\[\]\n`]{1,20}\])*"
_NUMBERS = ["never", "once", "twice", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_TIMES = r"(?:exactly |only )?(?P<times>once|twice|(?:\d+|two|three|four|five|six|seven|eight|nine|ten) times)\b"
_VERB = re.compile(
    r"\b(?:returns|returned|got|gives|gave|produces|produced|outputs|result (?:is|was))\s+"
    r"(?:the (?:wrong )?(?:value|result|answer|list|string|number)\s+)?"
)
_SUBJECT = re.compile(
    r"(?:^|[.,;:(!?\n]|\b(?:it|this|program|function|code|test|call|assertion|method|version|and|but|so|then|instead|"
    r"wrongly|incorrectly|therefore|thus|still|only|the|actually|we|I))\s*\Z",
    re.I,
)
_ADVERBS = re.compile(
    r"(?:\s+(?:wrongly|incorrectly|correctly|therefore|thus|still|only|actually|always|just|simply))+\s*\Z"
)
_NAMED = re.compile(r"(?P<name>\0+|[A-Za-z_]\w*)\s+(?:function|method|call)\s*\Z")
_OTHER = re.compile(r"(?:helper|recursive|inner|nested|first|second|other|built-?in|library)\Z", re.I)
_LIBRARY = {name for kind in (list, str, dict, set, builtins) for name in dir(kind)}
_INSTEAD = re.compile(r"[^.\n]{0,60}\b(?:instead of|not|rather than)\b")
_ANOTHER_RAN = re.compile(
    r"([A-Za-z_][\w.]*)\([^()\n]*\)`?,?\s+(?:is|was|gets|being)\s+(?:called|evaluated|run|executed)\b"
)
_RATHER = re.compile(r",?\s*(?:not|instead of|rather than)\s+")
_ASKED = re.compile(
    r"\b(?:(?:should|must) (?:have )?(?:return(?:ed)?|give|produce)|expects|(?:result|output|answer) should (?:be|have "
    r"been)|expected(?: (?:result|value|output|answer))?(?: (?:is|was|of))?)\s+"
)
_ENDLESS = re.compile(r"\b(?:never (?:ends|terminates|stops|finishes|halts)|(?:loops|runs|goes on) forever)\b")
_ERROR = r"`?(?P<name>[A-Z]\w*(?:Error|Exception|StopIteration|Exit|Interrupt)|StopIteration)\b`?"
_RAISES = re.compile(
    rf"\b(?:raises|raised|throws|threw|(?:fails|failed|crashes|ends) with)\s+(?:an?\s+|the\s+)?{_ERROR}"
)
_IS_RAISED = re.compile(rf"{_ERROR} (?:is|was|gets) (?:raised|thrown)\b")
_NOWHERE = re.compile(r"\s+(?:nowhere|never|by (?:nothing|no(?:ne|body)?\b))")
_QUOTE = re.compile(r"\((\d{1,7})\)\s+(?=[A-Za-z_])")
_STATE = re.compile(rf"(?P<path>{_PATH})=(?![=\s])|(?P<back>return) ")
_STEP = r"(?:\b(?:[Aa]t|[Ii]n|[Aa]fter|[Bb]y) step \(?(?P<step>\d{1,7})\)?[,:]?\s+)?"
_IS = re.compile(
    rf"{_STEP}(?P<mark>`?)(?P<path>\b{_PATH})(?P=mark)\s+"
    r"(?:is|was|becomes|became|equals|has the value|remains|stays)\s+"
    r"(?:(?:still|now|already|only)\s+)?"
)
_EQUALS = re.compile(rf"{_STEP}(?<![\w.=<>!+*/%\[-])(?P<path>\b{_PATH}) ?= ?(?!=)")
_IN_A_CALL = re.compile(r"\w\([^()]*\Z")
_LATER = re.compile(r"\s+(?:at|in|after) step \(?(\d{1,7})\)?")
_LINE = re.compile(
    r"\b[Ll]ine (?P<line>\d{1,6}) "
    r"(?:(?P<never>never (?:runs|executes|ran)|is (?:never|not) (?:run|reached|executed))\b|"
    rf"(?:runs|ran|executes|is executed|is reached) {_TIMES})"
)
_LOOP = re.compile(
    r"\b(?:[Tt]he )(?P<kind>for |while )?loop(?: body)? (?:(?P<never>never runs|never executes|is never entered)\b|"
    rf"(?:runs|ran|iterates|executes|repeats|is executed) {_TIMES})"
)
# A variable here is a part of what is spoken of: an operand, or what something is counted or looked for in.
_OPERAND = re.compile(r"[\w)\]`\0]\s*[-+*/%=<>]\Z|\b(?:plus|minus|times|mod(?:ulo)?|divided by|between)\Z")
_OF_A_NOUN = re.compile(
    r"\b(?:sum|difference|product|maxim\w+|minim\w+|length|number|index|elements?|items?|remainder|quotient|average|mean|"
    r"gcd|count|size) (?:(?!\b(?:is|was|are|becomes?|equals?)\b|[,;:=]).)*\Z"
)
_WANTED = re.compile(r"\b(?:desired|right|ideal|target|true|required|wanted|proper|correct|expected|intended)\Z", re.I)
_LISTED = re.compile(r"\b(?:changes|steps|reasons|things|problems|bugs|issues|fixes|errors|mistakes)\W{0,3}\(1\)")
_EDIT = re.compile(
    r"In `([^`]*)` change `[^`]*` to `[^`]*`\.|Move `([^`]*)` (?:out of|into) the block\.|"
    r"Add `[^`]*` after `([^`]*)`\.|Remove `([^`]*)`\.|Swap the branches of `([^`]*)`\."
)
_DENIED = re.compile(r"\b(?:not|never|\w+n't|without)\s*\Z", re.I)
_REPLACE = re.compile(r"\b(?:[Cc]hang|[Rr]eplac)(?:e|ing) `(?P<old>[^`\n]+)` (?:to|with|by) `(?P<new>[^`\n]+)`")


def _edits(text, trace, fix):
    stated = list(_EDIT.finditer(text.text))
    within = [range(*found.span()) for found in stated]
    replaced = [found for found in _REPLACE.finditer(text.text) if not any(found.start() in span for span in within)]
    for found in stated:
        named = next(filter(None, found.groups()), "").strip()
        known = named in map(str.strip, trace.program.splitlines())
        done = fix is not None and agrees(trace.program, found.group(), fix) is True
        open_ = known and (fix is None or len(stated) + len(replaced) > 1)  # one of several may be done, and no other
        if fix is not None or not found.group().startswith("Swap"):
            yield *found.span(), (done or (None if open_ else False), None)
    for found in replaced:
        if not _DENIED.search(text.text[: found.start()]):
            yield *found.span(), (_replaced(found["old"], found["new"], trace.program, fix), None)


def _replaced(old, new, program, fix):
    """Whether the fix is the program with one `old` made `new`; a fix that does more is undecided."""
    pieces = program.split(old)
    if len(pieces) == 1:
        return None if "".join(old.split()) in "".join(program.split()) else False
    made = (old.join(pieces[:n]) + new + old.join(pieces[n:]) for n in range(1, min(len(pieces), 50)))
    return True if fix is not None and any(same_program(program, fix) for program in made) else None


def _results(text, trace, fix):
    variables = {name for step in trace.steps for name, _ in step.changes}
    for found in _VERB.finditer(text.prose):
        value = text.value(found.end())
        if found.group().startswith("result") and "result" in variables:
            continue
        if value and text.said(found.start()) and _is_the_test(text, found):
            yield found.start(), value[1], evidence.result(value[0], trace)
            yield from _rather(text, value[1], trace)
    for found in _ASKED.finditer(text.prose):
        value = text.value(found.end())
        if value and text.said(found.start(), meant=False) and not _is_of_another_call(text, found.start()):
            yield found.start(), value[1], evidence.expected(value[0], trace)
    for found in _ENDLESS.finditer(text.prose):
        if text.said(found.start()):
            yield *found.span(), (trace.outcome == "timeout", None)


def _rather(text, place, trace):
    """What the result is said not to be is what was asked for."""
    if (joint := _RATHER.match(text.text, place)) and (value := text.value(joint.end())):
        start = joint.end() - len(joint.group().lstrip(", "))
        yield start, value[1], evidence.expected(value[0], trace)


def _is_the_test(text, verb):
    """Whether the subject in front of a verb is the tested program, and not another call or thing."""
    before = _ADVERBS.sub("", text.prose[max(0, verb.start() - NEAR) : verb.start()].rstrip())
    if named := _NAMED.search(before):
        start = max(0, verb.start() - NEAR) + named.start("name")
        name = text.text[start : start + len(named["name"])].strip("`")
        return text.is_of_the_test(name) or not (
            "\0" in named["name"] or _OTHER.match(name) or name in text.names or name in _LIBRARY
        )
    if re.search(r"\bthis\s*\Z", before, re.I) and verb.group().startswith(("gives", "produces")):
        return bool(_INSTEAD.match(text.text, verb.end()))  # else of what was computed before
    sentence = text.text[verb.start() - len(text.sentence(verb.start())) : verb.start()]
    if _SUBJECT.search(before):
        return all(text.is_of_the_test(found[1]) for found in _ANOTHER_RAN.finditer(sentence))
    code = text.code_before(max(0, verb.start() - NEAR) + len(before)) or before.split()[-1]
    if code.endswith(")"):
        return text.is_asked(code)
    return code.isidentifier() and text.is_of_the_test(code)


def _is_of_another_call(text, place):
    """Whether the subject in front of a place is a call, and not the tested one."""
    code = text.code_before(place)
    return code is not None and code.endswith(")") and not text.is_asked(code)


def _exceptions(text, trace, fix):
    for pattern in (_RAISES, _IS_RAISED):
        for found in pattern.finditer(text.text):
            if text.said(found.start()) and not _NOWHERE.match(text.text, found.end()):
                yield *found.span(), evidence.raised(found["name"], trace)


def _quotes(text, trace, fix):
    listed = _LISTED.search(text.text)
    for found in _QUOTE.finditer(text.text, 0, listed.start() if listed else len(text.text)):
        if not text.said(found.start()):
            continue
        start, place = found.start(), found.end()
        while (state := _STATE.match(text.text, place)) and (value := text.value(state.end())):
            path = state["path"] or state["back"]
            yield start, value[1], evidence.changed(int(found[1]), path, value[0], trace)
            joint = re.compile(r"[,;] ").match(text.text, value[1])
            start = place = joint.end() if joint else len(text.text)


def _states(text, trace, fix):
    names = {re.match(r"\w*", name).group() for step in trace.steps for name, _ in step.changes}
    for found in (*_IS.finditer(text.text), *_EQUALS.finditer(text.text)):
        value = text.value(found.end())
        if value and re.match(r"\w*", found["path"]).group() in names and _is_a_state(text, found, value[1], trace):
            later = _LATER.match(text.text, value[1])
            index = found["step"] or (later and later[1])
            end = later.end() if later else value[1]
            yield found.start(), end, evidence.has_value(int(index) if index else None, found["path"], value[0], trace)


def _is_a_state(text, found, end, trace):
    """Whether such words speak of a variable in this run: not of a part of a larger expression, nor of code."""
    start, span = found.start(), text.span(found.start("path"))
    before = text.prose[:start].rstrip()
    if not text.said(start) or _IN_A_CALL.search(text.text[:start]) or _WANTED.search(before):
        return False
    if not found["step"] and (_OPERAND.search(before) or _OF_A_NOUN.search(text.sentence(start)[-NEAR:].rstrip())):
        return False
    if found.re is _EQUALS:
        whole = span is None or (span[0] + 1 == found.start("path") and end == span[1] - 1)
        return whole and text.text[found.start("path") : end] not in trace.program
    if not found["step"] and re.search(r"(?:[-+*/%=<>(\[.]|(?<!value) of)\Z", before) and not before.endswith("."):
        return False
    return span is None or span == (found.start("mark"), found.end("path") + 1)


def _lines(text, trace, fix):
    for pattern in (_LINE, _LOOP):
        for found in pattern.finditer(text.prose):
            if text.said(found.start()):
                times = 0 if found["never"] else _number(found["times"])
                said = found.groupdict()
                answer = (
                    evidence.ran(int(said["line"]), times, trace)
                    if pattern is _LINE
                    else evidence.looped((said["kind"] or "").strip(), times, trace)
                )
                yield *found.span(), answer


def _number(words):
    word = words.split()[0].replace("two", "twice")
    return int(word) if word.isdecimal() else _NUMBERS.index(word)


RULES = (
    ("edit", _edits),
    ("value", _quotes),
    ("result", _results),
    ("exception", _exceptions),
    ("value", _states),
    ("line", _lines),
)
