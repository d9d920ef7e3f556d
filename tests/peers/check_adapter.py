"""Loads a run's adapters with peft and holds their log-probs against the run's last evaluation.

    python check_adapter.py BASE_MODEL ADAPTER_FOLDER EVAL_DATA.jsonl METRICS.jsonl

EVAL_DATA holds token ids (prompt_ids, chosen_ids, rejected_ids), METRICS is the run's metrics.jsonl, whose last
evaluation must have been made with EVAL_DATA after the last step. Written for peft 0.21 and transformers 5.24.
"""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def logps(model, prompt, completion):
    ids = torch.tensor([prompt + completion])
    with torch.no_grad():
        log_probs = model(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
    targets = ids[0, 1:]
    return log_probs.gather(1, targets[:, None])[len(prompt) - 1 :, 0].sum().item()


def main(base, adapter, data, metrics):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, adapter).eval()
    rows = [json.loads(line) for line in open(data)]
    evaluations = [json.loads(line) for line in open(metrics) if '"eval_loss"' in line]
    worst = 0.0
    for side in ("chosen", "rejected"):
        sums = [logps(model, row["prompt_ids"], row[f"{side}_ids"]) for row in rows]
        mean, ours = sum(sums) / len(sums), evaluations[-1][f"eval_logps/{side}"]
        print(f"{side}: peft {mean:.9f}, ours {ours:.9f}")
        worst = max(worst, abs(mean - ours))
    print(f"worst difference {worst:.2e} nats")
    return worst > 1e-4


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
