//! Sampling, limits, structured output and thinking.

use serde_json::Value;

use super::features::Features;
use super::messages::refused;
use super::schema;
use crate::error::Result;
use crate::wire::gemini::{GenerationConfig, KnownThinking, Raw, ThinkingConfig};
use crate::wire::openai::{
    ChatRequest, GeminiSettings, ResponseFormatType, Stop, Thinking, ThinkingType,
};

const GENERATION: &str = "invalid generation configs";
const EFFORT: &str = "invalid generation configs: invalid reasoning effort";

/// Smallest thinking budget of the larger 2.5 models, which cannot be told not to think.
const LEAST_BUDGET: i32 = 128;

/// The generation config of a request.
pub(super) fn config<'a>(
    req: &'a ChatRequest<'a>,
    features: Features,
) -> Result<GenerationConfig<'a>> {
    let mut config = GenerationConfig {
        temperature: float("temperature", req.temperature)?,
        top_p: float("top_p", req.top_p)?,
        top_k: int("top_k", req.top_k)?,
        seed: int("seed", req.seed)?,
        logprobs: int("top_logprobs", req.top_logprobs)?,
        response_logprobs: req.logprobs.filter(|wanted| *wanted),
        candidate_count: int("n", req.n)?.filter(|n| *n != 0),
        max_output_tokens: int(
            "max_completion_tokens",
            req.max_completion_tokens.or(req.max_tokens),
        )?
        .filter(|limit| *limit != 0),
        presence_penalty: float("presence_penalty", req.presence_penalty)?,
        frequency_penalty: float("frequency_penalty", req.frequency_penalty)?,
        stop_sequences: req.stop.as_ref().and_then(stop_sequences),
        ..GenerationConfig::default()
    };
    structure(req, features, &mut config)?;
    config.thinking_config = thinking_config(req, features)?;
    let resolution = req.generation_config.as_ref();
    let resolution = resolution.and_then(|settings| settings.media_resolution.as_deref());
    config.media_resolution = resolution.filter(|_| features.levels());
    Ok(config)
}

fn float(field: &str, number: Option<f64>) -> Result<Option<f32>> {
    #[expect(clippy::cast_possible_truncation, reason = "the provider's precision")]
    let number = number.map(|number| number as f32);
    if number.is_some_and(|number| !number.is_finite()) {
        let why = format!("{field}: does not fit into 32 bits");
        return Err(refused(GENERATION, &why));
    }
    Ok(number)
}

fn int(field: &str, number: Option<i64>) -> Result<Option<i32>> {
    number
        .map(i32::try_from)
        .transpose()
        .map_err(|_| refused(GENERATION, &format!("{field}: does not fit into 32 bits")))
}

fn stop_sequences<'a>(stop: &'a Stop<'a>) -> Option<Vec<&'a str>> {
    match stop {
        Stop::One(one) => Some(vec![one.as_ref()]),
        Stop::Many(many) if many.is_empty() => None,
        Stop::Many(many) => Some(many.iter().map(AsRef::as_ref).collect()),
    }
}

// --- structured output ---

/// At most one of four ways to ask for a form.
fn structure<'a>(
    req: &'a ChatRequest<'a>,
    features: Features,
    config: &mut GenerationConfig<'a>,
) -> Result<()> {
    let regex = req.guided_regex.as_deref().filter(|text| !text.is_empty());
    let ways = [
        req.response_format.is_some(),
        req.guided_choice.is_some(),
        regex.is_some(),
        req.guided_json.is_some(),
    ];
    let format = req.response_format.as_ref();
    let has_schema = format.is_some_and(|f| f.r#type == ResponseFormatType::JsonSchema);
    let several = ways.iter().filter(|given| **given).count() > 1;
    if several {
        let guided = ways.iter().skip(1).filter(|given| **given).count();
        let why = if has_schema || guided > 1 {
            "duplicate json schema specifications"
        } else {
            "only one of responseFormat, guidedChoice, guidedRegex, guidedJSON can be specified"
        };
        return Err(refused(GENERATION, why));
    }
    if let Some(format) = format {
        let schema = format.json_schema.as_ref().and_then(|json| json.schema);
        response_format(format.r#type, schema, features, config)?;
    }
    if let Some(choices) = &req.guided_choice {
        config.response_mime_type = Some("text/x.enum");
        let choices: Vec<&str> = choices.iter().map(AsRef::as_ref).collect();
        let choices = (!choices.is_empty()).then(|| ("enum", choices.into()));
        config.response_schema = Some(text_schema(choices));
    }
    if let Some(regex) = regex {
        config.response_mime_type = Some("application/json");
        config.response_schema = Some(text_schema(Some(("pattern", regex.into()))));
    }
    if let Some(schema) = req.guided_json {
        config.response_mime_type = Some("application/json");
        config.response_json_schema = Some(schema);
    }
    Ok(())
}

fn text_schema(keyword: Option<(&str, Value)>) -> Value {
    let text = ("type", Value::from("STRING"));
    let members = std::iter::once(text).chain(keyword);
    Value::Object(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn response_format<'a>(
    kind: ResponseFormatType,
    schema: Option<Raw<'a>>,
    features: Features,
    config: &mut GenerationConfig<'a>,
) -> Result<()> {
    match kind {
        ResponseFormatType::Text => config.response_mime_type = Some("text/plain"),
        ResponseFormatType::JsonObject => config.response_mime_type = Some("application/json"),
        ResponseFormatType::JsonSchema => {
            config.response_mime_type = Some("application/json");
            let schema = schema
                .filter(|raw| raw.get().starts_with('{'))
                .ok_or_else(|| refused(GENERATION, "invalid json schema"))?;
            if features.json_schema() {
                config.response_json_schema = Some(schema);
            } else {
                let converted = schema::convert(schema).map_err(|why| refused(GENERATION, &why))?;
                config.response_schema = Some(converted);
            }
        }
    }
    Ok(())
}

// --- thinking ---

/// `thinking` wins over Gemini's own config, which wins over an effort.
fn thinking_config<'a>(
    req: &'a ChatRequest<'a>,
    features: Features,
) -> Result<Option<ThinkingConfig<'a>>> {
    let own = |settings: &'a GeminiSettings<'a>| settings.thinking_config;
    if let Some(thinking) = &req.thinking {
        return known(thinking, features).map(|known| Some(ThinkingConfig::Known(known)));
    }
    if let Some(given) = req.generation_config.as_ref().and_then(own) {
        return Ok(Some(ThinkingConfig::Given(given)));
    }
    let effort = req
        .reasoning_effort
        .as_deref()
        .filter(|word| !word.is_empty());
    let Some(effort) = effort.filter(|_| features.levels()) else {
        return Ok(None);
    };
    let thinking_level = Some(level(effort, features)?);
    Ok(Some(ThinkingConfig::Known(KnownThinking {
        thinking_level,
        ..KnownThinking::default()
    })))
}

fn known(thinking: &Thinking<'_>, features: Features) -> Result<KnownThinking> {
    let mut known = KnownThinking::default();
    match thinking.r#type {
        ThinkingType::Enabled => {
            // No budget is not a budget of nothing: the model decides.
            known.thinking_budget = int("thinking.budget_tokens", thinking.budget_tokens)?;
            known.include_thoughts = thinking.include_thoughts.filter(|wanted| *wanted);
        }
        // Models that cannot be told not to think are told to think as little as they can.
        ThinkingType::Disabled if features.levels() => {
            known.thinking_level = Some(if features.flash { "MINIMAL" } else { "LOW" });
        }
        ThinkingType::Disabled if features.budget() => {
            known.thinking_budget = Some(if features.flash { 0 } else { LEAST_BUDGET });
        }
        ThinkingType::Adaptive => {
            known.include_thoughts = thinking.include_thoughts.filter(|wanted| *wanted);
        }
        // Older models do not think.
        ThinkingType::Disabled => {}
    }
    Ok(known)
}

fn level(effort: &str, features: Features) -> Result<&'static str> {
    match (effort, features.flash) {
        ("none" | "minimal", true) => Ok("MINIMAL"),
        ("none", false) => {
            let why = "reasoning effort 'none' is only supported for Gemini Flash models";
            Err(refused(EFFORT, why))
        }
        ("minimal" | "low", _) => Ok("LOW"),
        ("medium", true) => Ok("MEDIUM"),
        ("medium", false) | ("high" | "xhigh" | "max", _) => Ok("HIGH"),
        (other, _) => {
            let why = format!(
                "unsupported reasoning effort level: \"{other}\" (supported: none, minimal, low, \
                 medium, high, xhigh, max)"
            );
            Err(refused(EFFORT, &why))
        }
    }
}
