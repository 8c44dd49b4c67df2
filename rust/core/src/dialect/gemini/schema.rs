//! JSON Schema in the subset that Gemini before 2.5 takes: no references, no combination but
//! `anyOf`, one type and `nullable`.
//!
//! Dropped by contract: every keyword that the subset does not have (`additionalProperties`,
//! `pattern` of properties, conditionals, exclusive limits and the like).

use serde_json::{Map, Value};

use crate::wire::gemini::Raw;

/// Deepest nesting, references followed.
const MAX_DEPTH: usize = 100;

/// Keywords that mean the same in both.
const SAME: &[&str] = &[
    "default",
    "description",
    "example",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "propertyOrdering",
    "required",
    "title",
];

/// Converts a schema.
///
/// # Errors
/// What cannot be converted, never a value of the schema.
pub(super) fn convert(raw: Raw<'_>) -> Result<Value, String> {
    let root: Value = serde_json::from_str(raw.get()).map_err(|_| fault("unreadable"))?;
    let converter = Converter { root: &root };
    converter.schema(&root, 0).map(Value::Object)
}

fn fault(what: &str) -> String {
    format!("invalid JSON schema: {what}")
}

struct Converter<'a> {
    root: &'a Value,
}

impl<'a> Converter<'a> {
    fn schema(&self, value: &'a Value, depth: usize) -> Result<Map<String, Value>, String> {
        if depth >= MAX_DEPTH {
            return Err(fault("circular reference, or more than 100 levels"));
        }
        let Value::Object(from) = value else {
            return Err(fault("an object is expected"));
        };
        // What a reference or `allOf` brings is the base; the keywords beside it come on top.
        let mut to = match (from.get("$ref"), from.get("allOf")) {
            (Some(reference), _) => self.schema(self.target(reference)?, depth + 1)?,
            (None, Some(all)) => self.schema(only(all)?, depth + 1)?,
            (None, None) => Map::new(),
        };
        for (name, value) in from {
            match name.as_str() {
                "type" => set_type(value, &mut to)?,
                "properties" => {
                    to.insert(name.clone(), self.properties(value, depth)?);
                }
                "items" => {
                    to.insert(name.clone(), Value::Object(self.schema(value, depth + 1)?));
                }
                "anyOf" | "oneOf" => self.any_of(value, &mut to, depth)?,
                "enum" => {
                    to.insert(name.clone(), texts(value)?);
                }
                "const" if !from.contains_key("enum") => {
                    let one = Value::Array(vec![value.clone()]);
                    to.insert("enum".into(), texts(&one)?);
                }
                same if SAME.contains(&same) => {
                    to.insert(name.clone(), value.clone());
                }
                _ => {}
            }
        }
        Ok(to)
    }

    fn properties(&self, value: &'a Value, depth: usize) -> Result<Value, String> {
        let Value::Object(properties) = value else {
            return Err(fault("'properties' must be an object"));
        };
        let mut all = Map::new();
        for (name, value) in properties {
            let schema = self.schema(value, depth + 1)?;
            all.insert(name.clone(), Value::Object(schema));
        }
        Ok(Value::Object(all))
    }

    fn any_of(
        &self,
        value: &'a Value,
        to: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), String> {
        let Some(members) = value.as_array().filter(|members| !members.is_empty()) else {
            return Err(fault("'anyOf' must be a list of schemas"));
        };
        let mut all = Vec::new();
        for member in members {
            if member.get("type").and_then(Value::as_str) == Some("null") {
                to.insert("nullable".into(), Value::Bool(true));
            } else {
                all.push(Value::Object(self.schema(member, depth + 1)?));
            }
        }
        to.insert("anyOf".into(), Value::Array(all));
        Ok(())
    }

    fn target(&self, reference: &Value) -> Result<&'a Value, String> {
        let path = reference.as_str().unwrap_or_default();
        let pointer = path.strip_prefix('#').filter(|path| path.starts_with('/'));
        let pointer = pointer.ok_or_else(|| fault("a '$ref' must begin with '#/'"))?;
        let found = self.root.pointer(&unescaped(pointer));
        found.ok_or_else(|| fault("a '$ref' leads nowhere"))
    }
}

/// `%xx` decoded; `~0` and `~1` are the pointer's own affair.
fn unescaped(pointer: &str) -> String {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn only(all: &Value) -> Result<&Value, String> {
    match all.as_array().map(Vec::as_slice) {
        Some([one]) => Ok(one),
        _ => Err(fault("'allOf' must have exactly one schema")),
    }
}

/// One type, or one and `null`.
fn set_type(value: &Value, to: &mut Map<String, Value>) -> Result<(), String> {
    let names = match value {
        Value::String(_) => {
            to.insert("type".into(), value.clone());
            return Ok(());
        }
        Value::Array(names) => names,
        _ => return Err(fault("'type' must be a string or a list")),
    };
    let mut others = names.iter().filter(|name| name.as_str() != Some("null"));
    match (others.next(), others.next()) {
        (Some(one), None) => {
            to.insert("type".into(), one.clone());
            if names.len() > 1 {
                to.insert("nullable".into(), Value::Bool(true));
            }
            Ok(())
        }
        _ => Err(fault("'type' must have one type besides 'null'")),
    }
}

/// The subset's enumerations are texts.
fn texts(values: &Value) -> Result<Value, String> {
    let Value::Array(values) = values else {
        return Err(fault("'enum' must be a list"));
    };
    let text = |value: &Value| match value {
        Value::String(_) => value.clone(),
        other => Value::String(other.to_string()),
    };
    Ok(Value::Array(values.iter().map(text).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn converted(schema: &Value) -> Result<Value, String> {
        let raw = serde_json::value::to_raw_value(schema).unwrap();
        convert(&raw)
    }

    #[test]
    fn the_subset_keeps_what_it_can_say() {
        let schema = json!({
            "$schema": "x", "type": "object", "additionalProperties": false, "required": ["id"],
            "properties": {
                "id": {"type": ["integer", "null"], "minimum": 1, "exclusiveMaximum": 9},
                "tag": {"$ref": "#/$defs/T~1a%67", "description": "mine"},
                "note": {"allOf": [{"type": "string", "maxLength": 20}], "title": "N"},
                "ref": {"oneOf": [{"type": "string"}, {"type": "null"}]},
                "kind": {"const": 3},
            },
            "$defs": {"T/ag": {"type": "string", "description": "theirs"}},
        });
        let want = json!({
            "type": "object", "required": ["id"],
            "properties": {
                "id": {"type": "integer", "nullable": true, "minimum": 1},
                "tag": {"type": "string", "description": "mine"},
                "note": {"type": "string", "maxLength": 20, "title": "N"},
                "ref": {"anyOf": [{"type": "string"}], "nullable": true},
                "kind": {"enum": ["3"]},
            },
        });
        assert_eq!(converted(&schema).unwrap(), want);
        let order: Vec<_> = want["properties"].as_object().unwrap().keys().collect();
        let got = converted(&schema).unwrap();
        let got: Vec<_> = got["properties"].as_object().unwrap().keys().collect();
        assert_eq!(got, order);
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for (schema, part) in [
            (json!({"$ref": "#/a", "a": {"$ref": "#/a"}}), "circular"),
            (json!({"$ref": "other.json"}), "must begin"),
            (json!({"$ref": "#/$defs/x"}), "nowhere"),
            (json!({"type": ["string", "integer"]}), "one type"),
            (json!({"allOf": [{}, {}]}), "exactly one"),
            (json!({"items": [{}]}), "an object is expected"),
        ] {
            let error = converted(&schema).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
