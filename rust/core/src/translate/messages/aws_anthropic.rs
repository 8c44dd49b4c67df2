//! Anthropic messages to Claude on AWS Bedrock: `anthropic_version` and beta flags become
//! members, the path names the model, all else goes through. Replies keep their bytes; events
//! are taken out of AWS's frames.
//!
//! Dropped by contract: beta flags that Bedrock does not know, named `anthropic_beta`; thinking
//! with an empty signature.

use crate::dialect::claude::{self, AWS, UNSIGNED, aws_body, inner_event};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::framing::{Event, EventKind, Framing, TopLevel};
use crate::headers::Headers;
use crate::scan::place;
use crate::schema::ApiSchema;
use crate::translate::{
    ANTHROPIC_KEYS, Binding, Outbox, ProviderError, Translate, Upstream, anthropic_event,
    anthropic_unary,
};
use crate::wire::Members;

/// The event that tells a client that all went well.
const STOP: &str = "message_stop";

pub(crate) struct Messages {
    path: String,
    version: String,
    head: Headers,
    /// The last event, kept until the stream has ended well.
    stop: Option<Vec<u8>>,
}

impl Translate for Messages {
    const ENDPOINT: Endpoint = Endpoint::Messages;
    const SCHEMA: ApiSchema = ApiSchema::AWSAnthropic;
    const FRAMING: Framing = Framing::EventStream;
    type Request<'a> = Members<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            path: AWS.path(binding.model, binding.stream),
            version: AWS.version(&binding.backend.schema.version).to_owned(),
            head: binding.head.clone(),
            stop: None,
        }
    }

    fn request(&mut self, req: &Members<'_>) -> Result<Upstream> {
        let (body, lost) = aws_body(req.clone(), &self.version, &self.head);
        let mut upstream = Upstream::json(self.path.clone(), &body)?;
        upstream.dropped.note("anthropic_beta", lost);
        upstream.dropped.note(UNSIGNED, body.lacks_thinking());
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        serde_json::from_slice::<Members<'_>>(body).map_err(|error| {
            Error::UpstreamProtocol(format!("the message cannot be read: {}", place(&error)))
        })?;
        let mut members = TopLevel::new(ANTHROPIC_KEYS);
        members.feed(body);
        anthropic_unary(&members, out.findings());
        out.raw(body);
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let Some(data) = inner_event(event)? else {
            return Ok(());
        };
        // A line end in a name would end the event.
        let name = claude::event_type(&data).filter(|name| !name.contains(char::is_control));
        let Some(name) = name else {
            return Ok(());
        };
        let inner = Event {
            name: &name,
            data: &data,
            kind: EventKind::Data,
        };
        anthropic_event(inner, out.findings())?;
        if name == STOP {
            self.stop = Some(data);
        } else {
            out.sse_raw(&name, &data);
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        let early = || Error::UpstreamProtocol("the stream ended before message_stop".into());
        out.sse_raw(STOP, self.stop.as_ref().ok_or_else(early)?);
        Ok(())
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        claude::aws_error(headers, body)
    }

    fn passes_error(headers: &Headers, body: &[u8]) -> bool {
        claude::is_native_error(headers, body)
    }
}
