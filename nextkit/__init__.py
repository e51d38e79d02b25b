"""nextkit: an open kit for NExT, Naturalized Execution Tuning (Ni et al., ICML 2024).

One module a stage of the method. The names below can be taken from here; each is loaded when first
used, so that `import nextkit` stays cheap.
"""

import importlib

_MODULES = {
    "tasks": "RepairTask load_tasks save_tasks",
    "records": "to_frame",
    "sandbox": "Sandbox Verdict",
    "tracing": "Step Trace trace trace_all",
    "naturalize": "count_tokens naturalize strip_trace",
    "prompting": "Prompt build_prompt parse_completion",
    "sampling": "LocalSampler Sample Sampler",
    "sampling.endpoint": "EndpointSampler",
    "filtering": "Example check_program judge judge_all keep keep_random unchanged",
    "finetuning": "Adapter LoraSettings finetune merge",
    "evaluation": "blind_edit evaluate pass_at_k proxy_evaluate",
    "grounding": "agreement check_claims claims_table faithful grounded truth",
    "runs": "Run",
    "monitoring": "status",
    "settings": "SelfTrainingSettings settings_table",
    "selftraining": "self_train",
    "ablations": "compare",
    "ratings": "agreement_between read_ratings",
    "widgets": "RationaleRater RationaleReviewer RunMonitor TraceInspector",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = sorted({*_HOME} - {"naturalize"})  # `nextkit.naturalize` is the module; its function is inside


def __getattr__(name):
    if name in __all__:
        return getattr(importlib.import_module(f"nextkit.{_HOME[name]}"), name)
    raise AttributeError(f"nextkit has no {name!r}; it has: {', '.join(__all__)}")


def __dir__():
    return __all__
