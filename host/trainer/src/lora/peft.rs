//! Adapters as peft writes them: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! peft's `PeftModel.from_pretrained` and transformers load the folder on top of the base model. The tokenizer goes
//! with it; the base model's `config.json` does not, as it would say that the folder is a model.

use std::path::Path;

use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Adapters, LoraSettings};
use crate::fault::Fault;
use crate::files;
use crate::model::{Model, ModelDirectory, read_tensors, write_tensors};

/// The file that says what the adapters are.
const CONFIG: &str = "adapter_config.json";

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
        files::write(&folder.join(CONFIG), format!("{config:#}\n").as_bytes())?;
        write_tensors(&folder.join(WEIGHTS), &self.tensors, &self.parameters)
    }
}

/// Adds the adapters in a folder to the weights of the model that they belong to, once and for all.
///
/// # Errors
///
/// Files that cannot be read, adapters of another kind than LoRA's plain one, and ones that do not fit the model.
pub(crate) fn apply(folder: &Path, model: &mut Model) -> Result<(), Fault> {
    let settings = settings(folder)?;
    // The seed decides about values that the file replaces.
    let mut adapters = Adapters::new(&model.decoder, &model.weights, &settings, 0)?;
    let path = folder.join(WEIGHTS);
    refuse_the_rest(&path, &adapters)?;
    adapters.restore(read_tensors(&path, adapters.tensors())?);
    adapters.form(&mut model.weights);
    Ok(())
}

/// The fields that say how much is added where.
#[derive(Deserialize)]
struct Config {
    r: usize,
    lora_alpha: f64,
    target_modules: Vec<String>,
    #[serde(default)]
    use_rslora: bool,
}

/// Fields that do not matter for a model that is only read, or that name it.
const NEUTRAL: [&str; 16] = [
    "auto_mapping",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "fan_in_fan_out",
    "inference_mode",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
];

fn settings(folder: &Path) -> Result<LoraSettings, Fault> {
    let path = folder.join(CONFIG);
    let unusable = |message: String| {
        let hint = "what can be read are peft's LoRA adapters without bias, in its default form";
        Fault::weights(format!("{}: {message}", path.display()), hint)
    };
    let content = files::read(&path)?;
    let fields: Map<String, Value> =
        serde_json::from_slice(&content).map_err(|error| unusable(error.to_string()))?;
    if fields.get("peft_type").and_then(Value::as_str) != Some("LORA") {
        return Err(unusable("peft_type is not LORA".into()));
    }
    let others = fields.iter().filter(|(name, _)| !NEUTRAL.contains(&name.as_str()));
    for (name, value) in others {
        if !(says_nothing(value) || name == "init_lora_weights" && leaves_the_base(value)) {
            return Err(unusable(format!("{name} is {value}")));
        }
    }
    let config: Config =
        serde_json::from_value(fields.into()).map_err(|error| unusable(error.to_string()))?;
    if config.target_modules.is_empty() || !config.lora_alpha.is_finite() {
        return Err(unusable("target_modules or lora_alpha say nothing".into()));
    }
    let rank = config.r as f64;
    // rsLoRA (arXiv:2312.03732) scales by α/√r in place of α/r.
    let alpha = if config.use_rslora { config.lora_alpha * rank.sqrt() } else { config.lora_alpha };
    Ok(LoraSettings { rank: config.r, alpha, targets: config.target_modules })
}

/// A field that is not used: peft writes all that it knows.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text == "none",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Ways to begin that leave the base model as it is; PiSSA and its like take their beginning out of it.
fn leaves_the_base(value: &Value) -> bool {
    value.is_boolean() || matches!(value.as_str(), Some("gaussian" | "orthogonal" | "eva"))
}

fn refuse_the_rest(path: &Path, adapters: &Adapters) -> Result<(), Fault> {
    let unusable = |message: String| {
        let hint = "check that the adapters were made for this model";
        Fault::weights(format!("{}: {message}", path.display()), hint)
    };
    let content = files::read(path)?;
    let file = SafeTensors::deserialize(&content).map_err(|error| unusable(error.to_string()))?;
    let known = |name: &str| adapters.tensors.iter().any(|tensor| tensor.name == name);
    match file.names().into_iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => Err(unusable(format!("{name} belongs to no projection of the model"))),
    }
}
