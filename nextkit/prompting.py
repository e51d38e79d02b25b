"""Prompting: what the model reads, and how its answer is read.

A prompt holds the description x, the buggy program y~ with its execution trace e written in as comments, and the
tests T. The model answers with a rationale r and a fixed program y^, in this order, so that the fix is conditioned on
the rationale (r, y^ ~ P(. | x, y~, T, e)).

    # Task: Sum the even values.
    # Buggy:
    def f(xs):  # (0) xs=[1, 2]
        ...
    assert f([1, 2]) == 2  # got 3
    # Why: <rationale>
    # Fix:
    <program>
"""

import ast
import re
import threading
import warnings
from dataclasses import dataclass
from itertools import islice

from nextkit.naturalize import count_tokens, naturalize

WHY, FIX = "# Why:", "# Fix:"
MOST_MARKS = 100  # in one answer; one that goes on and on is none
_ONE_AT_A_TIME = threading.Lock()  # the filters of warnings are of the whole process
_THOUGHT = re.compile(r"</think>[ \t\r]*(?:\n|\Z)")  # the end of what a model thought to itself
_MARK = re.compile(rf"(?P<begins>^[ \t>*#-]*)?{FIX}(?P<alone>[ \t\r]*$)?", re.M)
# An opening fence has one word after it at most, and a space, a colon or nothing before it: the end of an inline ```x```
# opens nothing.
_FENCE = re.compile(r"(?<![^\s:])`{3,}[ \t]*+[^\s`]*+[ \t\r]*+\n(.*?)(?:`{3,}|\Z)", re.S)


@dataclass(frozen=True)
class Prompt:
    """What one task asks the model. text: all of it, ending where the rationale begins.

    asked: its last part, what is asked about this task; few_shot, instruction: the parts before it, for models that
    are talked to in turns (`messages`).
    """

    task_id: str
    text: str
    asked: str = ""
    few_shot: tuple[str, ...] = ()
    instruction: str = ""


@dataclass(frozen=True)
class Answer:
    """A completion taken apart: rationale r and fixed program y^ (empty when none was found)."""

    rationale: str
    fix: str


def build_prompt(
    task, trace=None, *, style="inline", few_shot=(), instruction="", rationale=True, room=None, length=count_tokens
):
    """The Prompt for a task, with the naturalized trace of its failing test when one is given.

    few_shot: solved examples put in front, each the text of a prompt and of its answer together (iteration 0 prompts
    a general model so; a tuned one needs none). style: how the trace is written, see `naturalize`. rationale: whether
    one is asked for; otherwise the answer is the fixed program alone (the control "fix only"). room: how long the text
    may be, as length(text) counts; where it would be longer, the trace is shrunk. Raises ValueError where even the
    least trace is too long, and for a trace of another task.
    """
    if trace is not None and trace.task_id not in ("", task.task_id):
        raise ValueError(f"the trace is of task {trace.task_id!r}, the task is {task.task_id!r}: give the task's own")
    how = dict(few_shot=tuple(few_shot), instruction=instruction, rationale=rationale)
    told = "" if trace is None else naturalize(trace, style=style)
    prompt = _prompt(task, trace, told, **how)
    if room is None or (size := length(prompt.text)) <= room:
        return prompt
    if trace is None:
        raise ValueError(
            f"task {task.task_id!r} does not fit into a prompt of {room} tokens, it takes {size}: leave the task out, ask "
            "for shorter answers (max_tokens), or take a model with a longer context"
        )
    spare = room - length(_prompt(task, trace, "", **how).text)
    try:
        told = naturalize(trace, style=style, budget=spare, length=length)
    except ValueError as error:
        raise ValueError(
            f"task {task.task_id!r} does not fit into a prompt of {room} tokens: {error}; leave the task out, ask for "
            "shorter answers (max_tokens), or take a model with a longer context"
        ) from None
    return _prompt(task, trace, told, **how)


def _prompt(task, trace, told, *, few_shot, instruction, rationale):
    """told: the naturalized trace, which holds the program and the traced test; "" where there is none."""
    others = [test for test in task.tests if trace is None or test != trace.test]
    program = [told] if trace is not None else [task.buggy.strip("\n")]
    body = "\n".join([*program, *others])
    asked = f"# Task: {task.description}\n# Buggy:\n{body}\n{WHY if rationale else FIX}"
    text = "\n\n".join(part for part in (instruction, *few_shot, asked) if part)
    return Prompt(task.task_id, text, asked, tuple(few_shot), instruction)


def messages(prompt):
    """A Prompt as the turns of a chat: the instruction, each example as a question and its answer, then the question."""
    turns = [dict(role="system", content=prompt.instruction)] if prompt.instruction else []
    for example in prompt.few_shot:
        mark = WHY if WHY in example else FIX
        question, _, answer = example.partition(mark)
        turns += [dict(role="user", content=question + mark), dict(role="assistant", content=answer.strip())]
    return [*turns, dict(role="user", content=prompt.asked or prompt.text)]


def format_answer(rationale, fix):
    """The completion that follows a prompt, as the model is trained to write it: ` rationale`, `# Fix:`, program."""
    return f" {rationale.strip()}\n{FIX}\n{fix.strip()}"


def parse_completion(text):
    """The Answer in a completion; never raises.

    Takes what stands before `# Fix:` as rationale, and of what follows the program (`parse_program`); the mark begins a
    line, if only as a heading or item, and in a fenced block, where comments do so too, is all of it; one in the midst
    of a line counts where there is no such. Without it the last fenced block is the program, since a rationale may quote
    code in others; without a block there is none. A program that does not parse as Python keeps its text: the judge
    calls it unparseable. What a model thinks to itself first, up to `</think>`, is no part of the answer.
    """
    text = _without_thoughts(text)
    if mark := _mark_of(text):
        return Answer(_rationale(text[: mark.start()]), parse_program(text[mark.end() :]))
    blocks = _blocks(text)
    if not blocks:
        return Answer(_rationale(text), "")
    return Answer(_rationale(text[: blocks[-1].start()]), _trimmed(blocks[-1][1]))


def _without_thoughts(text):
    """What a model says after it has thought to itself; nothing where it was cut off before it came to that."""
    begins = text.lstrip().startswith("<think>")
    if begins and "</think>" in text:
        return text.partition("</think>")[2]
    ended = _THOUGHT.search(text)
    return "" if begins else text[ended.end() :] if ended and text[ended.end() :].strip() else text


def parse_program(text):
    """The program in an answer that is to be nothing else: its first fenced block, or all of it where there is none.

    A text that is Python as it stands is a program whose docstring shows a block.
    """
    blocks = _blocks(text)
    return _trimmed(blocks[0][1] if blocks and not is_python(text) else text)


def is_python(program):
    """Whether a program is Python at all."""
    return _syntax(program) is not None


def same_program(one, other):
    """Whether two programs are equal but for layout and comments; text that does not parse equals only itself."""
    return shape(one) == shape(other)


def shape(program):
    """What tells a program from others, whatever its layout and comments: its syntax tree as text.

    Text that does not parse is its own shape, without the space around it.
    """
    return _syntax(program) or program.strip()


def _syntax(program):
    """The syntax tree of a program as text; None if it is no Python."""
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a model writes may be odd; that is its own affair
            return ast.dump(ast.parse(program))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last: what is nested too deep for the parser
        return None


def _mark_of(text):
    """The match of the mark that the fix stands behind, or None."""
    found = [(mark, text[: mark.start()].count("```") % 2 == 1) for mark in islice(_MARK.finditer(text), MOST_MARKS)]
    heads = (mark for mark, fenced in found if mark["begins"] is not None and (mark["alone"] is not None or not fenced))
    return next(heads, None) or next((mark for mark, fenced in found if not fenced), None)


def _blocks(text):
    """The fenced blocks of a text, as matches; those with nothing in them only where there are no others."""
    blocks = list(_FENCE.finditer(text))
    return [block for block in blocks if block[1].strip()] or blocks


def _rationale(text):
    return text.strip().removeprefix(WHY).strip()


def _trimmed(program):
    return program.lstrip("\r\n").rstrip()
