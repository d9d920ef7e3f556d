//! An OpenAI-compatible endpoint: one question, one answer as text.
//!
//! The client itself repeats a question a few times, at once and as `Retry-After` says, when it is turned away for too
//! many requests or by a server error. Around it, longer outages and time-outs are waited for with pauses that double.
//! What will not get better by waiting (a refused key, an unknown model) is a fault at once. The key goes into the
//! request's header and nowhere else.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionResponse,
    ResponseFormat, ResponseFormatJsonSchema,
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{Fault, LlmSettings};

/// Whom to ask.
pub(super) struct Endpoint {
    settings: LlmSettings,
    client: Client<OpenAIConfig>,
    runtime: Runtime,
    /// Some endpoints know no schemas; the prompt says the same in words.
    with_schema: bool,
}

/// What went wrong with one question.
enum Trouble {
    /// Waiting may help.
    Passing(String),
    /// The endpoint knows no schemas.
    NoSchema,
    /// Waiting will not help: message and hint.
    Lasting(String, &'static str),
}

impl Endpoint {
    pub(super) fn open(settings: &LlmSettings) -> Result<Self, Fault> {
        if !settings.has_key() && settings.base_url == LlmSettings::default().base_url {
            return Err(Fault::settings(
                "the LLM proposer has no key",
                "set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint that needs none; or use --proposer evolve",
            ));
        }
        let config = OpenAIConfig::new()
            .with_api_base(settings.base_url.trim_end_matches('/'))
            .with_api_key(settings.api_key.clone().unwrap_or_default().trim());
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build();
        Ok(Endpoint {
            settings: settings.clone(),
            client: Client::with_config(config),
            runtime: runtime
                .map_err(|error| Fault::Panic(format!("no asynchronous runtime: {error}")))?,
            with_schema: true,
        })
    }

    /// The model's answer; an empty one if it refuses to give any.
    pub(super) fn ask(&mut self, system: &str, user: &str) -> Result<String, Fault> {
        let mut pause = Duration::from_millis(self.settings.pause_ms);
        let mut attempts_left = self.settings.attempts.max(1);
        loop {
            attempts_left -= 1;
            match self.ask_once(system, user) {
                Ok(text) => return Ok(text),
                Err(Trouble::NoSchema) => {
                    self.with_schema = false;
                    attempts_left += 1;
                }
                Err(Trouble::Passing(_)) if attempts_left > 0 => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                Err(Trouble::Passing(message)) => {
                    return Err(self.fault(
                        &message,
                        "check that it is up and that OPENAI_BASE_URL is right",
                    ));
                }
                Err(Trouble::Lasting(message, hint)) => return Err(self.fault(&message, hint)),
            }
        }
    }

    fn ask_once(&self, system: &str, user: &str) -> Result<String, Trouble> {
        let request = self.request(system, user);
        let limit = Duration::from_secs(self.settings.timeout_s);
        let answered = self.runtime.block_on(async {
            tokio::time::timeout(limit, self.client.chat().create(request)).await
        });
        match answered {
            Err(_) => Err(Trouble::Passing(format!(
                "no answer within {} s",
                limit.as_secs()
            ))),
            Ok(Ok(response)) => Ok(text_of(response)),
            Ok(Err(error)) => Err(trouble(error, self.with_schema)),
        }
    }

    fn request(&self, system: &str, user: &str) -> CreateChatCompletionRequest {
        let system = ChatCompletionRequestSystemMessage {
            content: system.into(),
            name: None,
        };
        let user = ChatCompletionRequestUserMessage {
            content: user.into(),
            name: None,
        };
        CreateChatCompletionRequest {
            model: self.settings.model.clone(),
            messages: vec![
                ChatCompletionRequestMessage::System(system),
                ChatCompletionRequestMessage::User(user),
            ],
            response_format: self.with_schema.then(reply_format),
            ..Default::default()
        }
    }

    fn fault(&self, message: &str, hint: &str) -> Fault {
        let mut message = message.to_owned();
        if let Some(key) = self
            .settings
            .api_key
            .as_deref()
            .map(str::trim)
            .filter(|key| !key.is_empty())
        {
            message = message.replace(key, "(the key)");
        }
        Fault::Endpoint {
            endpoint: without_password(&self.settings.base_url),
            message,
            hint: hint.to_owned(),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The object that `reply` reads.
fn reply_format() -> ResponseFormat {
    let text = |description| json!({ "type": "string", "description": description });
    ResponseFormat::JsonSchema {
        json_schema: ResponseFormatJsonSchema {
            name: "loss".to_owned(),
            description: Some("a preference loss".to_owned()),
            schema: json!({
                "type": "object",
                "properties": {
                    "thought": text("the hypothesis, in one to three sentences"),
                    "name": text("lower-case letters, digits and underscores"),
                    "code": text("the whole Rust file"),
                },
                "required": ["thought", "name", "code"],
                "additionalProperties": false,
            }),
            strict: Some(true),
        },
    }
}

fn text_of(response: CreateChatCompletionResponse) -> String {
    let message = response
        .choices
        .into_iter()
        .next()
        .map(|choice| choice.message);
    message
        .and_then(|message| message.content.or(message.refusal))
        .unwrap_or_default()
}

fn trouble(error: OpenAIError, with_schema: bool) -> Trouble {
    match error {
        OpenAIError::ApiError(response) => {
            let message = response.to_string();
            let about_schema =
                message.contains("response_format") || message.contains("json_schema");
            match response.status_code.as_u16() {
                401 | 403 => Trouble::Lasting(message, "check OPENAI_API_KEY"),
                404 => Trouble::Lasting(
                    message,
                    "check the model's name (--llm) and OPENAI_BASE_URL",
                ),
                429 if message.contains("insufficient_quota") => Trouble::Lasting(
                    message,
                    "the account has no quota left: top it up or use another key",
                ),
                400 | 422 if with_schema && about_schema => Trouble::NoSchema,
                400..=428 => Trouble::Lasting(
                    message,
                    "the endpoint does not take the question as it is: try another model (--llm)",
                ),
                _ => Trouble::Passing(message),
            }
        }
        // An address may carry a password, so it is left out.
        OpenAIError::Reqwest(error) => Trouble::Passing(chain(&error.without_url())),
        OpenAIError::JSONDeserialize(error, content) => {
            let begin: String = content.chars().take(200).collect();
            Trouble::Passing(format!(
                "it answers with something else than a chat completion ({error}): {begin}"
            ))
        }
        error => Trouble::Lasting(error.to_string(), "check OPENAI_BASE_URL"),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// `https://user:password@host` is shown as `https://host`.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}
