"""The work of `lossbox bench step`, done by PyTorch: trl's DPOTrainer as its users run it, and a hand-written step.

    pip install torch==2.15.0 transformers==5.24.0 trl==1.16.0 datasets
    python tests/peers/bench_step.py --lossbox target/release/lossbox [--config i ii iii] [--threads 1 2]

Every measurement runs in a process of its own, peers and lossbox in turns, so that the machine's state is the same for
all. Prints one JSON object per measurement and a table at the end. `--preload tcmalloc.so mkl.so` measures the peers twice,
as they are and with these libraries before theirs: an allocator, and for AMD one that makes MKL take its AVX-512 path:

    echo 'int mkl_serv_intel_cpu_true(void) { return 1; }' | cc -shared -fPIC -x c -o mkl.so -
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from dpo import step_seconds

SIZES = {  # layers, width, heads, vocabulary, tokens, pairs
    "i": (4, 128, 4, 2048, 64, 16),
    "ii": (6, 384, 6, 4096, 128, 8),
    "iii": (12, 768, 12, 50257, 128, 2),
}


def model_and_ids(size):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    layers, width, heads, vocabulary, tokens, pairs = size
    torch.manual_seed(0)
    config = GPT2Config(n_layer=layers, n_embd=width, n_head=heads, vocab_size=vocabulary, n_positions=tokens,
                        bos_token_id=1, eos_token_id=2, pad_token_id=0, use_cache=False,
                        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)  # as trl has it
    ids = lambda n: torch.randint(3, vocabulary, (pairs, n))
    half = tokens // 2
    return GPT2LMHeadModel(config), ids(half), ids(half), ids(half)


def trl(size, steps):
    model, prompt, chosen, rejected = model_and_ids(size)
    rows = {"prompt_ids": prompt.tolist(), "chosen_ids": chosen.tolist(), "rejected_ids": rejected.tolist()}
    return step_seconds(model, rows, steps + 1, per_device_train_batch_size=size[-1], use_cpu=True, bf16=False,
                        dataloader_pin_memory=False)[1:]


def by_hand(size, steps):
    """No padding, the head on completion rows only, fused AdamW: what a careful PyTorch user would write."""
    import torch
    import torch.nn.functional as F

    model, prompt, chosen, rejected = model_and_ids(size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0, fused=True)
    ids = torch.cat([torch.cat([prompt, chosen], 1), torch.cat([prompt, rejected], 1)])
    half, pairs = prompt.shape[1], prompt.shape[0]
    reference = torch.full((pairs,), -100.0)
    times = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        hidden = model.transformer(ids[:, :-1]).last_hidden_state[:, half - 1:]
        logits = model.lm_head(hidden)
        logps = -F.cross_entropy(logits.flatten(0, 1), ids[:, half:].flatten(), reduction="none")
        logps = logps.view(2 * pairs, -1).sum(1)
        margin = (logps[:pairs] - reference) - (logps[pairs:] - reference)
        loss = -F.logsigmoid(0.1 * margin).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - started)
    return times[1:]


def worker(kind, config, threads, steps):
    import torch

    torch.set_num_threads(threads)
    times = {"trl": trl, "by_hand": by_hand}[kind](SIZES[config], steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return dict(median_ms=1e3 * statistics.median(times), min_ms=1e3 * min(times), peak_rss_mb=peak)


def run(kind, config, threads, steps, lossbox, preload):
    kind, _, tuned = kind.partition(" ")
    if kind == "lossbox":
        command = [lossbox, "bench", "step", "--config", config, "--threads", str(threads), "--json"]
    else:
        command = [sys.executable, __file__, "--worker", kind, config, str(threads), str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads),
                   "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    if tuned:
        environment |= {"LD_PRELOAD": ":".join(preload), "MKL_ENABLE_INSTRUCTIONS": "AVX512"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lossbox")
    parser.add_argument("--config", nargs="+", default=list(SIZES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--preload", nargs="+", default=[])
    parser.add_argument("--worker", nargs=4)
    args = parser.parse_args()
    if args.worker:
        kind, config, threads, steps = args.worker
        print(json.dumps(worker(kind, config, int(threads), int(steps))))
        return
    rows = []
    for config in args.config:
        for threads in args.threads:
            steps = {"i": 30, "ii": 10, "iii": 5}[config]
            kinds = ["trl", "by_hand"] + (["trl tuned", "by_hand tuned"] if args.preload else [])
            kinds += ["lossbox"] if args.lossbox else []
            figures = {kind: run(kind, config, threads, steps, args.lossbox, args.preload) for kind in kinds}
            for kind, figure in figures.items():
                print(json.dumps(dict(kind=kind, config=config, threads=threads, **figure)), flush=True)
            rows.append((config, threads, figures))
    for config, threads, figures in rows:
        cells = [f"{kind} {f['median_ms']:.0f} ms (at least {f['min_ms']:.0f}), {f['peak_rss_mb']:.0f} MB"
                 for kind, f in figures.items()]
        print(f"{config:>3} on {threads}: " + "; ".join(cells))


if __name__ == "__main__":
    main()
