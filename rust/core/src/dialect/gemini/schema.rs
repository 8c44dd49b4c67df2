//! JSON Schema in the subset that Gemini before 2.5 takes: no references, no combination but
//! `anyOf`, one type and `nullable`.
//!
//! Dropped by contract: every keyword that the subset does not have (`additionalProperties`,
//! `patternProperties`, conditionals, exclusive limits and the like), and empty texts, lists and
//! objects.

use std::cell::Cell;

use serde_json::{Map, Value};

use crate::wire::gemini::Raw;

/// Deepest nesting, references followed.
const MAX_DEPTH: usize = 100;

/// Largest result, in about its bytes: references can multiply a small schema without bound.
const MAX_SIZE: usize = 1 << 19;

/// What an empty schema counts for.
const SCHEMA_SIZE: usize = 16;

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
    let converter = Converter {
        root: &root,
        left: Cell::new(MAX_SIZE),
    };
    converter.schema(&root, 0).map(Value::Object)
}

fn fault(what: &str) -> String {
    format!("invalid JSON schema: {what}")
}

struct Converter<'a> {
    root: &'a Value,
    /// How much the result may still grow.
    left: Cell<usize>,
}

impl<'a> Converter<'a> {
    fn schema(&self, value: &'a Value, depth: usize) -> Result<Map<String, Value>, String> {
        if depth >= MAX_DEPTH {
            return Err(fault("circular reference, or more than 100 levels"));
        }
        let Value::Object(from) = value else {
            return Err(fault("an object is expected"));
        };
        // What a reference and `allOf` bring is the base; the keywords beside them come on top.
        let mut to = Map::new();
        if let Some(reference) = from.get("$ref") {
            to = self.schema(self.target(reference)?, depth + 1)?;
        }
        for member in all_of(from)? {
            merge(&mut to, self.schema(member, depth + 1)?)?;
        }
        merge(&mut to, self.own(from, depth)?)?;
        Ok(to)
    }

    /// The keywords of a schema itself.
    fn own(
        &self,
        from: &'a Map<String, Value>,
        depth: usize,
    ) -> Result<Map<String, Value>, String> {
        let mut to = Map::new();
        self.grow(SCHEMA_SIZE)?;
        for (name, value) in from {
            match name.as_str() {
                "type" => set_type(value, &mut to)?,
                "properties" => {
                    let properties = self.properties(value, depth)?;
                    insert(&mut to, name, Value::Object(properties));
                }
                "items" => {
                    let items = self.schema(value, depth + 1)?;
                    to.insert(name.clone(), Value::Object(items));
                }
                "anyOf" | "oneOf" => self.any_of(value, &mut to, depth)?,
                "enum" => {
                    self.grow(size(value))?;
                    let values = value.as_array();
                    set_enum(
                        values.ok_or_else(|| fault("'enum' must be a list"))?,
                        &mut to,
                    )?;
                }
                "const" if !from.contains_key("enum") => {
                    self.grow(size(value))?;
                    set_enum(std::slice::from_ref(value), &mut to)?;
                }
                same if SAME.contains(&same) => {
                    self.grow(size(value))?;
                    insert(&mut to, name, value.clone());
                }
                _ => {}
            }
        }
        Ok(to)
    }

    fn grow(&self, size: usize) -> Result<(), String> {
        let left = self.left.get().checked_sub(size);
        self.left
            .set(left.ok_or_else(|| fault("too large with its references followed"))?);
        Ok(())
    }

    fn properties(&self, value: &'a Value, depth: usize) -> Result<Map<String, Value>, String> {
        let Value::Object(properties) = value else {
            return Err(fault("'properties' must be an object"));
        };
        let mut all = Map::new();
        for (name, value) in properties {
            self.grow(name.len())?;
            let schema = self.schema(value, depth + 1)?;
            all.insert(name.clone(), Value::Object(schema));
        }
        Ok(all)
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
        if to.contains_key("anyOf") {
            return Err(fault("'anyOf' and 'oneOf' cannot stand together"));
        }
        let mut all = Vec::new();
        for member in members {
            if is_null(member) {
                to.insert("nullable".into(), Value::Bool(true));
            } else {
                all.push(Value::Object(self.schema(member, depth + 1)?));
            }
        }
        insert(to, "anyOf", Value::Array(all));
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

/// The members of `allOf`; none without it.
fn all_of(from: &Map<String, Value>) -> Result<&[Value], String> {
    match from.get("allOf").map(Value::as_array) {
        None => Ok(&[]),
        Some(Some(all)) if !all.is_empty() => Ok(all),
        Some(_) => Err(fault("'allOf' must be a list of schemas")),
    }
}

/// Adds what says something.
fn insert(to: &mut Map<String, Value>, name: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if !empty || matches!(name, "default" | "example") {
        to.insert(name.to_owned(), value);
    }
}

/// Makes a schema mean what both mean; of two descriptions and the like the second one counts.
fn merge(to: &mut Map<String, Value>, from: Map<String, Value>) -> Result<(), String> {
    for (name, value) in from {
        let Some(known) = to.get_mut(&name).filter(|known| **known != value) else {
            to.insert(name, value);
            continue;
        };
        match (name.as_str(), known, value) {
            ("properties", Value::Object(known), Value::Object(more)) => {
                merge_properties(known, more)?;
            }
            ("items", Value::Object(known), Value::Object(more)) => merge(known, more)?,
            ("required", Value::Array(known), Value::Array(more)) => {
                for name in more {
                    if !known.contains(&name) {
                        known.push(name);
                    }
                }
            }
            ("type" | "enum" | "anyOf" | "pattern", _, _) => {
                let what = format!("schemas that must hold together differ in '{name}'");
                return Err(fault(&what));
            }
            (_, known, value) => *known = tighter(&name, known, value),
        }
    }
    Ok(())
}

fn merge_properties(to: &mut Map<String, Value>, from: Map<String, Value>) -> Result<(), String> {
    for (name, value) in from {
        match (to.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) => merge(known, more)?,
            (_, value) => {
                to.insert(name, value);
            }
        }
    }
    Ok(())
}

/// The tighter of two limits; the second of other values.
fn tighter(name: &str, first: &Value, second: Value) -> Value {
    let keeps = match (first.as_f64(), second.as_f64()) {
        (Some(first), Some(second)) if name.starts_with("min") => first > second,
        (Some(first), Some(second)) if name.starts_with("max") => first < second,
        _ => false,
    };
    if keeps { first.clone() } else { second }
}

/// About the bytes of a value.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len(),
        Value::Array(all) => 1 + all.iter().map(size).sum::<usize>(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| name.len() + size(value));
            1 + members.sum::<usize>()
        }
    }
}

/// A schema of nothing but null.
fn is_null(schema: &Value) -> bool {
    let only = |keyword: &str, null: &Value| schema.get(keyword) == Some(null);
    only("type", &"null".into())
        || only("const", &Value::Null)
        || only("enum", &Value::Array(vec![Value::Null]))
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
        (Some(one @ Value::String(_)), None) => {
            to.insert("type".into(), one.clone());
            if names.len() > 1 {
                to.insert("nullable".into(), Value::Bool(true));
            }
            Ok(())
        }
        _ => Err(fault("'type' must have one type besides 'null'")),
    }
}

/// The subset's enumerations are texts, and null is said by `nullable`.
fn set_enum(values: &[Value], to: &mut Map<String, Value>) -> Result<(), String> {
    let mut texts = Vec::new();
    for value in values {
        match value {
            Value::Null => {
                to.insert("nullable".into(), Value::Bool(true));
            }
            Value::String(_) => texts.push(value.clone()),
            Value::Number(number) if number.is_f64() && !is_exact(number) => {
                return Err(fault("numbers of an 'enum' must fit into 64 bits"));
            }
            other => texts.push(Value::String(other.to_string())),
        }
    }
    insert(to, "enum", Value::Array(texts));
    Ok(())
}

/// Larger numbers have lost digits by now.
fn is_exact(number: &serde_json::Number) -> bool {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    number.as_f64().is_some_and(|number| number.abs() < LARGEST)
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
                "size": {"enum": ["s", null], "description": "", "default": ""},
                "gone": {"anyOf": [{"const": null}], "properties": {}, "required": []},
                "$ref": {"$ref": "#/properties/tag"},
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
                "size": {"enum": ["s"], "nullable": true, "default": ""},
                "gone": {"nullable": true},
                "$ref": {"type": "string", "description": "mine"},
            },
        });
        assert_eq!(converted(&schema).unwrap(), want);
        let order: Vec<_> = want["properties"].as_object().unwrap().keys().collect();
        let got = converted(&schema).unwrap();
        let got: Vec<_> = got["properties"].as_object().unwrap().keys().collect();
        assert_eq!(got, order);
    }

    #[test]
    fn schemas_that_must_hold_together_become_one() {
        let base = json!({
            "type": "object", "required": ["a"], "minProperties": 2, "maxProperties": 9,
            "properties": {"a": {"type": "string"}, "b": {"items": {"type": "string"}}},
        });
        let extra = json!({
            "type": "object", "required": ["a", "c"], "minProperties": 1, "maxProperties": 5,
            "properties": {"b": {"items": {"maxLength": 3}}, "c": {"type": "integer"}},
        });
        let want = json!({
            "type": "object", "required": ["a", "c"], "minProperties": 2, "maxProperties": 5,
            "properties": {
                "a": {"type": "string"},
                "b": {"items": {"type": "string", "maxLength": 3}},
                "c": {"type": "integer"},
            },
        });
        let mut beside = extra.clone();
        beside["$ref"] = "#/$defs/base".into();
        beside["$defs"] = json!({"base": base});
        for schema in [
            json!({"allOf": [base, extra]}),
            json!({"allOf": [{"$ref": "#/$defs/base"}, extra], "$defs": {"base": base}}),
            json!({"$ref": "#/$defs/base", "allOf": [extra], "$defs": {"base": base}}),
            beside,
        ] {
            assert_eq!(converted(&schema).unwrap(), want, "{schema}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for (schema, part) in [
            (json!({"$ref": "#/a", "a": {"$ref": "#/a"}}), "circular"),
            (json!({"$ref": "other.json"}), "must begin"),
            (json!({"$ref": "#/$defs/x"}), "nowhere"),
            (json!({"type": ["string", "integer"]}), "one type"),
            (json!({"type": ["null", 7]}), "one type"),
            (json!({"allOf": []}), "must be a list"),
            (
                json!({"allOf": [{"type": "string"}, {"type": "integer"}]}),
                "differ in 'type'",
            ),
            (
                json!({"anyOf": [{"type": "string"}], "oneOf": [{"minLength": 1}]}),
                "cannot stand together",
            ),
            (json!({"items": [{}]}), "an object is expected"),
            (json!({"enum": [1e17]}), "64 bits"),
        ] {
            let error = converted(&schema).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn references_multiply_a_schema_only_so_far() {
        let mut defs = Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            let two = json!({"properties": {"x": next, "y": next}});
            defs.insert(format!("d{level}"), two);
        }
        defs.insert("d40".into(), json!({"type": "string"}));
        let schema = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(converted(&schema).unwrap_err().contains("too large"));
    }
}
