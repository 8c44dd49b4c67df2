//! Prometheus text, version 0.0.4.

use std::borrow::Cow;
use std::fmt::Write;

use super::catalogue::{Kind, Metric};
use super::read::{Family, Point, Reading};

const SCOPE: &str = "otel_scope_name=\"envoyproxy/ai-gateway\"";

/// The text for a reading.
pub fn text(reading: &Reading) -> String {
    let mut out = String::new();
    for family in &reading.families {
        write_family(&mut out, family);
    }
    out
}

fn write_family(out: &mut String, family: &Family) {
    let metric = family.metric;
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    let name = metric.prometheus;
    let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help);
    for point in &family.points {
        write_point(out, metric, point);
    }
}

fn write_point(out: &mut String, metric: &Metric, point: &Point) {
    let (name, value) = (metric.prometheus, point.value);
    let labels = write_labels(&point.labels);
    let Kind::Histogram(bounds) = metric.kind else {
        let _ = writeln!(out, "{name}{{{labels}}} {value}");
        return;
    };
    let mut count: u64 = 0;
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    for (bound, more) in bounds.zip(&point.counts) {
        count += more;
        let _ = write!(out, "{name}_bucket{{{labels},le=\"");
        let _ = if bound.is_finite() {
            write!(out, "{bound}")
        } else {
            write!(out, "+Inf")
        };
        let _ = writeln!(out, "\"}} {count}");
    }
    let _ = writeln!(
        out,
        "{name}_sum{{{labels}}} {value}\n{name}_count{{{labels}}} {count}"
    );
}

fn write_labels(labels: &[(String, String)]) -> String {
    let mut found: Vec<(String, Cow<'_, str>)> = Vec::with_capacity(labels.len());
    for (name, value) in labels {
        // An empty label is no label.
        if value.is_empty() {
            continue;
        }
        let name = label_name(name);
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = Cow::Owned(format!("{known};{value}")),
            None => found.push((name, Cow::Borrowed(value))),
        }
    }
    let mut out = String::from(SCOPE);
    for (name, value) in found {
        let _ = write!(out, ",{name}=\"");
        for character in value.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                other => out.push(other),
            }
        }
        out.push('"');
    }
    out
}

fn label_name(name: &str) -> String {
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => character,
        _ => '_',
    };
    let name: String = name.chars().map(plain).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}
