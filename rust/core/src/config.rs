//! Filter config: the one document that tells the core what to do.
//!
//! Written by the control side, read by either host. These types own the format; the control
//! side checks its output with [`Config::parse`] before publishing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use crate::attributes::{Attributes, Identities};
use crate::cost::{Cost, Expressions};
use crate::credential_override::{CredentialOverride, Source};
use crate::endpoint::{EndpointPrefixes, PathTable};
use crate::mutate::{BodyMutation, HeaderMutation};
use crate::price::{Lists, ListsDocument, OwnPrices, PriceList};
use crate::scan::place;
use crate::schema::BackendSchema;

/// Format version that this core reads.
pub const VERSION: u32 = 1;

/// A parsed and checked filter config. Immutable; requests keep the one they started with.
#[derive(Debug)]
pub struct Config {
    /// Hash of the content, reported back when in force.
    pub generation: String,
    /// How long an attempt may wait for its credential.
    pub credential_wait_ms: u64,
    /// Request headers that records keep.
    pub attributes: Attributes,
    /// Where usage records are kept; nowhere without it.
    pub ledger: Option<Ledger>,
    gateways: HashMap<String, Arc<Gateway>>,
    backends: HashMap<String, Arc<Backend>>,
}

/// Where usage records are kept, and how much of them.
#[derive(Clone, Debug, Deserialize)]
pub struct Ledger {
    /// Absolute path; gateways may share it.
    pub directory: String,
    /// Bound on its files.
    #[serde(default = "default_ledger_bytes")]
    pub max_bytes: u64,
}

fn default_ledger_bytes() -> u64 {
    1 << 30
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Largest request body that is read.
    pub request_body_bytes: u64,
    /// Largest reply that is held for translation.
    pub response_body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_body_bytes: 50 << 20,
            response_body_bytes: 50 << 20,
        }
    }
}

/// What one Gateway offers.
#[derive(Debug)]
pub struct Gateway {
    /// `<ns>/<name>`.
    pub name: String,
    /// Paths.
    pub paths: PathTable,
    /// Models by host.
    pub models: Models,
    /// Sizes.
    pub limits: Limits,
    /// Headers that bring credentials for its backends, in lower case.
    pub credential_headers: Arc<[String]>,
    /// Costs and prices of its own.
    pub billing: Arc<Billing>,
    /// Headers that tell who asks.
    pub identity: Identities,
}

/// What one `GatewayConfig` says about money.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Billing {
    /// Costs where a route has none with the same key.
    pub costs: Vec<Cost>,
    /// Prices that come before those of providers' lists.
    pub prices: OwnPrices,
}

/// Model lists of one Gateway.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Models {
    /// All declared models.
    #[serde(rename = "models")]
    pub all: Vec<Model>,
    /// Lists by host name or `*.suffix`; each contains the unscoped ones.
    #[serde(rename = "models_by_host")]
    pub by_host: BTreeMap<String, Vec<Model>>,
    /// Models of routes without hostnames.
    #[serde(rename = "unscoped_models")]
    pub unscoped: Vec<Model>,
}

/// One declared model.
#[derive(Clone, Debug, Deserialize)]
pub struct Model {
    /// Name that clients send.
    pub name: String,
    /// Owner shown in the listing.
    pub owned_by: String,
    /// Unix seconds.
    pub created: i64,
    /// The same instant in RFC 3339, UTC.
    pub created_at: String,
}

/// One (route rule, backendRef) pair.
#[derive(Debug, Deserialize)]
pub struct Backend {
    /// Content-addressed id, the key in the file.
    #[serde(skip)]
    pub id: String,
    /// `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`.
    pub name: String,
    /// `<ns>/<backend>`.
    pub backend: String,
    /// `<ns>/<route>`.
    pub route: String,
    /// API of the provider.
    pub schema: BackendSchema,
    /// Host that the provider sees and that signatures cover.
    pub host: String,
    /// Model sent instead of the client's.
    #[serde(default)]
    pub model_name_override: Option<String>,
    /// Credential.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Header changes by the user.
    #[serde(default)]
    pub header_mutation: HeaderMutation,
    /// Body changes by the user.
    #[serde(default)]
    pub body_mutation: BodyMutation,
    /// Ask OpenAI-compatible providers for usage in streams.
    #[serde(default)]
    pub force_usage: bool,
    /// Numbers to write under names of the user's choice.
    #[serde(default)]
    pub costs: Vec<Cost>,
    /// Id of the price list of the provider; empty where there is none.
    #[serde(default)]
    pub price_list: String,
    /// That list, and those behind it.
    #[serde(skip)]
    pub price_lists: Vec<Arc<PriceList>>,
}

/// How a backend authenticates.
#[derive(Clone, Debug, Deserialize)]
pub struct Auth {
    /// Credential kind, as `BackendSecurityPolicy.spec.type`.
    pub r#type: AuthType,
    /// Name in the credentials file; empty where every request brings its own.
    #[serde(default)]
    pub credential: String,
    /// AWS or GCP region.
    #[serde(default)]
    pub region: String,
    /// GCP project.
    #[serde(default)]
    pub project: String,
    /// Requests may bring a credential of their own.
    #[serde(default, rename = "override")]
    pub credential_override: Option<CredentialOverride>,
}

impl Auth {
    /// The kind of a credential that requests bring, and where it stands.
    pub(crate) fn source(&self) -> Option<(AuthType, &Source)> {
        let own = self.credential_override.as_ref()?;
        Some((self.r#type, &own.source))
    }
}

/// Credential kinds that the core can apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names are those of BackendSecurityPolicy.spec.type"
)]
pub enum AuthType {
    APIKey,
    AnthropicAPIKey,
    AzureAPIKey,
    AzureCredentials,
    AWSCredentials,
    GCPCredentials,
}

#[derive(Deserialize)]
struct Document {
    version: u32,
    generation: String,
    #[serde(default = "default_credential_wait")]
    credential_wait_ms: u64,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    ledger: Option<Ledger>,
    #[serde(default)]
    gateways: BTreeMap<String, GatewayDocument>,
    #[serde(default)]
    backends: BTreeMap<String, Backend>,
    #[serde(default)]
    prices: ListsDocument,
}

#[derive(Deserialize)]
struct GatewayDocument {
    #[serde(default)]
    endpoint_prefixes: EndpointPrefixes,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    credential_headers: Vec<String>,
    #[serde(default)]
    billing: Billing,
    #[serde(default)]
    identity: Identities,
    #[serde(flatten)]
    models: Models,
}

fn default_credential_wait() -> u64 {
    2000
}

impl Config {
    /// Reads and checks a filter config. Unknown keys are ignored, so that neighbouring
    /// versions read each other's files.
    ///
    /// # Errors
    /// Names the backend or the place.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let json = &mut serde_json::Deserializer::from_slice(bytes);
        // Values may be secrets, so they are not quoted.
        let document: Document = serde_path_to_error::deserialize(json).map_err(|error| {
            format!("filter config: {}: {}", error.path(), place(error.inner()))
        })?;
        if document.version != VERSION {
            return Err(format!(
                "filter config: version {} is not supported",
                document.version
            ));
        }
        let mut expressions = Expressions::default();
        let lists = Lists::new(document.prices);
        let mut backends = HashMap::with_capacity(document.backends.len());
        for (id, mut backend) in document.backends {
            backend
                .body_mutation
                .check()
                .map_err(|error| format!("backend {}: {error}", backend.name))?;
            backend
                .header_mutation
                .check()
                .map_err(|error| format!("backend {}: {error}", backend.name))?;
            prepare(&mut backend.costs, &mut expressions)
                .map_err(|error| format!("backend {}: {error}", backend.name))?;
            backend.price_lists = lists.of(&backend.price_list);
            backend.id.clone_from(&id);
            backends.insert(id, Arc::new(backend));
        }
        let mut gateways = HashMap::with_capacity(document.gateways.len());
        for (name, mut gateway) in document.gateways {
            prepare(&mut gateway.billing.costs, &mut expressions)
                .map_err(|error| format!("gateway {name}: {error}"))?;
            let paths = PathTable::new(&gateway.endpoint_prefixes);
            gateways.insert(
                name.clone(),
                Arc::new(Gateway {
                    name,
                    paths,
                    models: gateway.models,
                    limits: gateway.limits,
                    credential_headers: gateway.credential_headers.into(),
                    billing: Arc::new(gateway.billing),
                    identity: gateway.identity,
                }),
            );
        }
        Ok(Self {
            generation: document.generation,
            credential_wait_ms: document.credential_wait_ms,
            gateways,
            attributes: document.attributes,
            ledger: document.ledger,
            backends,
        })
    }

    /// A Gateway by `<ns>/<name>`.
    pub fn gateway(&self, name: &str) -> Option<&Arc<Gateway>> {
        self.gateways.get(name)
    }

    /// A backend by id.
    pub fn backend(&self, id: &str) -> Option<&Arc<Backend>> {
        self.backends.get(id)
    }

    /// Number of backends.
    pub fn backend_count(&self) -> usize {
        self.backends.len()
    }
}

fn prepare(costs: &mut [Cost], expressions: &mut Expressions) -> Result<(), String> {
    costs
        .iter_mut()
        .try_for_each(|cost| cost.prepare(expressions))
}

impl Backend {
    /// The model sent to the provider when the client asks for `original`.
    pub fn effective_model<'a>(&'a self, original: &'a str) -> &'a str {
        match self.model_name_override.as_deref() {
            Some(name) if !name.is_empty() => name,
            _ => original,
        }
    }
}
