"""Losses of training computed by PyTorch, for host/trainer/tests/golden/training.

    pip install torch==2.15.0 transformers==5.24.0 numpy
    python tests/peers/make_training_goldens.py host/trainer/tests/golden

Ten steps of the reference GPT-2 and Llama on their four pairs, and 200 steps of the Llama on 40 pairs that are drawn here
and kept beside the curve, eight a step in order, with the model before training as the reference. DPO's sigmoid loss with
beta 0.1 and AdamW with Hugging Face's decay groups, all in float64. Beside each loss stands how far the same training in
float32 is off, at most up to that step: on one thread, and with the pairs of each batch in three other orders, which
changes nothing but the rounding.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from make_model_goldens import double_everywhere
from transformers import AutoModelForCausalLM

BETA = 0.1
TEN = dict(steps=10, learning_rate=1e-3, weight_decay=0.01, max_norm=None)
CURVE = dict(steps=200, learning_rate=1e-4, weight_decay=0.01, max_norm=1.0)
PAIRS, BATCH = 40, 8


WEIGHTS = {}  # by folder, as read in float32


def load(folder):
    """The model in the default precision; in float64 it is built anew, tables and all, and given the weights."""
    if folder not in WEIGHTS:
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
        WEIGHTS[folder] = {key: p.detach().numpy().copy() for key, p in model.named_parameters()}
    model = AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder), attn_implementation="eager",
                                             dtype=torch.get_default_dtype())
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(WEIGHTS[folder][key]))
    return model.eval()


def logps(model, pair, side):
    ids = torch.tensor([pair["prompt_ids"] + pair[side]])
    rows = torch.log_softmax(model(ids, use_cache=False).logits[0, :-1], -1)
    first = len(pair["prompt_ids"]) - 1
    return rows[range(first, ids.shape[1] - 1), ids[0, first + 1:]].sum()


def train(model, reference, batches, steps, learning_rate, weight_decay, max_norm, order=None):
    """The loss before each step. `order` permutes each batch."""
    sides = ("chosen_ids", "rejected_ids")
    with torch.no_grad():
        frozen = [[[float(logps(reference, pair, side)) for side in sides] for pair in batch] for batch in batches]
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [dict(params=matrices, weight_decay=weight_decay), dict(params=others, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for step in range(steps):
        batch, given = batches[step % len(batches)], frozen[step % len(batches)]
        terms = []
        for row in order.permutation(len(batch)) if order is not None else range(len(batch)):
            chosen, rejected = (logps(model, batch[row], side) - past for side, past in zip(sides, given[row]))
            terms.append(-F.logsigmoid(BETA * (chosen - rejected)))
        loss = torch.stack(terms).mean()
        optimizer.zero_grad()
        loss.backward()
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        losses.append(float(loss))
    return np.array(losses)


def reference_pairs(folder):
    said = json.loads((folder / "reference.json").read_text())
    rows, pairs = said["input_ids"], []
    for index, pair in enumerate(said["pairs"]):
        prompt, chosen, rejected = pair["prompt_len"], pair["chosen_len"], pair["rejected_len"]
        pairs.append(dict(prompt_ids=rows[index][:prompt], chosen_ids=rows[index][prompt:prompt + chosen],
                          rejected_ids=rows[index + len(said["pairs"])][prompt:prompt + rejected]))
    return pairs, said["adamw"]["losses_before_each_step_f64"][0]


def drawn_pairs(vocabulary):
    """Without the padding token, whose row of the embedding transformers does not train."""
    rng = np.random.default_rng(0)
    draw = lambda most: [int(token) for token in rng.integers(3, vocabulary, rng.integers(1, most + 1))]
    return [dict(prompt_ids=draw(10), chosen_ids=draw(12), rejected_ids=draw(12)) for _ in range(PAIRS)]


def main(root):
    torch.set_num_threads(1)
    target = root / "training"
    target.mkdir(exist_ok=True)
    llama = root / "llama"
    drawn = drawn_pairs(load(llama).config.vocab_size)
    (target / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in drawn))
    jobs = {}
    for family in ("gpt2", "llama"):
        pairs, first = reference_pairs(root / family)
        jobs[family] = (root / family, root / family / "reference", [pairs], TEN, first)
    batches = [drawn[i:i + BATCH] for i in range(0, PAIRS, BATCH)]
    jobs["curve"] = (llama, llama, batches, CURVE, float(np.log(2.0)))

    def run(job, order=None):
        policy, reference, batches, settings, _ = job
        return train(load(policy), load(reference), batches, **settings, order=order)

    single = {}
    for name, job in jobs.items():
        single[name] = [run(job)] + [run(job, np.random.default_rng(seed)) for seed in range(3)]
    double_everywhere()
    for name, job in jobs.items():
        losses = run(job)
        assert abs(losses[0] - job[-1]) < 1e-9, f"{name}: begins at {losses[0]}, expected {job[-1]}"
        off = np.maximum.accumulate(np.max([np.abs(one - losses) for one in single[name]], axis=0))
        golden = dict(torch=torch.__version__, transformers=transformers.__version__, beta=BETA, **job[-2],
                      losses=losses.tolist(), float32_off=off.tolist())
        (target / f"{name}.json").write_text(json.dumps(golden) + "\n")
        print(f"{name}: {losses[0]:.6f} to {losses[-1]:.6f}, float32 is off by {off[0]:.1e} to {off[-1]:.1e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
