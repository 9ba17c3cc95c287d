//! What several sinks say about cookies for one browser.

use crate::part::{Behavior, Tap, ending};
use pipeline_core::{
    BuildError, Cookie, Encoded, Event, HealthcheckError, Outcome, Record, Sink, SinkConfig,
    SinkContext, async_trait,
};
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use std::time::Duration;

/// A sink that has cookies.
#[derive(Debug, Clone, Copy)]
enum Keeper {
    /// Its value is this one, unless the event says no.
    Of(&'static str, &'static str),
    /// It has none.
    Without,
    /// It fails on this text.
    FailsOn(&'static str),
}

#[async_trait]
impl SinkConfig for Keeper {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        Ok(Box::new(*self))
    }
}

#[async_trait]
impl Sink for Keeper {
    fn encode(&self, _: &Event) -> Encoded {
        Encoded::Record(Record::new("{}", ""))
    }

    fn cookies(&self, event: &Event) -> Option<Vec<Cookie>> {
        let text = String::from_utf8_lossy(event.raw());
        match self {
            Self::Of(..) if text.contains("no") => Some(Vec::new()),
            Self::Of(name, value) => Some(vec![Cookie::new(name, "id", *value, Duration::ZERO)]),
            Self::FailsOn(word) if text.contains(word) => panic!("this sink fails on this event"),
            Self::FailsOn(_) | Self::Without => None,
        }
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        batch.iter().map(|_| Outcome::Delivered).collect()
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

/// Which cookies the sinks would keep for an event of this text, with their values.
async fn kept(sinks: &[Keeper], text: &'static str) -> Vec<(&'static str, String)> {
    let folder = tempfile::tempdir().unwrap();
    let tap = Tap::new(Behavior::Lend);
    let names = ["first", "second", "third"];
    let mut pipeline = Pipeline::builder()
        .data_dir(folder.path())
        .source("tap", tap.clone());
    for (name, sink) in names.into_iter().zip(sinks) {
        pipeline = pipeline.sink(name, &["tap"], *sink, SinkSettings::default());
    }
    let running = pipeline.build().unwrap();
    let running = running.start(StartOptions::default()).await.unwrap();
    let intake = tap.intake().await;
    let cookies = intake.cookies(&Event::new(text, 0));
    drop(intake);
    running.stop_handle().quit();
    ending(running).await;
    cookies
        .into_iter()
        .map(|cookie| (cookie.name, cookie.value))
        .collect()
}

#[tokio::test]
async fn a_browser_keeps_what_sinks_agree_on_and_nothing_where_one_of_them_refuses() {
    let one = Keeper::Of("_one", "1");
    let again = Keeper::Of("_one", "2");
    let other = Keeper::Of("_other", "3");
    let (of_one, of_other) = (("_one", "1".to_owned()), ("_other", "3".to_owned()));
    for (sinks, text, expected) in [
        (&[one][..], "yes", vec![&of_one]),
        (&[one], "no", vec![]),
        (&[Keeper::Without], "yes", vec![]),
        (&[Keeper::Without, one], "yes", vec![&of_one]),
        (&[one, again, other], "yes", vec![&of_one, &of_other]),
        (&[one, Keeper::Without, other], "no", vec![]),
        (&[one, Keeper::FailsOn("yes")], "yes", vec![]),
        (&[one, Keeper::FailsOn("else")], "yes", vec![&of_one]),
    ] {
        let kept = kept(sinks, text).await;
        assert_eq!(
            kept.iter().collect::<Vec<_>>(),
            expected,
            "{sinks:?} {text}"
        );
    }
}
