"""Small models of every family with numbers computed by transformers, for host/trainer/tests/golden/families.

    pip install torch==2.15.0 transformers==5.24.0 safetensors numpy
    python tests/peers/make_model_goldens.py host/trainer/tests/golden/families

Each case is a Hugging Face directory (config.json, model.safetensors) with golden.json beside it: three pairs of
token ids, the log-prob of every completion token, a greedy continuation, and golden.safetensors, the gradient of the
sum of the completions' log-probs, each weighted. Everything is computed in float64, also where transformers would fall
back to float32 (norms, softmax, rotary angles), and compared with stock float32 before it is written.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM

VOCABULARY = 61
PADDED = 17
BASE = dict(
    vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)


def of(base, **changes):
    return {**base, **changes}


CASES = {
    "gpt2_erf": ("gpt2", dict(vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=64, n_inner=24,
                              activation_function="gelu", bos_token_id=1, eos_token_id=2)),
    "llama_biased": ("llama", of(BASE, attention_bias=True, mlp_bias=True, head_dim=6)),
    "llama_linear": ("llama", of(BASE, rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=3.0))),
    "llama_llama3": ("llama", of(BASE, rope_parameters=LLAMA3, tie_word_embeddings=True)),
    "llama_yarn": ("llama", of(BASE, rope_parameters=YARN)),
    "llama_dynamic": ("llama", of(BASE, rope_parameters=dict(rope_type="dynamic", rope_theta=500.0, factor=2.0))),
    "mistral": ("mistral", of(BASE, sliding_window=5, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    "qwen2": ("qwen2", of(BASE, num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1,
                          tie_word_embeddings=True)),
    "qwen3": ("qwen3", of(BASE, head_dim=8)),
    "gemma": ("gemma", of(BASE, head_dim=8, num_key_value_heads=1)),
    "gemma2": ("gemma2", of(BASE, head_dim=8, sliding_window=5, query_pre_attn_scalar=12, attn_logit_softcapping=1.5,
                            final_logit_softcapping=2.0)),
    "gemma3": ("gemma3_text", of(BASE, num_hidden_layers=3, head_dim=8, sliding_window=5, query_pre_attn_scalar=12,
                                 layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                 rope_parameters={
                                     "sliding_attention": dict(rope_type="default", rope_theta=100.0),
                                     "full_attention": dict(rope_type="linear", rope_theta=10000.0, factor=2.0)})),
    # PADDED occurs in prompts and completions: transformers keeps its row of the embedding from learning there.
    "llama_padded": ("llama", of(BASE, pad_token_id=PADDED)),
    "gemma_padded": ("gemma", of(BASE, head_dim=8, pad_token_id=PADDED - VOCABULARY)),
}
LENGTHS = [(5, 14, 9), (1, 12, 17), (11, 1, 2)]  # prompt, chosen, rejected
WEIGHTS = [0.5, -0.3, -0.7, 0.2, 1.1, -0.4]


def double_everywhere():
    """Makes transformers' own casts to float32 casts to float64."""
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)


def build(model_type, fields, seed):
    config = transformers.AutoConfig.for_model(model_type, **fields)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.3 if parameter.dim() > 1 else 0.2
            centre = 1.0 if "norm" in name and "gemma" not in model_type and name.endswith("weight") else 0.0
            centre = 1.0 if ".ln_" in name and name.endswith("weight") else centre
            values = centre + scale * torch.randn(parameter.shape)
            parameter.copy_(values.to(torch.float16))  # exact in every format
    return model.eval()


def completions(seed, padded):
    rng = np.random.default_rng(seed)
    draw = lambda n: [PADDED if padded and i % 3 == 0 else int(token)
                      for i, token in enumerate(rng.integers(3, VOCABULARY, n))]
    pairs = []
    for prompt, chosen, rejected in LENGTHS:
        pairs.append(dict(prompt=draw(prompt), chosen=draw(chosen), rejected=draw(rejected)))
    return pairs


def token_logps(model, prompt, completion):
    ids = torch.tensor([prompt + completion])
    logits = model(ids, use_cache=False).logits[0]
    logps = torch.log_softmax(logits, -1)
    return torch.stack([logps[len(prompt) - 1 + i, token] for i, token in enumerate(completion)])


def all_logps(model, pairs):
    return [token_logps(model, pair["prompt"], pair[side]) for pair in pairs for side in ("chosen", "rejected")]


def greedy(model, prompt, n):
    ids = list(prompt)
    for _ in range(n):
        ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt):]


def main(root):
    single, weights = {}, {}
    for seed, (name, (model_type, fields)) in enumerate(CASES.items()):
        model, pairs = build(model_type, fields, seed), completions(seed, "padded" in name)
        model.save_pretrained(root / name)
        weights[name] = {key: p.detach().numpy().copy() for key, p in model.named_parameters()}
        single[name] = [logps.detach().numpy() for logps in all_logps(model, pairs)]
    double_everywhere()
    for seed, (name, (model_type, fields)) in enumerate(CASES.items()):
        folder = root / name
        model = build(model_type, fields, seed)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(weights[name][key]))
        pairs = completions(seed, "padded" in name)
        logps = all_logps(model, pairs)
        worst = max(float(np.abs(a.detach().numpy() - b).max()) for a, b in zip(logps, single[name]))
        assert worst < 1e-5, f"{name}: float64 and float32 differ by {worst}"
        loss = sum(weight * one.sum() for weight, one in zip(WEIGHTS, logps))
        loss.backward()
        gradients = {key: p.grad.numpy() for key, p in model.named_parameters()}
        save_file(gradients, folder / "golden.safetensors")
        golden = dict(
            torch=torch.__version__, transformers=transformers.__version__, pairs=pairs, weights=WEIGHTS,
            token_logps=[one.tolist() for one in logps], greedy_prompt=pairs[2]["prompt"],
            greedy=greedy(model, pairs[2]["prompt"], 16),
        )
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
        for extra in ("generation_config.json",):
            (folder / extra).unlink(missing_ok=True)
        print(f"{name}: float32 is off by {worst:.1e}, {sum(p.numel() for p in model.parameters())} parameters")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
