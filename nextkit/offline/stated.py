"""Stated edits: answers that end where the fix would begin, since the edit that they state tells it.

To write a whole program again without a slip is hard for a small model where the names are not of its own world, and
most of a fix is a copy. Such a model says only what is to be changed (`rationales`); the kit carries it out.

    sampler = StatedEdits(LocalSampler("runs/stated/base"), tasks)
"""

from dataclasses import replace

from nextkit.offline.rationales import carried_out


class StatedEdits:
    """A Sampler whose samples' fix is the task's program with the edit that the rationale states.

    It has all else of `sampler`. tasks: those that prompts may be of. A text stays as the model wrote it, so that it is
    tuned on what it writes; a rationale that states no edit, or one that cannot be made, has an empty fix.
    """

    def __init__(self, sampler, tasks):
        self._sampler, self._buggy = sampler, {task.task_id: task.buggy for task in tasks}

    def __getattr__(self, name):
        return getattr(self._sampler, name)

    @property
    def identity(self):
        """That of the sampler, and that fixes are carried out: part of a stage's key."""
        return self._sampler.identity | dict(fixes="stated")

    def sample(self, prompts, n, **how):
        """As the sampler's. Raises KeyError for a prompt of another task."""
        rows = self._sampler.sample(prompts, n, **how)
        return [[replace(s, fix=carried_out(self._buggy[s.task_id], s.rationale)) for s in row] for row in rows]
