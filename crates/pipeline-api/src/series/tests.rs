//! The series against a list of everything, and files that cannot be used.

use super::*;
use pipeline_host::status::DURATION_BUCKETS;
use proptest::prelude::*;

/// A time from which the tests count.
const START_MS: i64 = 1_800_000_000_000;
const SINKS: [&str; 2] = ["meta", "other"];
const CODES: [&str; 3] = ["consent", "unmapped", "too_old"];

/// What a sink did between two looks.
#[derive(Debug, Clone)]
struct Did {
    delivered: u64,
    retried: u64,
    code: usize,
    events: u64,
    bucket: usize,
}

impl Did {
    fn counts(&self) -> Counts {
        let mut counts = Counts {
            delivered: self.delivered,
            retried: self.retried,
            ..Counts::default()
        };
        if self.events > 0 {
            let reason = (CODES[self.code].into(), self.events);
            counts.filtered.extend([reason.clone()]);
            counts.rejected.extend([reason]);
        }
        counts.durations.buckets[self.bucket] = self.delivered;
        counts.durations.sum_micros = self.delivered * 7;
        counts
    }
}

fn did() -> impl Strategy<Value = Did> {
    let counts = (0_u64..1_000, 0_u64..3, 0_usize..3, 0_u64..4);
    (counts, 0..DURATION_BUCKETS).prop_map(|((delivered, retried, code, events), bucket)| Did {
        delivered,
        retried,
        code,
        events,
        bucket,
    })
}

/// What happens: time passes, each sink does something, and somebody looks.
#[derive(Debug, Clone)]
enum Step {
    Look(i64, [Did; 2]),
    /// The process ends and another one starts.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let passes = prop_oneof![
        8 => 0_i64..25_000,
        2 => 0_i64..2_000_000,
        1 => 0_i64..100_000_000,
        1 => -50_000_i64..0,
    ];
    let look = (passes, [did(), did()]).prop_map(|(ms, did)| Step::Look(ms, did));
    prop::collection::vec(prop_oneof![9 => look, 1 => Just(Step::Restart)], 1..40)
}

/// Everything that was ever done, with its time; nothing is added up and nothing forgotten.
#[derive(Debug, Default)]
struct Everything {
    of_run: Vec<(i64, &'static str, Counts)>,
    before: Vec<(i64, &'static str, Counts)>,
}

fn sum<'a>(
    all: impl Iterator<Item = &'a (i64, &'static str, Counts)>,
    sink: Option<&str>,
    step_ms: i64,
    most: i64,
) -> Steps {
    let mut steps = Steps::new();
    for (at, name, counts) in all {
        if sink.is_none_or(|sink| sink == *name) {
            let step = at.div_euclid(step_ms);
            steps.entry(step).or_default().add(counts);
        }
    }
    let newest = steps.keys().max().copied().unwrap_or(0);
    steps.retain(|step, _| *step > newest - most);
    steps
}

fn check(steps: Vec<Step>, folder: Option<&Path>) -> Result<(), TestCaseError> {
    let (mut series, mut everything) = (Series::default(), Everything::default());
    series.open(folder);
    let (mut now_ms, mut looked) = (START_MS, None);
    let mut totals: BTreeMap<String, Counts> = BTreeMap::new();
    let last = steps.len() - 1;
    for (number, step) in steps.into_iter().enumerate() {
        let is_checked = number % 6 == 0 || number == last;
        match step {
            Step::Look(passed, did) => {
                now_ms = (now_ms + passed).max(looked.unwrap_or(now_ms));
                let middle = looked.map_or(now_ms, |looked: i64| looked + (now_ms - looked) / 2);
                looked = Some(now_ms);
                for (sink, did) in SINKS.into_iter().zip(did) {
                    let counts = did.counts();
                    totals.entry(sink.to_owned()).or_default().add(&counts);
                    everything.of_run.push((middle, sink, counts));
                }
                series.history().look(now_ms, totals.clone());
                series.write(false);
            }
            Step::Restart => {
                series.write(true);
                drop(series);
                series = Series::default();
                series.open(folder);
                totals.clear();
                let ended = std::mem::take(&mut everything.of_run);
                if folder.is_some() {
                    everything.before.extend(ended);
                }
                looked = None;
            }
        }
        // Not after each step: the list of everything is added up anew each time.
        if !is_checked {
            continue;
        }
        for sink in [None, Some("meta"), Some("other")] {
            let hour = sum(everything.of_run.iter(), sink, STEP_MS, MAX_STEPS);
            prop_assert_eq!(series.hour(sink), hour);
            let all = everything.before.iter().chain(&everything.of_run);
            let day = sum(all, sink, MINUTE_MS, MAX_MINUTES);
            prop_assert_eq!(series.day(sink), (day, None));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_series_are_those_of_a_list_that_keeps_everything(steps in steps()) {
        check(steps, None)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn the_day_outlives_restarts(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        check(steps, Some(folder.path()))?;
    }
}

fn delivered(events: u64) -> BTreeMap<String, Counts> {
    let counts = Counts {
        delivered: events,
        ..Counts::default()
    };
    BTreeMap::from([("meta".to_owned(), counts)])
}

fn total(steps: &Steps) -> u64 {
    steps.values().map(|counts| counts.delivered).sum()
}

#[test]
fn a_machine_that_slept_for_hours_loses_nothing_of_the_day() {
    let series = Series::default();
    series.open(None);
    for (secs, events) in [(0, 0), (30, 5), (5 * 3_600, 9), (5 * 3_600 + 70, 12)] {
        series
            .history()
            .look(START_MS + secs * 1_000, delivered(events));
        series.write(false);
    }
    assert_eq!(total(&series.day(None).0), 12);
}

/// Counts events below this folder over two minutes.
fn run(folder: &Path) -> Series {
    let series = Series::default();
    series.open(Some(folder));
    for minute in 0..3 {
        let now = START_MS + minute * MINUTE_MS;
        series
            .history()
            .look(now, delivered(minute.unsigned_abs() * 5));
        series.write(false);
    }
    series
}

#[test]
fn a_damaged_file_costs_the_earlier_part_of_the_day_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("console.sqlite");
    for damage in ["cut", "text", "middle"] {
        let _ = std::fs::remove_file(&file);
        drop(run(folder.path()));
        let mut bytes = std::fs::read(&file).unwrap();
        match damage {
            "cut" => bytes.truncate(bytes.len() / 2),
            "text" => bytes = b"not a database at all, not a database at all".repeat(100),
            _ => {
                let half = bytes.len() / 2;
                bytes[half..].fill(0xff);
            }
        }
        std::fs::write(&file, &bytes).unwrap();
        let series = run(folder.path());
        let (day, problem) = series.day(None);
        assert_eq!(total(&day), 10, "{damage}");
        assert!(problem.unwrap().contains("console.sqlite"), "{damage}");
        assert_eq!(total(&series.hour(None)), 10);
        // It is left as it is, for who wants to look.
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{damage}");
    }
}

#[test]
fn a_file_that_another_process_has_is_not_shared_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path());
    let second = run(folder.path());
    assert_eq!(first.day(None).1, None);
    let (day, problem) = second.day(None);
    assert_eq!((total(&day), problem.is_some()), (10, true));
    drop((first, second));
    let third = run(folder.path());
    // Its clock was set back by two minutes: what was written ahead of it is forgotten.
    assert_eq!(total(&third.day(None).0), 20 - 5);
}

#[test]
fn a_folder_that_cannot_be_written_and_a_table_of_a_later_version_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("console.sqlite");
    std::fs::create_dir(&file).unwrap();
    assert!(run(folder.path()).day(None).1.is_some());
    std::fs::remove_dir(&file).unwrap();
    drop(run(folder.path()));
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let (day, problem) = run(folder.path()).day(None);
    assert_eq!((total(&day), problem.is_some()), (10, true));
}

#[test]
fn sinks_beyond_the_bound_are_not_counted_and_old_ones_make_room_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    for generation in 0..2 {
        let series = Series::default();
        series.open(Some(folder.path()));
        for sink in 0..2 * MAX_SINKS {
            let name = format!("sink {generation} {sink:03}");
            let totals = BTreeMap::from([(name, Counts::default())]);
            let now = START_MS + i64::try_from(generation * 1_000 + sink).unwrap() * MINUTE_MS;
            series.history().look(now, totals);
            series.write(false);
        }
    }
    let connection = rusqlite::Connection::open(folder.path().join("console.sqlite")).unwrap();
    let count = "SELECT count(DISTINCT sink) FROM minutes";
    let sinks: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(sinks, i64::try_from(MAX_SINKS).unwrap());
}
