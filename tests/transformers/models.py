"""Small models of each family with random weights, and their experts in a file."""
import contextlib
import os
import tempfile

import harness
import moed
import moed.transformers
import torch
import transformers

BASE = {"vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 512, "intermediate_size": 96,
        "bos_token_id": 1, "eos_token_id": 2}

# Name of transformers' classes -> what differs from BASE. Rules that depend on the configuration
# (groups, shared experts, a dense layer before) are switched on.
FAMILIES = {
    "Qwen3Moe": {"head_dim": 16, "moe_intermediate_size": 32, "num_experts": 8,
                 "num_experts_per_tok": 3, "norm_topk_prob": True},
    "Mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Qwen2Moe": {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 64,
                 "num_experts": 8, "num_experts_per_tok": 3, "norm_topk_prob": False},
    "DeepseekV3": {"num_key_value_heads": 4, "moe_intermediate_size": 32, "n_routed_experts": 16,
                   "num_experts_per_tok": 3, "n_group": 4, "topk_group": 2, "n_shared_experts": 2,
                   "first_k_dense_replace": 1, "q_lora_rank": 32, "kv_lora_rank": 32,
                   "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16},
    "GptOss": {"head_dim": 16, "num_local_experts": 8, "num_experts_per_tok": 2},
    "Olmoe": {"num_experts": 8, "num_experts_per_tok": 3, "norm_topk_prob": False},
}


def make(family, seed=1, **changes):
    """A model whose every weight, bias and buffer of the MoE blocks is random."""
    torch.manual_seed(seed)
    config = getattr(transformers, f"{family}Config")(**{**BASE, **FAMILIES[family], **changes})
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layernorm" in name or name.endswith("norm.weight"):
                weight.uniform_(0.5, 1.5)
            else:
                weight.normal_(std=0.3)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.normal_(std=0.1)
    return model


def prompt(rows=2, tokens=20, vocabulary=256):
    return torch.randint(3, vocabulary, (rows, tokens), generator=torch.Generator().manual_seed(5))


def logits(model, ids):
    with torch.inference_mode():
        return model(ids).logits.float()


@contextlib.contextmanager
def exported(model, **options):
    """Path of a file with the model's experts."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "experts.gguf")
        moed.transformers.export(model, path, **options)
        yield path


@contextlib.contextmanager
def served(model, *flags, **options):
    """A server of the model's experts, exact about what it multiplies."""
    with exported(model, **options) as path:
        with harness.Server(path, "--activations", "f32", *flags) as server:
            yield server


@contextlib.contextmanager
def attached(model, *arguments, **options):
    result = moed.transformers.attach(model, *arguments, **options)
    with result.client:
        yield result


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()
