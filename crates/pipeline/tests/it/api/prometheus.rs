//! What Prometheus itself says of the metrics and of the alert rules: its `promtool` reads both.

use super::*;
use crate::tally::{fed, is_installed};
use std::path::Path;
use std::process::Command;

const NEEDED_BY: &str = "the tests of the metrics";

/// Runs `promtool check` with this standard input; panics with what it said, where it found something.
fn check(arguments: &[&str], input: &str) {
    let output = fed(Command::new("promtool").arg("check").args(arguments), input);
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success(), "{told}");
}

#[tokio::test]
async fn prometheus_reads_the_metrics_and_finds_nothing_to_object_to() {
    if !is_installed("promtool", NEEDED_BY) {
        return;
    }
    let running = Running::start(Bench::new().await).await;
    check(&["metrics"], &running.text("/metrics").await);
    send(&running.events, &json!(mixed())).await;
    running.until("/api/v1/status", is_settled).await;
    let text = running.text("/metrics").await;
    assert!(text.contains("_bucket{"), "there are histograms: {text}");
    check(&["metrics"], &text);
}

#[test]
fn prometheus_reads_the_alert_rules() {
    if !is_installed("promtool", NEEDED_BY) {
        return;
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/alerts.yml");
    check(&["rules", &rules.display().to_string()], "");
}
