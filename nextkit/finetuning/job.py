"""Fine-tuning as a job of its own: one file says what to do, one command does it.

    write_job("job.json", "offline-base", examples, "runs/mine/round-1")

    $ python -m nextkit.finetuning.job job.json
    $ torchrun --nproc-per-node 2 -m nextkit.finetuning.job job.json

torchrun deals each batch out among its processes, a device each, which gives the losses of one process. Only the first
one writes and prints. Started again after a kill, or after memory ran out in one of them, the job goes on.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from nextkit.filtering import Example
from nextkit.finetuning import LoraSettings, finetune
from nextkit.records import from_dict


def write_job(path, base, examples, out, settings=None, *, chat=False):
    """Write what `finetune` is to do, its arguments, as one JSON object."""
    job = dict(base=str(base), out=str(Path(out).absolute()), chat=chat, settings=asdict(settings or LoraSettings()))
    Path(path).write_text(json.dumps(job | dict(examples=[asdict(example) for example in examples])))


def main():
    """Tune as the job file named on the command line says, and print [step, steps, loss] as JSON, a line a step."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m nextkit.finetuning.job JOB.json (write_job makes one)")
    job = json.loads(Path(sys.argv[1]).read_text())
    examples = [Example(**fields) for fields in job["examples"]]
    settings = from_dict(LoraSettings, job["settings"])
    finetune(job["base"], examples, job["out"], settings, chat=job["chat"], report=_print_step)
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def finetune_apart(base, examples, out, settings, chat, report=None):
    """Run the job in a new process, with a progress bar here; report: called instead, with (step, steps, loss).

    Raises RuntimeError with what that process said when it fails.
    """
    from tqdm.auto import tqdm

    package = str(Path(__file__).resolve().parents[2])
    environment = os.environ | dict(PYTHONPATH=os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        job = Path(folder, "job.json")
        write_job(job, base, examples, out, settings, chat=chat)
        command = [sys.executable, "-P", "-m", "nextkit.finetuning.job", str(job)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        try:
            with tqdm(desc="tuning", unit="step", disable=report is not None) as bar:
                for step, bar.total, loss in filter(None, map(_told, child.stdout)):
                    if report:
                        report(step, bar.total, loss)
                    bar.set_postfix(loss=loss, refresh=False)
                    bar.update(step - bar.n)
            if child.wait():
                errors.seek(0)
                raise RuntimeError(f"tuning in a process of its own failed:\n{errors.read()[-2000:]}")
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def _print_step(*told):
    print(json.dumps(told), flush=True)


def _told(line):
    """What `_print_step` printed; None for a line of somebody else's, such as a library's greeting."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, list) and len(found) == 3 else None


if __name__ == "__main__":
    main()
