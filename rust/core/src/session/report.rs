//! Metadata of a reply: running totals, latencies at its end.

use super::Attempt;
use super::response::End;
use crate::metadata::{
    Metadata, RESPONSE_MODEL, TOKEN_LATENCY_ITL, TOKEN_LATENCY_TTFT, USAGE_ESTIMATED, Value,
};

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
            for cost in &self.backend.costs {
                metadata.push((
                    cost.metadata_key.clone().into(),
                    number(cost.r#type.of(&new.usage)),
                ));
            }
        }
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
