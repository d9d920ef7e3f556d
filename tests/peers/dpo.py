"""trl's DPOTrainer on rows that are token ids already, with a clock around each step."""

import tempfile
import time


def step_seconds(model, rows, steps, settle=lambda: None, **settings):
    """Trains for so many steps on rows that are repeated for each, and gives the seconds of every step.

    `settle` waits for work that was only begun; `settings` are DPOConfig's.
    """
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    data = Dataset.from_dict({key: value * steps for key, value in rows.items()})
    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")),
                                        pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
    times = []

    class Tokenised(DPOTrainer):
        """The rows are token ids already."""

        def _prepare_dataset(self, dataset, *_, **__):
            return dataset

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            settle()
            self.started = time.perf_counter()

        def on_step_end(self, *_, **__):
            settle()
            times.append(time.perf_counter() - self.started)

    with tempfile.TemporaryDirectory() as folder:
        config = DPOConfig(output_dir=folder, max_steps=steps, report_to=[], save_strategy="no", logging_strategy="no",
                           precompute_ref_log_probs=True, gradient_checkpointing=False, max_length=None,
                           disable_tqdm=True, **settings)
        Tokenised(model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[Clock()]).train()
    return times
