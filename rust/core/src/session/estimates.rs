//! Usage that the provider did not report.

use super::Attempt;
use crate::estimate::{Ending, Exchanged};

impl Attempt {
    /// The reply went to its end: fills in what is not known.
    pub(super) fn complete_usage(&mut self) {
        self.estimate_usage(Ending::Completed);
    }

    /// The reply broke off. As long as its head is held another attempt may answer, and this one
    /// counts for nothing.
    pub(super) fn cut_usage(&mut self) {
        if self.reply.status_is_ok() && !self.reply.held {
            self.estimate_usage(Ending::Cut);
        }
    }

    fn estimate_usage(&mut self, ending: Ending) {
        let reply = &mut self.reply;
        let reported = reply.findings.response_model.as_deref().unwrap_or_default();
        let exchanged = Exchanged {
            endpoint: self.request.endpoint,
            ending,
            prompt: &self.request.prompt,
            output: &reply.output,
            models: [reported, &reply.model],
        };
        reply.record.estimated |= exchanged.complete(&mut reply.findings.usage);
    }
}
