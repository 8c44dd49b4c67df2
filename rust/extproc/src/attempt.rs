//! The attempt stream: builds the provider's request, then hands the reply to [`crate::response`].

use std::sync::Arc;

use aigw_core::credential_override::DynamicMetadata;
use aigw_core::endpoint::ClientApi;
use aigw_core::error::{Error, Reply};
use aigw_core::metadata::{NAMESPACE, REQUEST_ID, Value};
use aigw_core::session::UpstreamRequest;
use aigw_runtime::{Exchange, Prepared, Ticket, Wake};

use crate::messages::{
    Action, Event, Kind, MetadataContext, ProcessingMode, ProcessingRequest, Status, Struct,
};
use crate::reply::{self, Replies};
use crate::response::ResponseStream;
use crate::session::{Host, Next, WakeUp};

/// Metadata key with the length of the body that the provider gets. Envoy drops
/// `content-length` from a reply that replaces the body; a `header_mutation` filter behind this
/// one sets it from the metadata.
pub const CONTENT_LENGTH: &str = "content_length";

/// Where the backend's id may stand, the most specific place first.
const BACKEND_ATTRIBUTES: [&str; 2] = [
    "xds.upstream_host_metadata.filter_metadata['aigateway.envoy.io']['per_route_rule_backend_name']",
    "xds.cluster_metadata.filter_metadata['aigateway.envoy.io']['per_route_rule_backend_name']",
];

pub(crate) struct AttemptStream {
    host: Arc<Host>,
    wake_up: WakeUp,
    response: Option<ResponseStream>,
    ticket: Option<Ticket>,
}

impl AttemptStream {
    pub(crate) fn new(host: Arc<Host>, wake_up: WakeUp) -> Self {
        Self {
            host,
            wake_up,
            response: None,
            ticket: None,
        }
    }

    pub(crate) fn on_message(&mut self, message: ProcessingRequest, out: &mut Replies) -> Next {
        match (message.event, self.response.as_mut()) {
            (Some(Event::RequestHeaders(_)), _) => {
                let metadata = message.metadata_context.as_ref();
                let attributes = message.attributes.get(reply::ATTRIBUTES);
                self.start(metadata, attributes, out)
            }
            (Some(Event::RequestBody(_)), _) => {
                unchanged(Action::RequestBody(reply::unchanged()), out)
            }
            (Some(Event::ResponseHeaders(head)), Some(response)) => response.on_head(&head, out),
            (Some(Event::ResponseBody(body)), Some(response)) => response.on_body(body, out),
            (Some(Event::ResponseTrailers(_)), Some(response)) => response.on_trailers(out),
            (Some(Event::ResponseHeaders(_)), None) => {
                unchanged(Action::ResponseHeaders(reply::unchanged()), out)
            }
            _ => Next::Read,
        }
    }

    fn start(
        &mut self,
        metadata: Option<&MetadataContext>,
        attributes: Option<&Struct>,
        out: &mut Replies,
    ) -> Next {
        match self.bind(metadata, attributes) {
            Ok(response) => {
                self.response = Some(response);
                self.prepare(out)
            }
            Err(answer) => refuse(answer, out),
        }
    }

    fn bind(
        &self,
        metadata: Option<&MetadataContext>,
        attributes: Option<&Struct>,
    ) -> Result<ResponseStream, Reply> {
        let exchange = self
            .exchange(metadata)
            .ok_or_else(|| Error::NotReady.reply(ClientApi::OpenAI))?;
        let Some(backend) = backend_id(attributes) else {
            let error = Error::Internal("the upstream host names no backend".into());
            return Err(exchange.answered(error.reply(exchange.client_api())));
        };
        let policy = reply::route_policy(attributes);
        let metadata = Forwarded(metadata);
        let flow = self
            .host
            .runtime
            .attempt(&exchange, backend, policy, &metadata)?;
        Ok(ResponseStream::new(flow))
    }

    fn exchange(&self, metadata: Option<&MetadataContext>) -> Option<Arc<Exchange>> {
        let fields = &metadata?.filter_metadata.get(NAMESPACE)?.fields;
        let Kind::Text(id) = fields.get(REQUEST_ID)?.kind.as_ref()? else {
            return None;
        };
        self.host.table.get(u128::from_str_radix(id, 16).ok()?)
    }

    pub(crate) fn resume(&mut self, out: &mut Replies) -> Next {
        if self.ticket.is_some() {
            self.prepare(out)
        } else {
            Next::Read
        }
    }

    fn prepare(&mut self, out: &mut Replies) -> Next {
        let Some(response) = self.response.as_mut() else {
            return Next::Read;
        };
        let flow = response.flow();
        let body = flow.exchange().body();
        let wake_up = Arc::clone(&self.wake_up);
        let wake: Wake = Box::new(move || wake_up());
        let waited = self.ticket.take();
        match flow.prepare(&body, waited.as_ref(), wake) {
            Ok(Prepared::Wait(ticket)) => {
                self.ticket = Some(ticket);
                Next::Wait
            }
            Ok(Prepared::Done(upstream)) => {
                let override_mode = response.expect();
                send(upstream, body.len(), override_mode, out);
                Next::Read
            }
            Ok(Prepared::Answer(answer)) => {
                let mut response = reply::immediate(answer.reply);
                response.dynamic_metadata = reply::dynamic_metadata(answer.metadata);
                reply::send(&response, out);
                Next::Close
            }
            Err(answer) => refuse(answer, out),
        }
    }
}

/// The metadata that Envoy forwards.
struct Forwarded<'a>(Option<&'a MetadataContext>);

impl DynamicMetadata for Forwarded<'_> {
    fn text(&self, path: &[&str]) -> Option<String> {
        let (namespace, path) = path.split_first()?;
        let (last, members) = path.split_last()?;
        let mut object = self.0?.filter_metadata.get(*namespace)?;
        for member in members {
            let Kind::Struct(inner) = object.fields.get(*member)?.kind.as_ref()? else {
                return None;
            };
            object = inner;
        }
        match object.fields.get(*last)?.kind.as_ref()? {
            Kind::Text(text) => Some(text.clone()),
            Kind::Number(_) | Kind::Struct(_) => None,
        }
    }
}

fn unchanged(action: Action, out: &mut Replies) -> Next {
    reply::send(&reply::response(action), out);
    Next::Read
}

/// The answer to request headers. `original` is the length of the client's body.
fn send(
    mut upstream: UpstreamRequest,
    original: usize,
    mode_override: Option<ProcessingMode>,
    out: &mut Replies,
) {
    let length = upstream.body.as_ref().map_or(original, Vec::len);
    upstream.edits.forget("content-length");
    // Metadata outlives the attempt, so the length is always written.
    if length > 0 {
        let length = Value::Text(length.to_string());
        upstream.metadata.push((CONTENT_LENGTH.into(), length));
    }
    let mut common = reply::edited(&upstream.edits);
    if let Some(body) = upstream.body {
        common.status = Status::ContinueAndReplace.into();
        common.body_mutation = Some(reply::replaced(body.into()));
    }
    let mut response = reply::response(Action::RequestHeaders(reply::common(common)));
    response.dynamic_metadata = reply::dynamic_metadata(upstream.metadata);
    response.mode_override = mode_override;
    reply::send(&response, out);
}

fn refuse(answer: Reply, out: &mut Replies) -> Next {
    reply::send(&reply::immediate(answer), out);
    Next::Close
}

fn backend_id(attributes: Option<&Struct>) -> Option<&str> {
    BACKEND_ATTRIBUTES
        .iter()
        .find_map(|name| reply::attribute(attributes, name))
}
