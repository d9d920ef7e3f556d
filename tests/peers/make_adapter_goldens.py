"""Adapters made by peft for two of the small models, with the log-probs of the merged weights.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 safetensors
    python tests/peers/make_adapter_goldens.py host/trainer/tests/golden

Reads families/NAME and writes adapters/NAME: adapter_config.json and adapter_model.safetensors as peft saves them, with
random numbers in B, and golden.json, the log-prob of every completion token under the merged model, in float64.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

CASES = {
    "gpt2_erf": dict(r=3, lora_alpha=7, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True),
    "llama_biased": dict(r=2, lora_alpha=5, target_modules=["q_proj", "down_proj"], use_rslora=True),
}


@torch.no_grad()
def main():
    golden = Path(sys.argv[1])
    for name, settings in CASES.items():
        torch.manual_seed(1)
        base = AutoModelForCausalLM.from_pretrained(golden / "families" / name, dtype=torch.float32)
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
        for parameter in (p for n, p in model.named_parameters() if "lora_B" in n):
            parameter.normal_(std=0.2)
        model.peft_config["default"].base_model_name_or_path = name
        model.save_pretrained(golden / "adapters" / name)
        (golden / "adapters" / name / "README.md").unlink()
        merged = model.double().merge_and_unload().eval()
        rows = []
        for pair in json.loads((golden / "families" / name / "golden.json").read_text())["pairs"]:
            for side in ("chosen", "rejected"):
                ids = torch.tensor([pair["prompt"] + pair[side]])
                logps = merged(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
                rows.append(logps.gather(1, ids[0, 1:, None])[len(pair["prompt"]) - 1:, 0].tolist())
        (golden / "adapters" / name / "golden.json").write_text(json.dumps({"token_logps": rows}) + "\n")


if __name__ == "__main__":
    main()
