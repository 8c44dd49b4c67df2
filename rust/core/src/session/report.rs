//! What a reply used and costs: running totals as metadata, latencies at its end, the price.

use std::collections::BTreeMap;

use super::response::End;
use super::{Attempt, Request};
use crate::config::Backend;
use crate::cost::{Entries, Subject};
use crate::endpoint::Endpoint;
use crate::metadata::{
    Metadata, RESPONSE_MODEL, TOKEN_LATENCY_ITL, TOKEN_LATENCY_TTFT, USAGE_ESTIMATED, Value,
};
use crate::price::{self, Asked, Found, Names};
use crate::record::Priced;
use crate::usage::Usage;

impl Attempt {
    /// Metadata that changed since the last call: running totals, and latencies at the end.
    pub fn take_metadata(&mut self) -> Metadata {
        let mut metadata = Metadata::new();
        let completed = self.reply.end == End::Completed;
        if self.reply.findings != self.reply.reported || completed {
            self.report_findings(&mut metadata);
        }
        if completed {
            self.reply.end = End::Over;
        }
        let reply = &mut self.reply;
        if let (true, true, Some(first)) =
            (reply.end != End::Open, reply.stream, reply.first_output_ns)
        {
            reply.stream = false;
            metadata.push((TOKEN_LATENCY_TTFT.into(), millis(first)));
            let tokens = reply.findings.usage.output_tokens.unwrap_or(reply.events);
            if let Some(gaps) = tokens.checked_sub(1).filter(|gaps| *gaps > 0) {
                let gap = reply.last_output_ns.saturating_sub(first) / gaps;
                metadata.push((TOKEN_LATENCY_ITL.into(), millis(gap)));
            }
        }
        metadata
    }

    fn report_findings(&mut self, metadata: &mut Metadata) {
        let (new, old) = (&self.reply.findings, &self.reply.reported);
        for ((name, count), (_, before)) in new.usage.fields().into_iter().zip(old.usage.fields()) {
            if let Some(count) = count.filter(|_| count != before) {
                metadata.push((name.into(), number(count)));
            }
        }
        if new.usage != old.usage || self.reply.end == End::Completed {
            self.report_costs(metadata);
        }
        let (new, old) = (&self.reply.findings, &self.reply.reported);
        if self.reply.record.estimated {
            metadata.push((USAGE_ESTIMATED.into(), Value::Text("true".into())));
        }
        if let Some(model) = new
            .response_model
            .as_ref()
            .filter(|_| new.response_model != old.response_model)
        {
            metadata.push((RESPONSE_MODEL.into(), Value::Text(model.clone())));
        }
        self.reply.reported.clone_from(&self.reply.findings);
    }

    fn report_costs(&mut self, metadata: &mut Metadata) {
        let (entries, subject) = (
            cost_entries(&self.backend, &self.request),
            cost_subject(&self.backend, &self.request, &self.reply.findings.usage),
        );
        for (key, cost) in self.costs.update(entries, &subject) {
            metadata.push((key.to_owned().into(), number(cost)));
        }
    }

    /// Costs of the usage so far.
    pub(super) fn costs_so_far(&self) -> BTreeMap<String, u64> {
        let entries = cost_entries(&self.backend, &self.request);
        let owned = |(key, cost): (&str, u64)| (key.to_owned(), cost);
        if self.reply.findings == self.reply.reported {
            return self.costs.values(entries).map(owned).collect();
        }
        let usage = &self.reply.findings.usage;
        let subject = cost_subject(&self.backend, &self.request, usage);
        let costs = self.costs.after(entries, &subject).into_iter();
        costs.map(owned).collect()
    }

    /// Costs that could not be calculated since the last call.
    pub fn take_cost_errors(&mut self) -> u64 {
        self.costs.take_errors()
    }

    /// What the usage so far costs.
    pub(super) fn price(&self) -> Option<Priced> {
        let usage = &self.reply.findings.usage;
        if usage.is_empty() && !self.reply.status_is_ok() {
            return None;
        }
        self.price_entry()?.of(usage)
    }

    /// The price that applies to what is known so far.
    pub fn price_entry(&self) -> Option<Found> {
        match self.request.endpoint {
            Endpoint::CountTokens | Endpoint::ResponsesInputTokens | Endpoint::Tokenize => {
                return Some(Found::free());
            }
            _ => {}
        }
        let usage = &self.reply.findings.usage;
        let names = Names {
            requested: self.request.model(),
            routed: self.backend.effective_model(self.request.model()),
            response: self.reply.findings.response_model.as_deref().unwrap_or(""),
        };
        let asked = Asked {
            input_tokens: usage.input_tokens.unwrap_or(0),
            now: self.started.now,
        };
        let (own, backend) = (&self.request.billing.prices, &self.backend);
        price::find(own, &backend.price_lists, &backend.backend, names, asked)
    }
}

fn cost_entries<'a>(backend: &'a Backend, request: &'a Request) -> Entries<'a> {
    Entries {
        route: &backend.costs,
        gateway: &request.billing.costs,
    }
}

fn cost_subject<'a>(backend: &'a Backend, request: &'a Request, usage: &'a Usage) -> Subject<'a> {
    Subject {
        model: backend.effective_model(request.model()),
        backend: &backend.backend,
        backend_name: &backend.name,
        route: &backend.route,
        usage,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "token counts and times are far below 2^52"
)]
fn number(count: u64) -> Value {
    Value::Number(count as f64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "token counts and times are far below 2^52"
)]
fn millis(nanos: u64) -> Value {
    Value::Number((nanos / 1000) as f64 / 1000.0)
}
