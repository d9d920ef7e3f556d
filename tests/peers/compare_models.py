"""Random small models of every family: lossbox beside transformers and peft, for whoever has Python.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2
    python tests/peers/compare_models.py target/release/lossbox FIRST_SEED LAST_SEED

Per seed a model of random shape and options is saved by transformers (in any precision, whole or in shards, with older names of
fields or with fields left out), and compared: log-probs of completions (`lossbox logps`), the gradient of a DPO step under the
same names (`lossbox train --steps 1 --save-gradients`), that the saved model loads, and adapters in peft. Prints a line per seed and
keeps what differs.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

# What a file cannot go without.
NEEDED = {"model_type", "architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "head_dim",
         "num_attention_heads", "num_key_value_heads", "n_embd", "n_layer", "n_head", "n_inner", "rope_parameters",
         "rope_scaling", "dtype", "torch_dtype", "tie_word_embeddings", "attention_bias", "mlp_bias"}
DTYPES = [torch.float32, torch.float32, torch.float16, torch.bfloat16]


def rope(r, theta, kinds):
    kind = r.choice(kinds)
    fields = dict(rope_type=kind, rope_theta=theta)
    if kind in ("linear", "dynamic"):
        fields["factor"] = r.choice([2.0, 3.7])
    if kind == "llama3":
        fields |= dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=r.choice([2.0, 4.0]),
                       original_max_position_embeddings=r.choice([8, 32]))
    if kind == "yarn":
        fields |= dict(factor=r.choice([2.0, 4.0]), original_max_position_embeddings=r.choice([16, 32]))
        if r.random() < 0.4:
            fields |= dict(beta_fast=r.choice([16.0, 32.0]), beta_slow=r.choice([1.0, 2.0]))
        if r.random() < 0.3:
            fields["attention_factor"] = 1.3
        elif r.random() < 0.3:
            fields |= dict(mscale=r.choice([1.0, 0.7]), mscale_all_dim=r.choice([0.8, 1.0]))
        if r.random() < 0.3:
            fields["truncate"] = False
    return fields


def gpt2(r, vocabulary, heads, head_dim, layers):
    return dict(vocab_size=vocabulary, n_embd=heads * head_dim, n_layer=layers, n_head=heads, n_positions=48,
                n_inner=r.choice([None, 13, 40]), scale_attn_weights=r.random() < 0.8,
                activation_function=r.choice(["gelu_new", "gelu", "relu", "gelu_pytorch_tanh"]),
                tie_word_embeddings=r.random() < 0.7, layer_norm_epsilon=r.choice([1e-5, 1e-3]),
                bos_token_id=1, eos_token_id=2)


def draw_config(r):
    vocabulary, heads, head_dim = r.choice([37, 64, 101]), r.choice([1, 2, 3, 4, 6]), r.choice([2, 4, 6, 8, 10])
    layers = r.choice([1, 2, 3, 5])
    family = r.choice(["gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"])
    if family == "gpt2":
        return family, gpt2(r, vocabulary, heads, head_dim, layers)
    fields = dict(
        vocab_size=vocabulary, hidden_size=heads * r.choice([4, 5, 10]), intermediate_size=r.choice([9, 24, 31]),
        num_hidden_layers=layers, num_attention_heads=heads, head_dim=head_dim, max_position_embeddings=64,
        num_key_value_heads=r.choice([n for n in range(1, 7) if heads % n == 0]), rms_norm_eps=r.choice([1e-6, 1e-2]),
        tie_word_embeddings=r.random() < 0.5, pad_token_id=r.choice([None, 0, 5, vocabulary - 1]), bos_token_id=1,
        eos_token_id=r.choice([2, [2, 3]]))
    theta, every = r.choice([50.0, 1e4, 5e5]), ("default", "linear", "llama3", "yarn", "dynamic")
    if family == "gemma3_text":
        fields["layer_types"] = [r.choice(["sliding_attention", "full_attention"]) for _ in range(layers)]
        fields["rope_parameters"] = dict(sliding_attention=rope(r, r.choice([100.0, 1e4]), ("default",)),
                                         full_attention=rope(r, theta, ("default", "linear", "yarn")))
    else:
        fields["rope_parameters"] = rope(r, theta, every)
    if family == "llama":
        fields |= dict(attention_bias=r.random() < 0.5, mlp_bias=r.random() < 0.5)
    if family == "mistral":
        fields["sliding_window"] = r.choice([None, 1, 3, 7, 100])
    if family.startswith("qwen"):
        fields |= dict(use_sliding_window=r.random() < 0.6, sliding_window=r.choice([2, 5, 9]),
                       max_window_layers=r.choice([0, 1, 2]))
    if family == "qwen3" or family.startswith("gemma"):
        fields["attention_bias"] = r.random() < 0.5
    if not family.startswith("gemma"):
        fields["hidden_act"] = r.choice(["silu", "gelu", "relu", "gelu_pytorch_tanh"])
    if family in ("gemma2", "gemma3_text"):
        fields |= dict(hidden_activation=r.choice(["gelu_pytorch_tanh", "gelu", "silu"]),
                       query_pre_attn_scalar=r.choice([5, 12, 144]), sliding_window=r.choice([1, 4, 6]),
                       final_logit_softcapping=r.choice([None, 2.0, 30.0]))
    if family == "gemma2":
        fields["attn_logit_softcapping"] = r.choice([None, 1.0, 30.0])
    return family, fields


def disguise(r, family, path):
    """Older names, and fields left out."""
    fields = json.loads(path.read_text())
    if family not in ("gpt2", "gemma3_text") and r.random() < 0.5:
        scaling = fields.pop("rope_parameters")
        fields["rope_theta"] = scaling.pop("rope_theta")
        if scaling["rope_type"] != "default":
            fields["rope_scaling"] = scaling
        fields["torch_dtype"] = fields.pop("dtype")
    kept = {name: value for name, value in fields.items() if name in NEEDED or r.random() > 0.25}
    path.write_text(json.dumps(kept))


def save_model(r, seed, folder):
    family, fields = draw_config(r)
    dtype, shard = r.choice(DTYPES), r.choice(["4KB", "5GB"])
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **fields)).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = ("norm" in name or "ln_" in name) and "gemma" not in family and name.endswith("weight")
            parameter.copy_(float(is_norm) + 0.3 * torch.randn(parameter.shape))
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    disguise(r, family, folder / "config.json")
    return family, fields["vocab_size"]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def logps(model, row, side):
    prompt, completion = row["prompt_ids"], row[f"{side}_ids"]
    logits = model(torch.tensor([prompt + completion]), use_cache=False).logits[0]
    rows = torch.log_softmax(logits, -1)[len(prompt) - 1:-1]
    return rows.gather(1, torch.tensor(completion)[:, None]).sum()


def logps_off(model, rows, printed):
    got = [json.loads(line) for line in printed.splitlines()]
    assert len(got) == len(rows)
    with torch.no_grad():
        return max(abs(float(logps(model, row, side)) - line[f"{side}_logps"]) / len(row[f"{side}_ids"])
                   for row, line in zip(rows, got) for side in ("chosen", "rejected"))


def gradients_off(model, rows, file):
    ratios = [logps(model, row, "chosen") - logps(model, row, "rejected") for row in rows]
    margins = torch.stack([ratio - ratio.detach() for ratio in ratios])
    (-torch.nn.functional.logsigmoid(0.1 * margins)).mean().backward()
    got, expected = load_file(file), {name: p.grad for name, p in model.named_parameters()}
    assert set(got) == set(expected), set(got) ^ set(expected)
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    return max(float((got[name] - gradient).abs().max()) / max(float(gradient.abs().max()), 1e-3 * largest)
               for name, gradient in expected.items())


def compare(lossbox, seed, folder):
    r = random.Random(seed)
    try:
        family, vocabulary = save_model(r, seed, folder)
        model = load(folder)
    except (ValueError, RuntimeError) as error:
        return f"transformers refuses: {str(error).splitlines()[0][:100]}", True
    draw = lambda most: [r.randrange(vocabulary) for _ in range(r.randint(1, most))]
    rows = [dict(prompt_ids=draw(14), chosen_ids=draw(20), rejected_ids=draw(20)) for _ in range(3)]
    data = folder / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(*command):
        done = subprocess.run([lossbox, *map(str, command), "--model", folder, "--data", data],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-200:]}")
        return done.stdout

    step = ["train", "--loss", "dpo:beta=0.1", "--batch-pairs", "3"]
    options = r.choice([[], ["--pass-pairs", "1"], ["--recompute"]])
    rank = ["--lora-rank", r.choice([1, 2]), "--lora-targets",
            "c_attn,c_proj" if family == "gpt2" else r.choice(["q_proj,v_proj", "k_proj,o_proj,gate_proj,down_proj"])]
    try:
        of_logps = logps_off(model, rows, run("logps", "--json"))
        run(*step, "--steps", 1, "--max-grad-norm", 0, "--no-shuffle", "--save", folder / "saved", "--run",
            folder / "run", "--save-gradients", folder / "gradients.safetensors", *options)
        of_gradients = gradients_off(model, rows, folder / "gradients.safetensors")
        load(folder / "saved")
        run(*step, "--steps", 3, "--lr", 3e-2, "--save", folder / "adapter", "--run", folder / "run-2", *rank)
        tuned = PeftModel.from_pretrained(load(folder), folder / "adapter").eval()
        of_adapter = logps_off(tuned, rows, run("logps", "--json", "--adapter", folder / "adapter"))
    except RuntimeError as error:
        return f"{family}: {error}", False
    line = f"{family}: log-probs {of_logps:.1e}, gradients {of_gradients:.1e}, adapter {of_adapter:.1e}"
    return line, max(of_logps, of_adapter) < 2e-5 and of_gradients < 2e-4


def main():
    lossbox, first, last = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    root = Path(tempfile.mkdtemp())
    for seed in range(first, last):
        line, same = compare(lossbox, seed, root / str(seed))
        print(f"{seed} {line}" + ("" if same else f"  <<< {root / str(seed)}"), flush=True)
        if same:
            shutil.rmtree(root / str(seed), ignore_errors=True)


if __name__ == "__main__":
    main()
