//! An OpenAI-compatible endpoint: one question, one answer as text.
//!
//! The client's own retries are off: what may pass (too many requests, a server error, silence) is waited for here, with
//! pauses that double and are told, until the settings' patience ends. What will not get better by waiting (a refused
//! key, an unknown model) is a fault at once. The key goes into the request's header and nowhere else.

use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::ReqwestService;
use async_openai::types::chat::{
    ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionResponse,
    FinishReason, ResponseFormat, ResponseFormatJsonSchema,
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::proposer::Pause;
use crate::{Fault, LlmSettings};

/// Whom to ask.
pub(super) struct Endpoint {
    settings: LlmSettings,
    client: Client<OpenAIConfig>,
    runtime: Runtime,
    /// Some endpoints know no schemas; the prompt says the same in words.
    with_schema: bool,
    /// Told of every question that is asked again.
    pub(super) tell: Box<dyn Fn(Pause) + Send>,
}

/// What a model makes of a question.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Whole(String),
    /// It refused, stopped half-way, or said nothing.
    Failed {
        why: String,
        text: String,
    },
}

/// What went wrong with one question.
enum Trouble {
    /// Waiting may help: message, and the hint if it does not.
    Passing(String, &'static str),
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
        // The client leaves the choice to the program. An error says that it was made before, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = OpenAIConfig::new()
            .with_api_base(settings.base_url.trim_end_matches('/'))
            .with_api_key(settings.api_key.clone().unwrap_or_default().trim());
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(|error| Fault::Start {
            what: "the runtime of network calls",
            reason: error.to_string(),
        })?;
        Ok(Endpoint {
            settings: settings.clone(),
            client: Client::with_config(config).with_http_service(ReqwestService::default()),
            runtime,
            with_schema: true,
            tell: Box::new(|_| {}),
        })
    }

    /// The model's answer, after as many questions as it takes and the settings allow.
    pub(super) fn ask(&mut self, system: &str, user: &str) -> Result<Answer, Fault> {
        let (begun, attempts) = (Instant::now(), self.settings.attempts.max(1));
        let patience = Duration::from_secs(self.settings.patience_s);
        let mut wait = Duration::from_millis(self.settings.pause_ms);
        let mut asked = 0;
        loop {
            match self.ask_once(system, user) {
                Ok(answer) => return Ok(answer),
                Err(Trouble::NoSchema) => self.with_schema = false,
                Err(Trouble::Lasting(message, hint)) => return Err(self.fault(&message, hint)),
                Err(Trouble::Passing(message, hint)) => {
                    asked += 1;
                    let spent = begun.elapsed();
                    if asked == attempts || spent + wait > patience {
                        let spent = spent.as_secs();
                        let message = format!("{message} (asked {asked} times within {spent} s)");
                        return Err(self.fault(&message, hint));
                    }
                    (self.tell)(Pause {
                        reason: self.without_key(&message),
                        wait,
                        attempt: (asked + 1, attempts),
                    });
                    std::thread::sleep(wait);
                    wait *= 2;
                }
            }
        }
    }

    fn ask_once(&self, system: &str, user: &str) -> Result<Answer, Trouble> {
        let request = self.request(system, user);
        let limit = Duration::from_secs(self.settings.timeout_s);
        let answered = self.runtime.block_on(async {
            tokio::time::timeout(limit, self.client.chat().create(request)).await
        });
        match answered {
            Err(_) => Err(Trouble::Passing(
                format!("no answer within {} s", limit.as_secs()),
                "check that it is up, or try a faster model (--llm)",
            )),
            Ok(Ok(response)) => Ok(answer(response)),
            Ok(Err(error)) => Err(trouble(error, self.with_schema)),
        }
    }

    fn request(&self, system: &str, user: &str) -> CreateChatCompletionRequest {
        let system = ChatCompletionRequestSystemMessage { content: system.into(), name: None };
        let user = ChatCompletionRequestUserMessage { content: user.into(), name: None };
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

    fn without_key(&self, message: &str) -> String {
        let key = self.settings.api_key.as_deref().map(str::trim);
        match key.filter(|key| !key.is_empty()) {
            Some(key) => message.replace(key, "(the key)"),
            None => message.to_owned(),
        }
    }

    fn fault(&self, message: &str, hint: &str) -> Fault {
        Fault::Endpoint {
            endpoint: without_password(&self.settings.base_url),
            message: self.without_key(message),
            hint: hint.to_owned(),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Endpoint").field("settings", &self.settings).finish_non_exhaustive()
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

fn answer(response: CreateChatCompletionResponse) -> Answer {
    let failed = |why: &str, text| Answer::Failed { why: why.to_owned(), text };
    let Some(choice) = response.choices.into_iter().next() else {
        return failed("the endpoint sent no answer", String::new());
    };
    if let Some(refusal) = choice.message.refusal {
        return failed("the model refused", refusal);
    }
    let text = choice.message.content.unwrap_or_default();
    match choice.finish_reason {
        Some(FinishReason::Length) => {
            failed("the reply was cut off at the model's limit of tokens: write less", text)
        }
        Some(FinishReason::ContentFilter) => {
            failed("the endpoint's filter held back the reply", text)
        }
        _ => Answer::Whole(text),
    }
}

fn trouble(error: OpenAIError, with_schema: bool) -> Trouble {
    match error {
        OpenAIError::ApiError(response) => {
            let message = response.to_string();
            let about_schema =
                message.contains("response_format") || message.contains("json_schema");
            match response.status_code.as_u16() {
                401 | 403 => Trouble::Lasting(message, "check OPENAI_API_KEY"),
                404 => {
                    Trouble::Lasting(message, "check the model's name (--llm) and OPENAI_BASE_URL")
                }
                429 if message.contains("insufficient_quota") => Trouble::Lasting(
                    message,
                    "the account has no quota left: top it up or use another key",
                ),
                400 | 422 if with_schema && about_schema => Trouble::NoSchema,
                400..=428 => Trouble::Lasting(
                    message,
                    "the endpoint does not take the question as it is: try another model (--llm)",
                ),
                429 => {
                    Trouble::Passing(message, "wait, or lower the rate at which this key is used")
                }
                _ => Trouble::Passing(message, "the trouble is the endpoint's own: wait"),
            }
        }
        // An address may carry a password, so it is left out.
        OpenAIError::Reqwest(error) => Trouble::Passing(
            chain(&error.without_url()),
            "check that it is up and that OPENAI_BASE_URL is right",
        ),
        OpenAIError::JSONDeserialize(error, content) => {
            let begin: String = content.chars().take(200).collect();
            Trouble::Passing(
                format!("it answers with something else than a chat completion ({error}): {begin}"),
                "check that OPENAI_BASE_URL is right",
            )
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
