"""Where transformers ends a completion, for host/trainer/tests/golden/generation.json.

    pip install torch==2.15.0 transformers==5.24.0 safetensors
    python tests/peers/make_generation_goldens.py

The small Llama of host/trainer/tests/golden is copied with other end tokens in config.json and in
generation_config.json, loaded as from_pretrained loads a folder, and asked for its likeliest completion.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

GOLDEN = Path(__file__).resolve().parents[2] / "host/trainer/tests/golden"
PROMPT = [5, 6, 7]
TOKENS = 12


def completion(config_eos, generation_config):
    """`generation_config` is the file's text, or none for no such file."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shutil.copy(GOLDEN / "llama/model.safetensors", folder)
        config = json.loads((GOLDEN / "llama/config.json").read_text())
        config.pop("eos_token_id", None)
        if config_eos is not None:
            config["eos_token_id"] = config_eos
        (folder / "config.json").write_text(json.dumps(config))
        if generation_config is not None:
            (folder / "generation_config.json").write_text(generation_config)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = torch.tensor([PROMPT])
    with torch.no_grad():
        out = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=TOKENS, pad_token_id=0
        )
    return out[0, len(PROMPT):].tolist()


def main():
    whole = completion(None, None)
    assert len(whole) == TOKENS
    # Two tokens that come up for the first time late and early.
    new = [at for at, token in enumerate(whole) if token not in whole[:at]]
    late, early = whole[new[-1]], whole[new[len(new) // 2]]
    assert late != early
    says = lambda eos: json.dumps({"eos_token_id": eos})
    cases = []
    for config_eos, generation_config in [
        (None, None), (late, None), (-1, None), ([late, 100_000], None), (late, says(early)), (early, says(late)),
        (early, says([late, 100_000])), (None, says([early, late])), (early, says(None)), (early, "{}"),
        (early, says(-1)), (early, "{"),
    ]:
        tokens = completion(config_eos, generation_config)
        cases.append(dict(config_eos=config_eos, generation_config=generation_config, tokens=tokens))
        print(config_eos, generation_config, len(tokens))
    out = dict(prompt=PROMPT, max_tokens=TOKENS, cases=cases)
    (GOLDEN / "generation.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
