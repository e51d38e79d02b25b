"""Loading: the weights and the tokenizer of a causal language model, from a folder or from the Hugging Face hub.

Whatever stands in the way is said in one sentence: the model, the cause, the mend. What can be known from the model's
few lines of configuration (its kind, code of its own, the size of its weights) is known before any weights are fetched.

    path = resolve_model("offline-base")
    tokenizer, model = load_tokenizer(path), load_model(path, device="cuda", dtype=torch.bfloat16)
"""

import hashlib
import json
import os
from pathlib import Path

from nextkit.tasks import DATA

HEADS = ("CausalLM", "LMHead", "ConditionalGeneration")  # in the names of architectures that write text
SERVED = "serve it with a program that does, such as vLLM, and sample with nextkit.EndpointSampler"


def resolve_model(model):
    """The folder or hub name that `model` stands for; a shipped model's bare name gives its folder in data/."""
    shipped = DATA / str(model)
    path = shipped if (shipped / "config.json").exists() else Path(model)
    if (path / "config.json").exists():
        return str(path)
    if is_url(model):
        raise ValueError(
            f"{str(model)!r} is a server's address: nextkit.notebook.sampler() or nextkit.EndpointSampler samples from "
            "it; to tune, or to sample here, name the model itself"
        )
    looks_like_hub = str(model).count("/") == 1 and not str(model).startswith((".", "/"))
    if path.exists() or not looks_like_hub:
        names = ", ".join(sorted(p.parent.name for p in DATA.glob("*/config.json")))
        raise ValueError(
            f"no model at {str(model)!r}: give a folder with a config.json, a name on the Hugging Face hub such as "
            f"'Qwen/Qwen2.5-Coder-1.5B-Instruct', or a shipped model: {names}"
        )
    return str(model)


def is_url(model):
    """Whether a model is named by the address of a server."""
    return str(model).startswith(("http://", "https://"))


def fingerprint(model):
    """A name for exactly these weights: the model's name, and for a folder the hash of its smaller files' contents.

    Files over 64 MB count by size and time of change. A hub name stands for itself, and so does a server's address.
    """
    path = Path(model if is_url(model) else resolve_model(model))
    if not path.is_dir():
        return str(model)
    total = hashlib.sha256()
    for file in sorted(file for file in path.glob("*.*") if file.is_file()):
        stat = file.stat()
        total.update(file.read_bytes() if stat.st_size < 64e6 else f"{stat.st_size} {stat.st_mtime}".encode())
    return f"{model} {total.hexdigest()[:12]}"


def weights_of(adapter):
    """A short hash of the weights that lie in an adapter's folder."""
    files = sorted(Path(adapter).glob("adapter_model.*"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def load_config(path):
    """The configuration of a model. Raises ValueError where it cannot be had, or is not of a causal language model."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    config = _from_pretrained(AutoConfig, path)
    kinds = getattr(config, "architectures", None) or []
    writes = not kinds or any(head in kind for kind in kinds for head in HEADS)
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and writes and not getattr(config, "is_encoder_decoder", False):
        return config
    raise ValueError(
        f"the model {path!r} is of the kind {', '.join(kinds) or config.model_type}, not a causal language model, which "
        "continues a text: name one that is, such as 'Qwen/Qwen2.5-Coder-1.5B-Instruct'"
    )


def check_adapter(adapter, path):
    """Raises ValueError where a folder holds no LoRA adapter, or one of another base than the model at `path`."""
    folder = Path(adapter)
    if not (folder / "adapter_config.json").exists() or not any(folder.glob("adapter_model.*")):
        inner = sorted(folder.glob("*/adapter_config.json"))
        hint = f"; there is one in {str(inner[0].parent)!r}" if inner else ""
        raise ValueError(f"no LoRA adapter in {str(adapter)!r}: give a folder that finetune made{hint}")
    config = json.loads((folder / "adapter_config.json").read_text())
    base = config.get("base_model_name_or_path") or path
    if Path(base).is_dir() and Path(path).is_dir() and not _are_same(base, path):
        raise ValueError(f"the adapter {str(adapter)!r} was tuned for {base!r}, not for {path!r}: sample from its base")


def _are_same(one, other):
    """Whether two folders hold the same model: they are one folder, or their files are the same."""
    hashes = (fingerprint(folder).rpartition(" ")[2] for folder in (one, other))
    return os.path.realpath(one) == os.path.realpath(other) or len({*hashes}) == 1


def check_attention(path, config):
    """Raises ValueError where a model remembers what it read otherwise than by attention to each token of it."""
    from transformers.cache_utils import DynamicCache, LinearAttentionCacheLayerMixin

    try:
        layers = DynamicCache(config=config).layers
    except Exception:  # of a kind that the library makes another cache for; then loading or sampling says what is wrong
        layers = []
    if config.model_type == "rwkv" or any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in layers):
        raise ValueError(
            f"the model {path!r} is of the kind {config.model_type}, whose memory is not of attention alone, and the n "
            f"samples of a prompt could not share it: {SERVED}"
        )


def load_tokenizer(path):
    """The tokenizer of a model, with a padding token, if need be any: padding is masked. Raises ValueError when it
    cannot be had."""
    from transformers import AutoTokenizer

    tokenizer = _from_pretrained(AutoTokenizer, path)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def load_model(path, adapter=None, *, device="cpu", dtype=None):
    """A causal language model, in float32 where dtype is None, with the LoRA adapter of a folder merged in if given.

    Merged, an adapter costs no time. Raises ValueError where the model cannot be had, RuntimeError where it is too large.
    """
    import torch
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM

    config, dtype = load_config(path), dtype or torch.float32
    check_memory(path, config, device, dtype)
    prefer_flash(device)
    fast = getattr(MODEL_FOR_CAUSAL_LM_MAPPING[type(config)], "_supports_sdpa", False)
    how = dict(dtype=dtype, attn_implementation="sdpa" if fast else "eager")
    if torch.device(device).type != "cpu":
        how["device_map"] = device  # straight there, without a copy in the CPU's memory
    model = _from_pretrained(AutoModelForCausalLM, path, **how)
    if adapter is None:
        return model
    from peft import PeftModel

    check_adapter(adapter, path)
    return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()


def prefer_flash(device):
    """On a CUDA GPU, attention without cuDNN's kernel: it plans anew for each length, and with masks of some lengths its
    gradients are nan."""
    import torch

    if torch.device(device).type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def pick_device(asked=None):
    """The device asked for, or this machine's fastest. Raises ValueError for a GPU that torch does not see."""
    import torch

    if asked is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if torch.device(asked).type != "cuda" or (torch.device(asked).index or 0) < torch.cuda.device_count():
        return asked
    cause = "nvidia-smi shows what the driver has"
    if torch.version.cuda is None and torch.version.hip is None:
        cause = "this build of torch is without CUDA, see https://pytorch.org for one that has it"
    raise ValueError(
        f"device={str(asked)!r} was asked for, but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA GPUs: "
        f"{cause}; without device= the model runs on {pick_device()!r}"
    )


def as_dtype(dtype):
    """A torch dtype from itself or its name; None stays None. Raises ValueError for a name that there is not."""
    import torch

    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not isinstance(found, torch.dtype):
        raise ValueError(f"dtype is {dtype!r}: give one of torch's, such as 'bfloat16', 'float16' or 'float32'")
    return found


def best_dtype(device):
    """bfloat16 where the hardware computes in it, float16 on CUDA GPUs too old for that, else float32."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    native = kind == "cpu" and torch.cpu._is_avx512_bf16_supported()
    native = native or (kind == "mps" and torch.backends.mps.is_macos_or_newer(14, 0))
    return torch.bfloat16 if native else torch.float32


def check_memory(path, config, device, dtype):
    """Raises RuntimeError where the weights alone, in this dtype, need more memory than the device has free."""
    if getattr(config, "quantization_config", None):
        return  # how many bytes these take, the configuration does not say
    need, free = weight_bytes(config, dtype), free_memory(device)
    if need > free:
        narrower = ", dtype=torch.bfloat16" if dtype.itemsize > 2 else ""
        raise RuntimeError(
            f"the model {path!r} does not fit: its weights need {need / 2**30:.3g} GiB in {dtype}, and {str(device)!r} has "
            f"{free / 2**30:.3g} GiB free: take a smaller model{narrower} or another device, end what else holds memory, or "
            "sample from a server with nextkit.EndpointSampler"
        )


def weight_bytes(config, dtype):
    """Bytes of a model's weights in this dtype; nothing is fetched or read."""
    return sum(weights.numel() for weights in outline(config).parameters()) * dtype.itemsize


def outline(config):
    """The model of a configuration, laid out without storage."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def free_memory(device):
    """Bytes that a process may still take on a device."""
    import psutil
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if kind == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return psutil.virtual_memory().available


def _from_pretrained(loader, path, **options):
    """What a loader of transformers loads. Raises ValueError, which names the model, the cause and the mend."""
    from transformers.utils import logging

    if Path(path).is_dir():
        logging.disable_progress_bar()  # a model of this size loads faster than its bar is drawn
    else:
        logging.enable_progress_bar()  # a download may take long
    try:
        return loader.from_pretrained(source(path), trust_remote_code=False, **options)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"the model {path!r} {_trouble(error, path)}") from error


def source(path):
    """A folder, or a hub name while the hub can be reached, else the model's folder in the cache.

    Otherwise the library would try the hub six times for each file, half a minute, for cached models as well.
    """
    import httpx
    from huggingface_hub import constants, snapshot_download

    if Path(path).is_dir():
        return path
    if not constants.HF_HUB_OFFLINE:
        try:
            httpx.head(constants.ENDPOINT, timeout=3)
            return path
        except httpx.HTTPError:
            pass
    return snapshot_download(path, local_files_only=True)


def _trouble(error, path):
    """Cause and mend, in words that follow the model's name."""
    from huggingface_hub import errors
    from transformers import __version__

    kinds = [type(cause) for cause in _causes(error)]
    said = " ".join(str(error).split())
    if any(issubclass(kind, errors.GatedRepoError) for kind in kinds):
        return (
            f"is gated: accept its licence at https://huggingface.co/{path}, then log in with `huggingface-cli login` "
            "(`hf auth login` in newer versions) or set HF_TOKEN"
        )
    if any(issubclass(kind, errors.RepositoryNotFoundError) for kind in kinds):
        return (
            "is not on the Hugging Face hub: check the name; if it is private, set HF_TOKEN to a token that may read it"
        )
    if any(issubclass(kind, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)) for kind in kinds):
        return (
            "is not in the cache, and the Hugging Face hub cannot be reached: connect, unset HF_HUB_OFFLINE if it is set, "
            "or give a local folder; the shipped 'offline-base' needs no network"
        )
    if "trust_remote_code" in said:
        return f"comes with code of its own, which nextkit does not run: {SERVED}, or name a model that needs none"
    if "does not recognize this architecture" in said or "Unrecognized model" in said:
        return f"is of an architecture that transformers {__version__} does not know: update transformers, or {SERVED}"
    return f"could not be loaded: {said[:300]} (check the name, and that the folder is complete)"


def _causes(error):
    """An exception, and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
