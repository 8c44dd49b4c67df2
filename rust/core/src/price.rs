//! Prices: what the usage of one attempt costs, in pico-USD (1e-12 US dollar).
//!
//! An entry of the Gateway comes first: one for the backend and the model, one for the backend, one
//! for the model. Otherwise the list of the backend's provider is asked for the model that the
//! provider reported, then for the one that it was asked for. A model without an entry has no
//! price, and neither has a reply with tokens of a kind that its entry has no rate for.

mod list;

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;

pub use list::PriceList;
pub(crate) use list::{Lists, ListsDocument};

use crate::record::Priced;
use crate::usage::Usage;

/// Pico-USD per token, and for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Prompt tokens.
    pub input: Option<u64>,
    /// Prompt tokens read from a cache; as `input` where there is no rate.
    pub cached_input: Option<u64>,
    /// Prompt tokens written to a cache; as `input` where there is no rate.
    pub cache_creation_input: Option<u64>,
    /// Generated tokens.
    pub output: Option<u64>,
    /// Reasoning tokens; as `output` where there is no rate.
    pub reasoning: Option<u64>,
    /// Each request.
    pub request: Option<u64>,
}

impl Rates {
    /// What `usage` costs; `None`: there is no rate for some of it, or nothing is known.
    pub fn of(&self, usage: &Usage) -> Option<u64> {
        if usage.input_tokens.is_none() && usage.output_tokens.is_none() {
            return self.request;
        }
        let count = |counter: Option<u64>| counter.unwrap_or(0);
        let cached = count(usage.cached_input_tokens);
        let created = count(usage.cache_creation_input_tokens);
        let fresh = count(usage.input_tokens).saturating_sub(cached.saturating_add(created));
        let reasoning = match self.reasoning {
            Some(_) => count(usage.reasoning_tokens),
            None => 0,
        };
        let output = count(usage.output_tokens).saturating_sub(reasoning);
        let parts = [
            (fresh, self.input),
            (cached, self.cached_input.or(self.input)),
            (created, self.cache_creation_input.or(self.input)),
            (output, self.output),
            (reasoning, self.reasoning),
        ];
        let mut total = u128::from(self.request.unwrap_or(0));
        for (tokens, rate) in parts {
            if tokens > 0 {
                // Both factors are below 2^64, and there are five of them.
                total = total.saturating_add(u128::from(tokens) * u128::from(rate?));
            }
        }
        Some(u64::try_from(total).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Display for Rates {
    /// In USD per million tokens.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rates = [
            ("input", self.input),
            ("cached input", self.cached_input),
            ("cache creation", self.cache_creation_input),
            ("output", self.output),
            ("reasoning", self.reasoning),
        ];
        let mut text = String::new();
        for (name, rate) in rates {
            if let Some(rate) = rate {
                let comma = if text.is_empty() { "" } else { ", " };
                let _ = write!(text, "{comma}{name} ${}", decimal(rate, 6));
            }
        }
        if !text.is_empty() {
            text.push_str(" per million tokens");
        }
        if let Some(request) = self.request {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}${} per request", decimal(request, 12));
        }
        out.write_str(&text)
    }
}

/// `number` with `places` of its digits after the point, without zeros at the end.
fn decimal(number: u64, places: usize) -> String {
    let digits = format!("{number:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    }
}

/// An entry of `GatewayConfig.spec.prices`.
#[derive(Clone, Debug, Deserialize)]
pub struct OwnPrice {
    /// `<ns>/<backend>` that it is for; `None`: all of them.
    #[serde(default)]
    pub backend: Option<String>,
    /// Model that it is for; `None`: all of the backend.
    #[serde(default)]
    pub model: Option<String>,
    /// What it costs.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Prices of one Gateway's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OwnPrices {
    /// Who says so.
    pub source: String,
    /// What it says.
    pub entries: Vec<OwnPrice>,
}

/// Names of the model of one attempt. Those that are not known are empty.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Asked for by the client.
    pub requested: &'a str,
    /// Asked for at the provider.
    pub routed: &'a str,
    /// Reported by the provider.
    pub response: &'a str,
}

/// A price that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its entry, such as `openai/gpt-4o`.
    pub entry: String,
    /// Who says so.
    pub source: Arc<str>,
    /// What it says.
    pub rates: Rates,
}

impl OwnPrices {
    fn find(&self, backend: &str, names: Names<'_>) -> Option<&OwnPrice> {
        let of = |for_backend: bool, model: Option<&str>| {
            self.entries.iter().rev().find(|entry| {
                let own = entry.backend.as_deref();
                own == for_backend.then_some(backend) && entry.model.as_deref() == model
            })
        };
        let models = [names.routed, names.response, names.requested];
        let by_model = |for_backend: bool| {
            let mut models = models.into_iter().filter(|model| !model.is_empty());
            models.find_map(|model| of(for_backend, Some(model)))
        };
        by_model(true)
            .or_else(|| of(true, None))
            .or_else(|| by_model(false))
    }
}

/// The price of `backend` (`<ns>/<backend>`) for a model and `input_tokens`, at `now` in Unix seconds.
pub fn find(
    own: &OwnPrices,
    lists: &[Arc<PriceList>],
    backend: &str,
    names: Names<'_>,
    asked: Asked,
) -> Option<Found> {
    if let Some(entry) = own.find(backend, names) {
        let parts = [entry.backend.as_deref(), entry.model.as_deref()];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        return Some(Found {
            entry: parts.join("/"),
            source: own.source.as_str().into(),
            rates: entry.rates,
        });
    }
    let models = [names.response, names.routed];
    models.into_iter().find_map(|model| {
        let mut lists = lists.iter();
        lists.find_map(|list| list.find(model, asked))
    })
}

/// What a price depends on besides the model.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Size of the prompt: longer ones may have other rates.
    pub input_tokens: u64,
    /// Unix seconds.
    pub now: u64,
}

impl Found {
    /// The price of endpoints that only count tokens: no provider bills that.
    pub fn free() -> Self {
        Self {
            entry: "free".to_owned(),
            source: "counting tokens is not billed".into(),
            rates: Rates {
                request: Some(0),
                input: Some(0),
                output: Some(0),
                ..Rates::default()
            },
        }
    }

    /// What `usage` costs.
    pub fn of(&self, usage: &Usage) -> Option<Priced> {
        Some(Priced {
            pico_usd: self.rates.of(usage)?,
            entry: self.entry.clone(),
            source: self.source.to_string(),
        })
    }
}

#[cfg(test)]
#[path = "price/tests.rs"]
mod tests;
