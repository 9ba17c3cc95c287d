//! The pipeline that a program makes without a file: every problem of it at once.

use crate::part::{Behavior, Editor, Shelf, Tap};
use pipeline_core::{
    BatchLimits, BuildError, Resource, Source, SourceConfig, SourceContext, async_trait,
};
use pipeline_host::{InvalidPipeline, Pipeline, SinkSettings};
use serde_json::json;

fn tap() -> Tap {
    Tap::new(Behavior::Lend)
}

fn problems(pipeline: Result<Pipeline, InvalidPipeline>) -> Vec<String> {
    let problems = pipeline.unwrap_err().problems;
    problems.iter().map(ToString::to_string).collect()
}

fn settings(options: serde_json::Value) -> SinkSettings {
    SinkSettings::default().options(options)
}

#[test]
fn a_pipeline_without_sources_or_sinks_is_refused() {
    let found = problems(Pipeline::builder().build());
    assert_eq!(
        found,
        [
            "sources: is empty; expected at least one source",
            "sinks: is empty; expected at least one sink"
        ]
    );
}

#[test]
fn every_name_is_taken_once_and_sources_share_theirs_with_transforms() {
    let found = problems(
        Pipeline::builder()
            .source("a", tap())
            .source("a", tap())
            .transform("a", &["a"], Editor::new(1, true))
            .transform("t", &["a"], Editor::new(1, true))
            .transform("t", &["a"], Editor::new(1, true))
            .source("t", tap())
            .sink("a", &["a", "t"], Shelf::open(), SinkSettings::default())
            .sink("a", &["t"], Shelf::open(), SinkSettings::default())
            .build(),
    );
    let twice = |place| format!("{place}: is there twice; expected a name of its own");
    let places = [
        "sources.a",
        "transforms.a",
        "transforms.t",
        "sources.t",
        "sinks.a",
    ];
    assert_eq!(found, places.map(twice));
}

#[test]
fn inputs_name_what_was_added_before_and_each_once() {
    let found = problems(
        Pipeline::builder()
            .source("events", tap())
            .transform("first", &["second"], Editor::new(1, true))
            .transform("second", &["event"], Editor::new(1, true))
            .sink("none", &[], Shelf::open(), SinkSettings::default())
            .sink(
                "twice",
                &["events", "events"],
                Shelf::open(),
                SinkSettings::default(),
            )
            .build(),
    );
    assert_eq!(
        found,
        [
            "transforms.first.inputs[0]: names no source and no transform; expected one of `events`",
            "transforms.second.inputs[0]: names no source and no transform; did you mean `events`?; expected one of `events`, `first`",
            "sinks.none.inputs: is empty; expected the name of a source or transform",
            "sinks.twice.inputs[1]: is there twice; expected each input once",
        ]
    );
}

#[test]
fn options_of_the_host_are_checked_as_those_of_a_file() {
    let sink = |options| {
        let settings = settings(options).batch_limits(BatchLimits::new(50, 1_000));
        let pipeline = Pipeline::builder().source("a", tap());
        pipeline.sink("out", &["a"], Shelf::open(), settings)
    };
    assert!(sink(json!({})).build().is_ok());
    let found =
        problems(sink(json!({"batch": {"max_events": 51}, "buffer": {"max_events": 10}})).build());
    assert_eq!(
        found,
        [
            "sinks.out.batch.max_events: is too large; expected at most 50, which is what the destination takes",
            "sinks.out.buffer.max_events: is too small; expected at least one batch: 51 events",
        ]
    );
    let found =
        problems(sink(json!({"bufer": {"type": "disk"}, "retry": {"max_attempts": "x"}})).build());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().any(|it| it.contains("did you mean `buffer`?")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|it| it.starts_with("sinks.out.retry.max_attempts")),
        "{found:?}"
    );
    let found = problems(
        Pipeline::builder()
            .source("a", tap())
            .sink("a/b", &["a"], Shelf::open(), SinkSettings::default())
            .build(),
    );
    assert!(found[0].contains("is not a name for a sink"), "{found:?}");
}

#[test]
fn a_sink_whose_destination_names_no_limits_needs_no_options_with_either_buffer() {
    for buffer in ["memory", "disk"] {
        let settings = settings(json!({"buffer": {"type": buffer}}));
        let pipeline = Pipeline::builder()
            .source("a", tap())
            .sink("out", &["a"], Shelf::open(), settings)
            .build();
        assert!(pipeline.is_ok(), "{pipeline:?}");
    }
}

/// Reads standard input.
#[derive(Debug)]
struct Piped;

#[async_trait]
impl SourceConfig for Piped {
    async fn open(&self, _: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        Err(BuildError::new("it is never opened here"))
    }

    fn resources(&self) -> Vec<Resource> {
        vec![Resource::Stdin]
    }
}

#[test]
fn two_sources_that_need_the_same_for_themselves_are_refused() {
    let found = problems(
        Pipeline::builder()
            .source("a", Piped)
            .source("b", Piped)
            .sink("out", &["a", "b"], Shelf::open(), SinkSettings::default())
            .build(),
    );
    let expected = "sources.b: reads standard input, as `sources.a` does; expected one source that reads standard input";
    assert_eq!(found, [expected]);
}

#[test]
fn an_invalid_pipeline_reads_as_one_line() {
    let error = Pipeline::builder().build().unwrap_err().to_string();
    assert!(error.contains("at least one source; sinks"), "{error}");
}
