"""Loading: what stands in the way of a model is said in one sentence, with its name, the cause and the mend."""

import json
import shutil
from types import SimpleNamespace

import httpx
import pytest
from huggingface_hub import constants, errors

from nextkit.sampling import LocalSampler, loading
from nextkit.sampling.loading import best_dtype, fingerprint, load_config, load_model, resolve_model

HUB = "Qwen/Qwen2.5-Coder-1.5B-Instruct"


@pytest.fixture
def hub(monkeypatch):
    """hub(error): the Hugging Face hub can be reached, and answers every request for a file with this error."""
    from transformers.utils import hub

    def answer(error):
        def refuse(*_, **__):
            raise error

        monkeypatch.setattr(loading, "source", lambda path: path)
        monkeypatch.setattr(hub, "hf_hub_download", refuse)

    return answer


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise httpx.ConnectError("[Errno -2] Name or service not known")

    monkeypatch.setattr(httpx, "head", refuse)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def model_of(tmp_path):
    """model_of(**config) -> the folder of a model with this configuration, and nothing else."""

    def write(**config):
        (tmp_path / "config.json").write_text(json.dumps(config))
        return str(tmp_path)

    return write


def refused(kind, status):
    """An error of huggingface_hub, as it raises it for a response."""
    return kind("no", response=httpx.Response(status, request=httpx.Request("HEAD", "https://huggingface.co")))


@pytest.mark.parametrize(
    "error, cause, mend",
    [
        (
            refused(errors.GatedRepoError, 403),
            "is gated",
            f"accept its licence at https://huggingface.co/{HUB}.*HF_TOKEN",
        ),
        (refused(errors.RepositoryNotFoundError, 401), "is not on the Hugging Face hub", "check the name"),
        (errors.LocalEntryNotFoundError("no"), "is not in the cache", "give a local folder"),
        (
            errors.OfflineModeIsEnabled("no"),
            "is not in the cache, and the Hugging Face hub cannot be reached",
            "unset HF_HUB_OFFLINE",
        ),
        (OSError("the disk is\nfull"), "could not be loaded: the disk is full", "check"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_mend(hub, error, cause, mend):
    hub(error)
    with pytest.raises(ValueError, match=f"the model '{HUB}' {cause}.*{mend}") as found:
        load_config(HUB)
    assert error in loading._causes(found.value)


def test_a_model_that_is_not_in_the_cache_is_named_at_once_without_a_network(no_network):
    with pytest.raises(ValueError, match=f"'{HUB}' is not in the cache, and the Hugging Face hub cannot be reached"):
        LocalSampler(HUB)


def test_a_model_in_the_cache_needs_no_network(no_network, tiny_model, tmp_path, monkeypatch):
    cached = tmp_path / "models--some--tiny"
    shutil.copytree(tiny_model, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    sampler = LocalSampler("some/tiny", progress=False)
    assert sampler.model() is not None and sampler.path == "some/tiny"


def test_a_gpu_that_is_not_there_is_named_with_the_mend(tiny_model, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(
        ValueError, match="device='cuda' was asked for, but torch .* sees 0 CUDA GPUs: .*without device="
    ):
        LocalSampler(tiny_model, device="cuda")


def test_weights_that_do_not_fit_are_said_with_both_figures_before_they_are_loaded(tiny_model, monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**10))
    monkeypatch.setattr(loading, "_from_pretrained", lambda loader, path: load_config_only(loader, path))
    with pytest.raises(
        RuntimeError, match="weights need 0.000.* GiB in torch.float32, and 'cpu' has 9.54e-07 GiB free"
    ):
        load_model(tiny_model)


def load_config_only(loader, path):
    assert loader.__name__ == "AutoConfig"
    return loader.from_pretrained(path)


def test_the_size_of_the_weights_is_known_without_them(tiny_model):
    import torch

    weights = load_model(tiny_model).parameters()
    half = loading.weight_bytes(load_config(tiny_model), torch.bfloat16)
    assert half == 2 * sum(weight.numel() for weight in weights)


def test_an_architecture_that_is_not_known_is_named_with_the_mend(model_of):
    with pytest.raises(ValueError, match="architecture that transformers 5.* does not know: update transformers"):
        load_config(model_of(model_type="quantum"))


def test_a_model_with_code_of_its_own_is_not_run(model_of, tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit('was run')")
    folder = model_of(model_type="mine", auto_map=dict(AutoConfig="mine.Config", AutoModelForCausalLM="mine.Model"))
    with pytest.raises(ValueError, match="comes with code of its own, which nextkit does not run: serve it"):
        load_config(folder)


@pytest.mark.parametrize(
    "kind, head", [("t5", "T5ForConditionalGeneration"), ("bert", "BertForMaskedLM"), ("qwen2", "Qwen2Model")]
)
def test_a_model_that_does_not_continue_texts_is_named(model_of, kind, head):
    with pytest.raises(ValueError, match=f"of the kind {head}, not a causal language model"):
        load_config(model_of(model_type=kind, architectures=[head]))


def test_a_model_computes_attention_by_sdpa_in_the_dtype_asked_for(tiny_model):
    import torch

    model = load_model(tiny_model, dtype=torch.bfloat16)
    assert (model.config._attn_implementation, model.dtype) == ("sdpa", torch.bfloat16)


def test_positions_stay_exact_in_bfloat16(tiny_model):
    import torch

    sampler = LocalSampler(tiny_model, dtype=torch.bfloat16, progress=False)
    assert {buffer.dtype for buffer in sampler.model().buffers()} == {torch.float32}


@pytest.mark.parametrize("native, name", [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_too_old_for_bfloat16_gets_float16(monkeypatch, native, name):
    import torch

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert best_dtype("cuda:1") == getattr(torch, name)


def test_the_old_weights_go_before_others_come(tiny_model, monkeypatch):
    from nextkit import sampling

    local, held = LocalSampler(tiny_model, progress=False), []
    monkeypatch.setattr(sampling, "load_model", lambda path, adapter, **_: held.append(local.model_in_use) or adapter)
    assert [local.model("one"), local.model("two")] == ["one", "two"] and held == [None, None]


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "a/b/c"])
def test_an_unknown_model_is_named_with_the_mend(name):
    with pytest.raises(ValueError, match="no model at .*config.json"):
        resolve_model(name)


def test_a_server_is_no_model_to_load():
    with pytest.raises(ValueError, match="a server's address.*EndpointSampler samples from it"):
        LocalSampler("http://localhost:8000/v1#tiny")


def test_other_weights_under_the_same_name_have_another_fingerprint(tiny_model, tmp_path):
    copy = shutil.copytree(tiny_model, tmp_path / "model")
    before = fingerprint(str(copy))
    assert before == fingerprint(str(copy))
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    assert fingerprint(str(copy)) != before


@pytest.mark.parametrize("name", [HUB, "http://localhost:8000/v1#tiny"])
def test_a_model_elsewhere_is_its_own_fingerprint(name):
    assert fingerprint(name) == name


def test_a_folder_in_a_models_folder_is_no_part_of_its_name(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "model")
    before = loading.fingerprint(tmp_path / "model")
    (tmp_path / "model" / ".cache" / "huggingface").mkdir(parents=True)
    assert loading.fingerprint(tmp_path / "model") == before


def test_a_model_whose_memory_is_not_of_attention_is_refused():
    from transformers import MambaConfig, MistralConfig

    loading.check_attention("m", MistralConfig())
    with pytest.raises(ValueError, match="'m' is of the kind mamba.*EndpointSampler"):
        loading.check_attention("m", MambaConfig())


def test_a_folder_without_an_adapter_is_named_with_the_one_that_is_meant(tmp_path):
    with pytest.raises(ValueError, match="no LoRA adapter"):
        loading.check_adapter(tmp_path, "base")
    inner = tmp_path / "adapter"
    inner.mkdir()
    (inner / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no LoRA adapter.*there is one in .*adapter'"):
        loading.check_adapter(tmp_path, "base")


def test_a_type_of_numbers_may_be_named():
    import torch

    assert loading.as_dtype("bfloat16") is torch.bfloat16 and loading.as_dtype(None) is None
    with pytest.raises(ValueError, match="'float17'.*'bfloat16'"):
        loading.as_dtype("float17")
