use std::collections::BTreeMap;

use aigw_core::record::{AttemptRecord, Outcome, Priced, UsageRecord};
use aigw_core::usage::Usage;

use super::*;

const MS: u64 = 1_000_000;

fn attempt(backend: &str) -> AttemptRecord {
    AttemptRecord {
        backend_name: format!("default/{backend}/route/r/rule/0/ref/0"),
        provider: "openai".into(),
        routed_model: "m-1".into(),
        started_ns: MS,
        head_ns: Some(20 * MS),
        first_output_ns: Some(21 * MS),
        last_output_ns: Some(61 * MS),
        status: 200,
        outcome: Outcome::Completed,
        usage: Usage {
            input_tokens: Some(7),
            output_tokens: Some(5),
            cached_input_tokens: Some(0),
            ..Usage::default()
        },
        response_model: Some("m-1-2026".into()),
        ..AttemptRecord::default()
    }
}

fn record(attempts: Vec<AttemptRecord>) -> UsageRecord {
    UsageRecord {
        gateway: "default/g".into(),
        route: "default/r".into(),
        operation: "chat".into(),
        requested_model: "m".into(),
        stream: true,
        status: 200,
        outcome: Outcome::Completed,
        duration_ns: 100 * MS,
        attempts,
        ..UsageRecord::default()
    }
}

/// All numbers by name and attributes, as in the text.
fn numbers(dir: &Path) -> BTreeMap<String, f64> {
    let reading = read(dir).unwrap();
    let text = text(&reading).replace("otel_scope_name=\"envoyproxy/ai-gateway\"", "");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.replace("{,", "{"), value.parse().unwrap())
        })
        .collect()
}

fn sum(numbers: &BTreeMap<String, f64>, name: &str, part: &str) -> f64 {
    let mine = numbers
        .iter()
        .filter(|(key, _)| key.split('{').next() == Some(name) && key.contains(part));
    mine.map(|(_, value)| value).sum()
}

#[test]
fn a_stream_is_seen_by_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::create(dir.path());
    let mut served = attempt("a");
    served.price = Some(Priced {
        pico_usd: 2_500_000,
        ..Priced::default()
    });
    metrics.add(&record(vec![served]));
    let found = numbers(dir.path());
    let labels = "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",\
                  gen_ai_original_model=\"m\",gen_ai_request_model=\"m-1\",\
                  gen_ai_response_model=\"m-1-2026\"";
    let value = |name: &str| found[&format!("{name}{{{labels}}}")];
    assert_eq!(value("gen_ai_server_request_duration_seconds_sum"), 0.06);
    assert_eq!(value("gen_ai_server_time_to_first_token_seconds_sum"), 0.02);
    assert_eq!(
        value("gen_ai_server_time_per_output_token_seconds_sum"),
        0.01
    );
    assert_eq!(value("aigw_cost_usd_total"), 0.000_002_5);
    let usage = "gen_ai_client_token_usage_sum";
    for (kind, tokens) in [("input", 7.0), ("cached_input", 0.0), ("output", 5.0)] {
        let key = format!("{usage}{{{labels},gen_ai_token_type=\"{kind}\"}}");
        assert_eq!(found[&key], tokens, "{kind}");
    }
    assert_eq!(sum(&found, "gen_ai_client_token_usage_count", ""), 3.0);
    let bucket = "gen_ai_server_request_duration_seconds_bucket";
    assert_eq!(found[&format!("{bucket}{{{labels},le=\"0.04\"}}")], 0.0);
    assert_eq!(found[&format!("{bucket}{{{labels},le=\"0.08\"}}")], 1.0);
    assert_eq!(sum(&found, "aigw_router_duration_seconds_sum", ""), 0.001);
}

#[test]
fn every_attempt_counts_and_failures_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::create(dir.path());
    let failed = |backend: &str, status: u16| AttemptRecord {
        status,
        outcome: Outcome::Failed,
        usage: Usage::default(),
        ..attempt(backend)
    };
    metrics.add(&record(vec![
        failed("a", 429),
        failed("a", 500),
        attempt("b"),
    ]));
    let mut left = attempt("b");
    left.outcome = Outcome::Aborted;
    let mut tagged = record(vec![left]);
    tagged.attributes = [("team.id", "a"), ("secret", "b")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    metrics.set_attributes(&Attributes {
        metrics: vec![("x-team".to_owned(), "team.id".to_owned())],
        logs: vec![("x-secret".to_owned(), "secret".to_owned())],
    });
    metrics.add(&tagged);
    let found = numbers(dir.path());
    let duration = "gen_ai_server_request_duration_seconds_count";
    for part in [
        "error_type=\"429\"",
        "error_type=\"500\"",
        "client_disconnected",
    ] {
        assert_eq!(sum(&found, duration, part), 1.0, "{part}");
    }
    assert_eq!(sum(&found, duration, ""), 4.0);
    let time = "gen_ai_server_request_duration_seconds_sum";
    assert_eq!(sum(&found, time, "client_disconnected"), 0.099);
    assert_eq!(sum(&found, time, "team_id=\"a\""), 0.099);
    assert_eq!(sum(&found, time, "secret"), 0.0);
    assert_eq!(
        sum(&found, "gen_ai_client_token_usage_sum", "\"input\""),
        14.0
    );
    assert_eq!(sum(&found, "aigw_retries_total", "default/a"), 1.0);
    assert_eq!(sum(&found, "aigw_failovers_total", "default/b"), 1.0);
    assert_eq!(sum(&found, "aigw_attempts_total", "\"failed\""), 2.0);
    assert_eq!(sum(&found, "aigw_requests_total", "\"200\""), 2.0);
}

#[test]
fn more_models_than_there_is_room_for_share_one_series() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::create(dir.path());
    for index in 0..3_000 {
        let mut one = record(vec![attempt("a")]);
        one.requested_model = format!("m\"\\\n\0{index}");
        metrics.add(&one);
    }
    let found = numbers(dir.path());
    let duration = "gen_ai_server_request_duration_seconds_count";
    let rest = sum(&found, duration, "otel_metric_overflow=\"true\"");
    assert_eq!(sum(&found, duration, ""), 3_000.0);
    assert!(rest > 900.0, "{rest}");
    assert_eq!(sum(&found, "aigw_losses_total", "\"series\""), rest);
}

#[test]
fn models_that_nobody_serves_leave_room_for_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::create(dir.path());
    for index in 0..3_000 {
        let mut one = record(vec![AttemptRecord {
            status: 404,
            outcome: Outcome::Failed,
            usage: Usage::default(),
            ..attempt("a")
        }]);
        one.requested_model = format!("nobody-{index}");
        metrics.add(&one);
    }
    metrics.add(&record(vec![attempt("a")]));
    let found = numbers(dir.path());
    let duration = "gen_ai_server_request_duration_seconds_count";
    assert_eq!(sum(&found, duration, "original_model=\"m\""), 1.0);
    assert!(sum(&found, duration, "otel_metric_overflow=\"true\"") > 1_900.0);
}

#[test]
fn threads_count_together() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::create(dir.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for index in 0..500 {
                    let mut one = record(vec![attempt("a")]);
                    one.requested_model = format!("m{}", index % 50);
                    metrics.began();
                    metrics.add(&one);
                    metrics.ended();
                }
            });
        }
    });
    let found = numbers(dir.path());
    assert_eq!(sum(&found, "aigw_requests_total", ""), 2_000.0);
    assert_eq!(
        sum(&found, "gen_ai_client_token_usage_sum", "\"output\""),
        10_000.0
    );
    assert_eq!(sum(&found, "aigw_requests_in_flight", ""), 0.0);
}

#[test]
fn a_claim_of_all_tokens_there_are_does_not_turn_the_sum_over() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::create(dir.path());
    let mut huge = attempt("a");
    huge.usage.output_tokens = Some(u64::MAX);
    metrics.add(&record(vec![huge.clone(), huge]));
    let found = numbers(dir.path());
    let output = sum(&found, "gen_ai_client_token_usage_sum", "\"output\"");
    assert_eq!(output, 2.0_f64.powi(49));
}

#[test]
fn events_are_counted_and_the_next_process_starts_at_zero() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::create(dir.path());
    for event in [
        Event::InFlightLost,
        Event::CountTimeout,
        Event::ConfigRejected,
        Event::CostError,
    ] {
        metrics.count(event);
    }
    let found = numbers(dir.path());
    assert_eq!(sum(&found, "aigw_losses_total", "\"in_flight\""), 1.0);
    assert_eq!(
        sum(&found, "aigw_wait_timeouts_total", "\"token_count\""),
        1.0
    );
    assert_eq!(
        sum(&found, "aigw_reloads_total", "aigw_result=\"rejected\""),
        1.0
    );
    assert_eq!(sum(&found, "aigw_cost_errors_total", ""), 1.0);
    let _next = Metrics::create(dir.path());
    metrics.count(Event::CostError);
    assert_eq!(sum(&numbers(dir.path()), "aigw_cost_errors_total", ""), 0.0);
}

#[test]
fn what_is_no_metrics_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path()).is_err());
    std::fs::write(dir.path().join("metrics.map"), [1; 100]).unwrap();
    assert!(read(dir.path()).is_err());
}
