"""The training steps of `lossbox bench cuda`, done by PyTorch on the same card: trl's DPOTrainer in bf16 with flash attention.

    pip install torch==2.15.0 transformers==5.24.0 trl==1.16.0 datasets flash-attn
    python tests/peers/bench_cuda.py --lossbox target/release/lossbox

Random weights, random tokens, half of each sequence prompt, given reference log-probs, AdamW. Every measurement runs in a
process of its own. Prints one JSON object per measurement. Without flash-attn it takes PyTorch's own attention and says so.
Model FLOPs utilisation is lossbox's: useful arithmetic (the prompt once per pair, the head on completions only) over the time and the
peak that lossbox measured on the card; PyTorch's step is held against the same arithmetic.
"""

import argparse
import json
import statistics
import subprocess
import sys

from dpo import step_seconds

TOKENS, PAIRS, STEPS = 1024, 4, 10
MODELS = {  # as host/trainer/src/bench/cuda.rs has them
    "GPT-2 124M": dict(kind="gpt2", n_layer=12, n_embd=768, n_head=12),
    "GPT-2 350M": dict(kind="gpt2", n_layer=24, n_embd=1024, n_head=16),
    "GPT-2 774M": dict(kind="gpt2", n_layer=36, n_embd=1280, n_head=20),
    "Llama 1B": dict(kind="llama", hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
                     num_attention_heads=32, num_key_value_heads=8, vocab_size=128_256, rope_theta=500_000.0,
                     max_position_embeddings=4096, tie_word_embeddings=True),
}


def attention():
    try:
        import flash_attn  # noqa: F401

        return "flash_attention_2"
    except ImportError:
        return "sdpa"


def build(name):
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    sizes = dict(MODELS[name])
    special = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0, use_cache=False)
    if sizes.pop("kind") == "gpt2":
        config = GPT2Config(n_positions=TOKENS, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **sizes, **special)
    else:
        config = LlamaConfig(**sizes, **special)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention())
    return model.to(device="cuda", dtype=torch.float32), config.vocab_size


def worker(name):
    import torch

    model, vocabulary = build(name)
    draw = lambda: torch.randint(3, vocabulary, (PAIRS, TOKENS // 2)).tolist()
    rows = {"prompt_ids": draw(), "chosen_ids": draw(), "rejected_ids": draw()}
    times = step_seconds(model, rows, STEPS + 2, torch.cuda.synchronize, per_device_train_batch_size=PAIRS, bf16=True)
    seconds = statistics.median(times[2:])
    return dict(peer="trl", model=name, attention=attention(), median_ms=1e3 * seconds,
                tokens_per_s=2 * PAIRS * TOKENS / seconds, memory_mb=torch.cuda.max_memory_allocated() / 2**20)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lossbox")
    parser.add_argument("--model", nargs="+", default=list(MODELS))
    parser.add_argument("--worker")
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(worker(args.worker)))
        return
    ours = {}
    if args.lossbox:
        done = subprocess.run([args.lossbox, "bench", "cuda", "--json"], capture_output=True, text=True, check=True)
        report = json.loads(done.stdout.strip().splitlines()[-1])
        for step in report["steps"]:
            ours[step["model"]] = step
            print(json.dumps(dict(peer="lossbox", device=report["device"], **step)), flush=True)
    for name in args.model:
        done = subprocess.run([sys.executable, __file__, "--worker", name], capture_output=True, text=True)
        if done.returncode != 0:
            print(json.dumps(dict(peer="trl", model=name, fault=done.stderr[-500:])), flush=True)
            continue
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        step = ours.get(name, {})
        if "mfu" in step:
            figures["mfu"] = step["mfu"] * step["median_ms"] / figures["median_ms"]
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
