//! A pipeline that changes while it runs: all of a change or nothing, and nothing is lost.

use crate::part::{Behavior, Editor, Shelf, Tap, chunk, ending, letters, until, within};
use pipeline_core::{AckLevel, AckStatus, Kind};
use pipeline_host::topology::{Change, ReloadError, Running, Step};
use pipeline_host::{Pipeline, PipelineBuilder, SinkSettings, StartOptions};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;

const LIMIT: Duration = Duration::from_secs(60);

fn settings(more: &serde_json::Value) -> SinkSettings {
    let mut options = json!({
        "batch": {"timeout_secs": 0}, "retry": {"initial_backoff_secs": 0.001, "max_backoff_secs": 0.001},
    });
    options
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    SinkSettings::default().options(options)
}

fn builder(folder: &Path) -> PipelineBuilder {
    Pipeline::builder().data_dir(folder)
}

/// From `tap` to the sink `out`.
fn plain(folder: &Path, tap: &Tap, shelf: &Shelf) -> Pipeline {
    let pipeline = builder(folder).source("tap", tap.clone());
    let pipeline = pipeline.sink("out", &["tap"], shelf.clone(), settings(&json!({})));
    pipeline.build().unwrap()
}

/// `pipeline` with the sinks of `other` that have a name of their own.
fn with_sinks_of(pipeline: &Pipeline, other: &Pipeline) -> Pipeline {
    let mut both = pipeline.clone();
    for sink in &other.sinks {
        if both.sinks.iter().all(|known| known.name != sink.name) {
            both.sinks.push(sink.clone());
        }
    }
    both
}

async fn start(pipeline: &Pipeline) -> Running {
    let started = pipeline.clone().start(StartOptions::default()).await;
    started.unwrap()
}

async fn reload(running: &Running, pipeline: &Pipeline) -> Result<Vec<Change>, ReloadError> {
    let reloader = running.reloader();
    within("the reload", reloader.reload(pipeline.clone())).await
}

async fn reloaded(running: &Running, pipeline: &Pipeline) -> Vec<String> {
    let changes = reload(running, pipeline).await.unwrap();
    changes.iter().map(ToString::to_string).collect()
}

/// Sends an event until the pipeline takes it, and waits until its fate is known.
async fn deliver(tap: &Tap, text: &str) {
    let delivered = async {
        loop {
            let intake = tap.intake().await;
            let offer = intake.offer(chunk(&[text]), AckLevel::Final, LIMIT).await;
            drop(intake);
            if let Ok(mut taken) = offer
                && taken.receipt.settled().await == AckStatus::Safe
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    within("a delivery", delivered).await;
}

#[tokio::test]
async fn sinks_and_sources_and_transforms_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, out) = (Tap::new(Behavior::Lend), Shelf::open());
    let first = plain(folder.path(), &tap, &out);
    let running = start(&first).await;
    deliver(&tap, "one").await;

    let (second_tap, extra) = (Tap::new(Behavior::Lend), Shelf::open());
    let editor = Editor::new(1, true);
    let more = builder(folder.path())
        .source("tap", tap.clone())
        .source("second", second_tap.clone())
        .transform("edit", &["tap"], editor.clone())
        .sink(
            "extra",
            &["second", "edit"],
            extra.clone(),
            settings(&json!({})),
        )
        .build()
        .unwrap();
    let mut second = with_sinks_of(&first, &more);
    second.sources.push(more.sources[1].clone());
    second.transforms.clone_from(&more.transforms);
    assert_eq!(
        reloaded(&running, &second).await,
        [
            "added source second",
            "added transform edit",
            "added sink extra"
        ]
    );
    deliver(&second_tap, "two").await;
    deliver(&tap, "7:three").await;
    assert_eq!(editor.seen.lock().unwrap().len(), 1);
    assert_eq!(extra.delivered().len(), 2, "{:?}", extra.delivered());
    assert_eq!(out.delivered(), ["7:three", "one"]);

    assert_eq!(
        reloaded(&running, &first).await,
        [
            "removed source second",
            "removed transform edit",
            "removed sink extra"
        ]
    );
    deliver(&tap, "four").await;
    assert_eq!(out.delivered(), ["7:three", "four", "one"]);
    assert_eq!(extra.delivered().len(), 2);
    assert_eq!(
        (tap.opened(), out.built()),
        (1, 1),
        "what stays is left alone"
    );
    assert_eq!(reloaded(&running, &first).await, [""; 0]);
    tap.fail();
    let ending = ending(running).await;
    assert!(ending.is_complete(), "{ending:?}");
    let sinks: Vec<_> = ending
        .sinks
        .iter()
        .map(|s| (s.name.as_str(), s.delivered))
        .collect();
    assert_eq!(sinks, [("out", 3), ("extra", 2)]);
}

#[tokio::test]
async fn inputs_that_change_lead_later_events_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, other) = (Tap::new(Behavior::Lend), Tap::new(Behavior::Lend));
    let (out, all) = (Shelf::open(), Shelf::open());
    let first = builder(folder.path())
        .source("tap", tap.clone())
        .source("other", other.clone())
        .sink("out", &["tap"], out.clone(), settings(&json!({})))
        .sink("all", &["other", "tap"], all.clone(), settings(&json!({})))
        .build()
        .unwrap();
    let running = start(&first).await;
    deliver(&tap, "one").await;
    let mut second = first.clone();
    second.sinks[0].inputs = vec!["other".to_owned()];
    assert_eq!(
        reloaded(&running, &second).await,
        ["reloaded sink out: inputs tap → other"]
    );
    deliver(&tap, "two").await;
    deliver(&other, "three").await;
    tap.fail();
    other.fail();
    assert!(ending(running).await.is_complete());
    assert_eq!(out.delivered(), ["one", "three"]);
    assert_eq!(all.delivered(), ["one", "three", "two"]);
}

#[tokio::test]
async fn a_new_source_that_cannot_be_opened_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, out) = (Tap::new(Behavior::Lend), Shelf::open());
    let first = plain(folder.path(), &tap, &out);
    let running = start(&first).await;
    let (broken, extra) = (Tap::new(Behavior::Lend), Shelf::open());
    broken.set_broken(true);
    let more = builder(folder.path())
        .source("broken", broken.clone())
        .sink(
            "extra",
            &["broken"],
            extra.clone(),
            settings(&json!({"buffer": {"type": "disk"}})),
        )
        .build()
        .unwrap();
    let mut second = with_sinks_of(&first, &more);
    second.sources.push(more.sources[0].clone());
    second.sinks[0].inputs = vec!["broken".to_owned()];
    for _ in 0..2 {
        let refused = reload(&running, &second).await.unwrap_err();
        assert_eq!(refused.to_string(), "the tap is broken");
    }
    deliver(&tap, "one").await;
    assert_eq!(out.delivered(), ["one"]);
    broken.set_broken(false);
    assert_eq!(
        reloaded(&running, &second).await,
        [
            "added source broken",
            "reloaded sink out: inputs tap → broken",
            "added sink extra"
        ],
        "the buffer that was made for the first attempts is free again"
    );
    deliver(&broken, "two").await;
    tap.fail();
    broken.fail();
    let ending = ending(running).await;
    assert!(ending.failures.is_empty(), "{ending:?}");
    assert_eq!(out.delivered(), ["one", "two"]);
}

#[tokio::test]
async fn a_changed_source_that_cannot_be_opened_is_the_old_one_again() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, new, out) = (
        Tap::new(Behavior::Lend),
        Tap::new(Behavior::Lend),
        Shelf::open(),
    );
    let first = plain(folder.path(), &tap, &out);
    let running = start(&first).await;
    deliver(&tap, "one").await;
    new.set_broken(true);
    let mut second = plain(folder.path(), &new, &out);
    second.sinks.clone_from(&first.sinks);
    let refused = reload(&running, &second).await.unwrap_err();
    assert_eq!(refused.to_string(), "the tap is broken");
    assert_eq!(tap.opened(), 2);
    deliver(&tap, "two").await;

    new.set_broken(false);
    let changes = reload(&running, &second).await.unwrap();
    assert!(
        matches!(
            &changes[..],
            [Change {
                kind: Kind::Source,
                step: Step::Change { .. },
                ..
            }]
        ),
        "{changes:?}"
    );
    deliver(&new, "three").await;
    new.fail();
    let ending = ending(running).await;
    assert!(ending.is_complete(), "{ending:?}");
    assert_eq!(out.delivered(), ["one", "three", "two"]);
}

#[tokio::test]
async fn a_source_that_was_removed_and_added_again_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, second, out) = (
        Tap::new(Behavior::Lend),
        Tap::new(Behavior::Lend),
        Shelf::open(),
    );
    let both = builder(folder.path())
        .source("tap", tap.clone())
        .source("second", second.clone())
        .sink("out", &["tap", "second"], out.clone(), settings(&json!({})))
        .build()
        .unwrap();
    let mut one = both.clone();
    one.sources.remove(1);
    one.sinks[0].inputs = vec!["tap".to_owned()];
    let running = start(&both).await;
    for _ in 0..3 {
        reload(&running, &one).await.unwrap();
        reload(&running, &both).await.unwrap();
    }
    deliver(&second, "one").await;
    let third = Tap::new(Behavior::Lend);
    let mut changed = both.clone();
    changed.sources[1] = builder(folder.path())
        .source("second", third.clone())
        .sink("out", &["second"], out.clone(), settings(&json!({})))
        .build()
        .unwrap()
        .sources
        .remove(0);
    reload(&running, &changed).await.unwrap();
    deliver(&third, "two").await;
    // The one that was changed no longer runs: nothing else would let the pipeline end.
    tap.fail();
    third.fail();
    let ending = ending(running).await;
    assert!(ending.is_complete(), "{ending:?}");
    assert_eq!(out.delivered(), ["one", "two"]);
    assert_eq!((second.opened(), third.opened()), (4, 1));
}

#[tokio::test]
async fn a_change_that_is_undone_does_not_run_a_source_again_that_had_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (done, tap, new, out) = (
        Tap::new(Behavior::Lend),
        Tap::new(Behavior::Lend),
        Tap::new(Behavior::Lend),
        Shelf::open(),
    );
    let pipeline = |done: &Tap| {
        builder(folder.path())
            .source("done", done.clone())
            .source("tap", tap.clone())
            .sink("out", &["done", "tap"], out.clone(), settings(&json!({})))
            .build()
            .unwrap()
    };
    let first = pipeline(&done);
    let running = start(&first).await;
    deliver(&done, "one").await;
    done.fail();
    deliver(&tap, "two").await;
    new.set_broken(true);
    let mut second = first.clone();
    second.sources[0] = pipeline(&new).sources.remove(0);
    // Its end may not have been noticed yet: then it is opened again, and ends at once.
    reload(&running, &second).await.unwrap_err();
    reload(&running, &second).await.unwrap_err();
    let opened = done.opened();
    reload(&running, &second).await.unwrap_err();
    assert_eq!(done.opened(), opened);
    tap.fail();
    assert!(ending(running).await.is_complete());
}

#[tokio::test]
async fn a_removed_sink_delivers_what_it_holds_and_its_name_is_free_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, out, slow) = (Tap::new(Behavior::Lend), Shelf::open(), Shelf::closed());
    let first = plain(folder.path(), &tap, &out);
    let more = builder(folder.path())
        .source("tap", tap.clone())
        .sink("slow", &["tap"], slow.clone(), settings(&json!({})))
        .build()
        .unwrap();
    let both = with_sinks_of(&first, &more);
    let running = start(&both).await;
    let intake = tap.intake().await;
    let mut held = intake.send(chunk(&["one"]), Some(AckLevel::Final)).await;
    slow.begun(1).await;
    assert_eq!(reloaded(&running, &first).await, ["removed sink slow"]);
    let refused = reload(&running, &both).await.unwrap_err();
    assert!(matches!(&refused, ReloadError::StillDraining(name) if name == "slow"));
    assert_eq!(
        refused.to_string(),
        "sink `slow` was removed a moment ago and still delivers what it holds; try again later"
    );
    slow.set_open(true);
    assert_eq!(
        within("the delivery", held.settled()).await,
        AckStatus::Safe
    );
    let added = async {
        while reload(&running, &both).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("its return", added).await;
    drop(intake);
    deliver(&tap, "two").await;
    tap.fail();
    let ending = ending(running).await;
    assert!(ending.is_complete(), "{ending:?}");
    assert_eq!(
        (out.delivered(), slow.delivered()),
        (
            vec!["one".into(), "two".into()],
            vec!["one".into(), "two".into()]
        )
    );
}

#[tokio::test]
async fn a_source_and_its_sink_that_are_removed_together_let_the_sink_end() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, out) = (Tap::new(Behavior::Lend), Shelf::open());
    let first = plain(folder.path(), &tap, &out);
    let (gone, extra) = (Tap::new(Behavior::Lend), Shelf::open());
    let more = builder(folder.path())
        .shutdown_limit(Duration::from_secs(3_600))
        .source("gone", gone.clone())
        .sink("extra", &["gone"], extra.clone(), settings(&json!({})))
        .build()
        .unwrap();
    let mut both = with_sinks_of(&first, &more);
    both.sources.push(more.sources[0].clone());
    let running = start(&both).await;
    deliver(&gone, "one").await;
    reload(&running, &first).await.unwrap();
    let added = async {
        while reload(&running, &both).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("its return", added).await;
    deliver(&gone, "two").await;
    gone.fail();
    tap.fail();
    assert!(ending(running).await.is_complete());
    assert_eq!(extra.delivered(), ["one", "two"]);
}

#[tokio::test]
async fn a_removed_sink_keeps_on_disk_what_it_has_not_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, out, slow) = (Tap::new(Behavior::Lend), Shelf::open(), Shelf::closed());
    let first = plain(folder.path(), &tap, &out);
    let disk = settings(
        &json!({"buffer": {"type": "disk"}, "batch": {"max_events": 1, "timeout_secs": 0}, "request": {"concurrency": 1}}),
    );
    let more = builder(folder.path())
        .source("tap", tap.clone())
        .sink("slow", &["tap"], slow.clone(), disk)
        .build()
        .unwrap();
    let both = with_sinks_of(&first, &more);
    let running = start(&both).await;
    let intake = tap.intake().await;
    let mut stored = intake
        .send(chunk(&["a", "b", "c"]), Some(AckLevel::Stored))
        .await;
    assert_eq!(within("the disk", stored.settled()).await, AckStatus::Safe);
    drop(intake);
    slow.begun(1).await;
    reload(&running, &first).await.unwrap();
    slow.set_open(true);
    deliver(&tap, "d").await;
    // What was on its way may still be delivered; the rest waits for the sink to come back.
    let added = async {
        while reload(&running, &both).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("its return", added).await;
    until("the rest", || slow.delivered().len() == 3).await;
    tap.fail();
    let ending = ending(running).await;
    assert!(ending.failures.is_empty(), "{ending:?}");
    assert_eq!(slow.delivered(), ["a", "b", "c"]);
    assert!(letters(folder.path(), "slow").is_empty());
}

#[tokio::test]
async fn what_stored_events_depend_on_cannot_change_and_the_way_to_do_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, out) = (Tap::new(Behavior::Lend), Shelf::open());
    let pipeline = |options| {
        let pipeline = builder(folder.path()).source("tap", tap.clone());
        let pipeline = pipeline.sink("out", &["tap"], out.clone(), settings(&options));
        pipeline.build().unwrap()
    };
    let first = pipeline(json!({}));
    let running = start(&first).await;
    for (options, key) in [
        (json!({"buffer": {"type": "disk"}}), "buffer.type"),
        (
            json!({"dead_letters": {"max_bytes": 1_000_000}}),
            "dead_letters.max_bytes",
        ),
    ] {
        let mut second = pipeline(options);
        second.sources.clone_from(&first.sources);
        let refused = reload(&running, &second).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "`sinks.out.{key}` cannot change while sink `out` runs, because of the events that it stores; restart the pipeline \
                 once they are delivered, or add a sink of another name and remove this one"
            )
        );
    }
    for (change, part) in [
        (builder(&folder.path().join("elsewhere")), "data_dir"),
        (
            builder(folder.path()).shutdown_limit(Duration::from_secs(1)),
            "shutdown",
        ),
    ] {
        let other = change
            .source("tap", tap.clone())
            .sink("out", &["tap"], out.clone(), settings(&json!({})))
            .build()
            .unwrap();
        let refused = reload(&running, &other).await.unwrap_err().to_string();
        let expected = format!("`{part}` cannot change while the pipeline runs; restart it");
        assert_eq!(refused, expected);
    }
    deliver(&tap, "one").await;
    tap.fail();
    assert!(ending(running).await.is_complete());
    assert_eq!(out.delivered(), ["one"]);
}

#[tokio::test]
async fn a_pipeline_that_has_ended_cannot_change() {
    let folder = tempfile::tempdir().unwrap();
    let (tap, out) = (Tap::new(Behavior::Lend), Shelf::open());
    let first = plain(folder.path(), &tap, &out);
    let running = start(&first).await;
    let reloader = running.reloader();
    tap.fail();
    ending(running).await;
    let refused = within("the answer", reloader.reload(first)).await;
    assert!(matches!(refused, Err(ReloadError::Ending)), "{refused:?}");
}

/// Offers one event after the other until it is told to stop; those that were answered as safe.
async fn offer_until(stopped: watch::Receiver<bool>, tap: Tap, sender: u32) -> Vec<String> {
    let mut answered = Vec::new();
    for number in 0.. {
        if *stopped.borrow() {
            break;
        }
        let text = format!("{sender}-{number}");
        let intake = tap.intake().await;
        let offer = intake.offer(chunk(&[&text]), AckLevel::Buffered, LIMIT);
        if let Ok(mut taken) = offer.await
            && taken.receipt.settled().await == AckStatus::Safe
        {
            answered.push(text);
        }
        tokio::task::yield_now().await;
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_random_changes_lose_nothing_of_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(20);
    let tap = Tap::new(Behavior::Lend);
    let shelves: Vec<Shelf> = (0..3).map(|_| Shelf::open()).collect();
    // `always` reads the source whatever changes; the others, and a transform that keeps all events, come and go.
    let pipeline = |random: &mut fastrand::Rng| {
        let mut pipeline = builder(folder.path()).source("tap", tap.clone());
        let has_transform = random.bool();
        if has_transform {
            pipeline = pipeline.transform("pass", &["tap"], crate::part::Fragile);
        }
        let input = if has_transform && random.bool() {
            "pass"
        } else {
            "tap"
        };
        pipeline = pipeline.sink("always", &[input], shelves[0].clone(), settings(&json!({})));
        for (name, shelf) in ["memory", "disk"].into_iter().zip(&shelves[1..]) {
            if random.bool() {
                let options = json!({"buffer": {"type": name}});
                pipeline = pipeline.sink(name, &["tap"], shelf.clone(), settings(&options));
            }
        }
        pipeline.build().unwrap()
    };
    let first = pipeline(&mut random);
    let running = start(&first).await;
    let (stop, stopped) = watch::channel(false);
    let senders: Vec<_> = (0..4)
        .map(|sender| tokio::spawn(offer_until(stopped.clone(), tap.clone(), sender)))
        .collect();
    let mut made = 0;
    let changes = async {
        while made < 100 {
            let mut next = pipeline(&mut random);
            // Half of the changes replace the source, too.
            if random.bool() {
                next.sources.clone_from(&first.sources);
            }
            match reload(&running, &next).await {
                Ok(_) => made += 1,
                Err(ReloadError::StillDraining(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    within("a hundred changes", changes).await;
    stop.send_replace(true);
    let mut answered = Vec::new();
    for sender in senders {
        answered.extend(within("the end of a sender", sender).await.unwrap());
    }
    tap.fail();
    let ending = ending(running).await;
    assert!(ending.failures.is_empty(), "{:?}", ending.failures);
    answered.sort();
    let delivered = shelves[0].delivered();
    let lost: Vec<_> = answered
        .iter()
        .filter(|text| delivered.binary_search(text).is_err())
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(answered.len() > 100, "{}", answered.len());
    for sink in &ending.sinks {
        assert_eq!(sink.held, sink.kept, "{}", sink.name);
    }
}
