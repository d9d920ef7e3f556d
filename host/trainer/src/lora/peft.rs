//! Adapters as peft writes them: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! peft's `PeftModel.from_pretrained` and transformers load the folder on top of the base model. The tokenizer goes
//! with it; the base model's `config.json` does not, as it would say that the folder is a model.

use std::path::Path;

use serde_json::json;

use super::Adapters;
use crate::fault::Fault;
use crate::files;
use crate::model::{ModelDirectory, write_tensors};

/// The file of the weights.
pub(crate) const WEIGHTS: &str = "adapter_model.safetensors";

impl Adapters {
    /// Writes the adapters into a folder that is there. `base` is where the model that they belong to is.
    pub(crate) fn write_into(
        &self,
        folder: &Path,
        base: &Path,
        directory: &ModelDirectory,
    ) -> Result<(), Fault> {
        directory.write_companions(folder)?;
        let config = json!({
            "base_model_name_or_path": base,
            "bias": "none",
            "fan_in_fan_out": self.fan_in_fan_out,
            "inference_mode": true,
            "lora_alpha": self.settings.alpha,
            "lora_dropout": 0.0,
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": self.settings.rank,
            "target_modules": self.settings.targets,
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": false,
        });
        files::write(&folder.join("adapter_config.json"), format!("{config:#}\n").as_bytes())?;
        write_tensors(&folder.join(WEIGHTS), &self.tensors, &self.parameters)
    }
}
