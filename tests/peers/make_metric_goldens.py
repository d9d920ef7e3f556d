"""What trl's DPOTrainer logs of one step and one evaluation, for host/trainer/tests/golden/*/metrics.json.

    pip install torch==2.15.0 transformers==5.24.0 trl==1.16.0 datasets
    python tests/peers/make_metric_goldens.py host/trainer/tests/golden

The models, references and four pairs are those of the reference batch (`reference.json`); in the second case what the
policy finds likeliest is chosen, but for the last token. One step is all four pairs, with the learning rate 0, so that the
evaluation after it sees the same policy. The trainer is run as it is, with weights in float64.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

TIMES = ("runtime", "per_second")


class Tokenised(DPOTrainer):
    """The rows are token ids already."""

    def _prepare_dataset(self, dataset, *_, **__):
        return dataset


def rows(reference):
    ids, lengths = reference["input_ids"], reference["pairs"]
    def row(pair):
        prompt, chosen, rejected = (lengths[pair][name] for name in ("prompt_len", "chosen_len", "rejected_len"))
        return dict(prompt_ids=ids[pair][:prompt], chosen_ids=ids[pair][prompt:prompt + chosen],
                    rejected_ids=ids[pair + len(lengths)][prompt:prompt + rejected])
    return [row(pair) for pair in range(len(lengths))]


def load(place):
    return AutoModelForCausalLM.from_pretrained(place, dtype=torch.float64)


@torch.no_grad()
def likeliest(model, row):
    ids = list(row["prompt_ids"])
    for _ in row["chosen_ids"]:
        # Not the padding token, 0: PyTorch keeps its embedding out of the gradient, and with it out of the norm.
        ids.append(1 + model(torch.tensor([ids])).logits[0, -1, 1:].argmax().item())
    ids[-1] = max(1, (ids[-1] + 1) % model.config.vocab_size)
    return {**row, "chosen_ids": ids[len(row["prompt_ids"]):]}


def logged(folder, rows, beta):
    data = Dataset.from_list(rows)
    vocabulary = {"<pad>": 0, "<bos>": 1, "<eos>": 2}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>")),
                                        pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
    with tempfile.TemporaryDirectory() as output:
        config = DPOConfig(output_dir=output, per_device_train_batch_size=4, per_device_eval_batch_size=4, max_steps=1,
                           learning_rate=0.0, beta=beta, logging_steps=1, eval_strategy="steps", eval_steps=1,
                           report_to=[], save_strategy="no", use_cpu=True, bf16=False, gradient_checkpointing=False,
                           max_length=None, disable_tqdm=True, dataloader_pin_memory=False)
        trainer = Tokenised(model=load(folder), ref_model=load(folder / "reference"), args=config, train_dataset=data,
                            eval_dataset=data, processing_class=tokenizer)
        trainer.train()
        merged = {}
        for line in trainer.state.log_history[:2]:
            merged.update({name: value for name, value in line.items() if not name.endswith(TIMES)})
    return merged


def main():
    golden = Path(sys.argv[1])
    for family in ("gpt2", "llama"):
        given = rows(json.loads((golden / family / "reference.json").read_text()))
        model = load(golden / family)
        cases = [(given, 0.1), ([likeliest(model, row) for row in given], 0.3)]
        cases = [dict(rows=rows, beta=beta, logged=logged(golden / family, rows, beta)) for rows, beta in cases]
        (golden / family / "metrics.json").write_text(json.dumps(cases, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
