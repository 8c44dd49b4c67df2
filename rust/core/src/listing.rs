//! `GET /v1/models` in the OpenAI and the Anthropic shape.

use std::collections::HashSet;

use serde::Serialize;

use crate::config::{Model, Models};
use crate::endpoint::ClientApi;
use crate::error::Reply;
use crate::headers::Headers;

#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    created: i64,
    object: &'static str,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    id: &'a str,
    r#type: &'static str,
    display_name: &'a str,
    created_at: &'a str,
}

#[derive(Serialize)]
struct OpenAiList<'a> {
    data: Vec<OpenAiModel<'a>>,
    object: &'static str,
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicModel<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_id: Option<&'a str>,
    has_more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_id: Option<&'a str>,
}

/// The model list for the host that the client called.
pub(crate) fn list(models: &Models, api: ClientApi, head: &Headers) -> Reply {
    let models = unique(choose(models, head));
    let body = match api {
        ClientApi::Anthropic => serde_json::to_vec(&AnthropicList {
            first_id: models.first().map(|m| m.name.as_str()),
            has_more: false,
            last_id: models.last().map(|m| m.name.as_str()),
            data: models
                .iter()
                .map(|m| AnthropicModel {
                    id: &m.name,
                    r#type: "model",
                    display_name: &m.name,
                    created_at: &m.created_at,
                })
                .collect(),
        }),
        ClientApi::OpenAI | ClientApi::Cohere => serde_json::to_vec(&OpenAiList {
            data: models
                .iter()
                .map(|m| OpenAiModel {
                    id: &m.name,
                    created: m.created,
                    object: "model",
                    owned_by: &m.owned_by,
                })
                .collect(),
            object: "list",
        }),
    };
    Reply {
        status: 200,
        headers: vec![("content-type", "application/json".into())],
        body: body.unwrap_or_default(),
        kind: "model_list",
    }
}

fn unique(models: &[Model]) -> Vec<&Model> {
    let mut seen = HashSet::new();
    models
        .iter()
        .filter(|model| seen.insert(model.name.as_str()))
        .collect()
}

/// Exact host, then the longest `*.` suffix over one label, then the unscoped models: never
/// the models of another host.
fn choose<'a>(models: &'a Models, head: &Headers) -> &'a [Model] {
    let authority = head
        .get_str(":authority")
        .or_else(|| head.get_str("host"))
        .unwrap_or_default();
    let host = strip_port(authority).to_ascii_lowercase();
    if host.is_empty() || models.by_host.is_empty() {
        return &models.all;
    }
    if let Some(list) = models.by_host.get(&host) {
        return list;
    }
    let wildcard = host.split_once('.').and_then(|(label, rest)| {
        (!label.is_empty())
            .then(|| models.by_host.get(&format!("*.{rest}")))
            .flatten()
    });
    wildcard.map_or(&models.unscoped, Vec::as_slice)
}

fn strip_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(authority, |(host, _)| host);
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> Model {
        Model {
            name: name.into(),
            owned_by: "o".into(),
            created: 1,
            created_at: "1970-01-01T00:00:01Z".into(),
        }
    }

    fn ids(models: &Models, host: &str) -> String {
        let head: Headers = [(":authority", host)].into_iter().collect();
        let reply = list(models, ClientApi::OpenAI, &head);
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let ids: Vec<_> = body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["id"].as_str().unwrap())
            .collect();
        ids.join(",")
    }

    #[test]
    fn hosts_see_their_own_models_only() {
        let models = Models {
            all: vec![model("a"), model("b"), model("w"), model("u"), model("u")],
            by_host: [
                ("a.test".to_owned(), vec![model("a"), model("u")]),
                ("*.b.test".to_owned(), vec![model("w"), model("u")]),
            ]
            .into(),
            unscoped: vec![model("u"), model("u")],
        };
        assert_eq!(ids(&models, "A.test:80"), "a,u");
        assert_eq!(ids(&models, "x.b.test"), "w,u");
        assert_eq!(ids(&models, "y.x.b.test"), "u");
        assert_eq!(ids(&models, "b.test"), "u");
        assert_eq!(ids(&models, "[::1]:8080"), "u");
    }
}
