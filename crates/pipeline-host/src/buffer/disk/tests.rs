//! The disk buffer against a simple model, crashes included, and at its limits.

use super::store::{Change, PAGE_BYTES, Row, behind_whole_pages};
use super::*;
use crate::ack::Ack;
use crate::batch::RecordMeta;
use crate::stop::StopHandle;
use pipeline_core::{AckLevel, AckStatus, Origin, Receipt, Record};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle as Task;

const MEBIBYTE: u64 = 1024 * 1024;
/// Records of a batch that is neither a chunk nor a part of one.
const SMALL_BATCH: usize = 7;
/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open buffer with its feeder.
struct Rig {
    buffer: Arc<DiskBuffer>,
    stop: StopHandle,
    feeder: Task<()>,
    damaged: Arc<AtomicU64>,
    has_panicked: Arc<AtomicBool>,
}

impl Rig {
    fn open(folder: &Path) -> Self {
        Self::try_open(folder, MIN_DISK_BYTES, SMALL_BATCH).unwrap()
    }

    fn try_open(folder: &Path, max_bytes: u64, max_events: usize) -> Result<Self, DiskBufferError> {
        let has_panicked = Arc::new(AtomicBool::new(false));
        let buffer = Arc::new(DiskBuffer::open(DiskOptions {
            name: "meta".to_owned(),
            folder: folder.to_owned(),
            max_bytes,
            sync: Sync::Relaxed,
            batch: BatchLimit {
                max_events,
                max_bytes: 1024 * 1024,
                timeout: Duration::ZERO,
            },
            writer_panicked: {
                let has_panicked = Arc::clone(&has_panicked);
                Box::new(move || has_panicked.store(true, Ordering::SeqCst))
            },
        })?);
        buffer.add_input();
        let (stop, signal) = StopHandle::new(Duration::ZERO);
        let damaged = Arc::new(AtomicU64::new(0));
        let feeder = tokio::spawn({
            let (buffer, damaged) = (Arc::clone(&buffer), Arc::clone(&damaged));
            async move {
                let count = |events| {
                    damaged.fetch_add(events, Ordering::Relaxed);
                };
                buffer.feed(signal, count, |_| {}).await;
            }
        });
        Ok(Self {
            buffer,
            stop,
            feeder,
            damaged,
            has_panicked,
        })
    }

    /// Puts records in and waits until they are on disk.
    async fn push(&self, ids: &[String], bytes: usize) {
        let (ack, receipt) = Ack::until(AckLevel::Stored);
        let records = ids
            .iter()
            .map(|id| queued(id, bytes, ack.clone()))
            .collect();
        let mut records: VecDeque<_> = records;
        self.buffer.push(&mut records).await;
        assert!(records.is_empty());
        ack.done();
        assert_eq!(safe(receipt).await, AckStatus::Safe);
    }

    async fn next(&self) -> Vec<Queued> {
        let batch = self.buffer.queue().next_batch();
        let batch = tokio::time::timeout(PATIENCE, batch).await;
        let batch = batch.unwrap_or_else(|_| panic!("nothing comes: {:?}", self.buffer.shared));
        batch.unwrap().into_queued().collect()
    }

    /// What a delivery does to the records that went through.
    fn finish(&self, records: &[Queued]) {
        let slots: Vec<_> = records
            .iter()
            .filter_map(|queued| queued.meta.slot)
            .collect();
        self.buffer.finish(&slots);
        let bytes = records
            .iter()
            .map(|queued| queued.record.size_bytes())
            .sum();
        self.buffer.queue().finish(records.len(), bytes);
    }

    /// What a delivery does to the records that are to be tried again.
    fn put_back(&self, mut records: Vec<Queued>) {
        for queued in &mut records {
            queued.meta.attempts += 1;
        }
        let tried = |queued: &Queued| Some((queued.meta.slot?, queued.meta.attempts));
        self.buffer.tried(records.iter().filter_map(tried));
        self.buffer.queue().put_back(records.into_iter());
    }

    /// Waits until everything that was asked of the writer is done: files that change while they are copied are no picture
    /// of any moment.
    async fn rest(&self) {
        for _ in 0..2 {
            self.buffer.read_after(u64::MAX >> 1).await;
        }
    }

    async fn close(self) {
        self.stop.quit();
        self.feeder.await.unwrap();
        assert!(self.buffer.close().is_empty());
    }

    /// Everything that is left, with its attempts, taken out.
    async fn drain(self) -> BTreeMap<String, u32> {
        self.buffer.end_input();
        let mut left = BTreeMap::new();
        while let Some(batch) = self.buffer.queue().next_batch().await {
            let records: Vec<_> = batch.into_queued().collect();
            for queued in &records {
                let id = queued.record.event_id.to_string();
                assert_eq!(left.insert(id, queued.meta.attempts), None, "once only");
            }
            self.finish(&records);
        }
        self.close().await;
        left
    }
}

async fn safe(mut receipt: Receipt) -> AckStatus {
    receipt.settled().await
}

fn queued(id: &str, bytes: usize, ack: Ack) -> Queued {
    Queued {
        record: Record::new(vec![b'x'; bytes], id)
            .in_partition("1234567890123456")
            .at(1)
            .labeled("Order Completed -> Purchase"),
        meta: RecordMeta {
            origin: Origin::line("events".into(), 1),
            attempts: 0,
            since: Instant::now(),
            first_ms: 1,
            history: Arc::default(),
            ack,
            slot: None,
        },
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

/// A copy of the files as a kill would leave them: the process that has them open still runs.
fn copy(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

#[derive(Debug, Clone)]
enum Step {
    Push { events: usize, bytes: usize },
    Deliver { through: u64 },
    Restart,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..40_usize, 1..20_000_usize).prop_map(|(events, bytes)| Step::Push { events, bytes }),
        4 => any::<u64>().prop_map(|through| Step::Deliver { through }),
        1 => Just(Step::Restart),
        2 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The model: the ids that were acknowledged and are not done, with the attempts so far. A kill may bring back what was
    /// done, and forget attempts, but never loses what the model holds.
    #[test]
    fn what_was_acknowledged_comes_out_once_until_it_is_done_whatever_happens(
        steps in prop::collection::vec(step(), 1..25)
    ) {
        runtime().block_on(async {
            let mut folder = tempfile::tempdir().unwrap();
            let mut rig = Rig::open(folder.path());
            let mut model: BTreeMap<String, u32> = BTreeMap::new();
            let (mut done, mut number) = (Vec::new(), 0_u64);
            for step in steps {
                match step {
                    Step::Push { events, bytes } => {
                        let ids: Vec<_> = (0..events).map(|index| format!("event-{}", number + index as u64)).collect();
                        number += events as u64;
                        rig.push(&ids, bytes).await;
                        model.extend(ids.into_iter().map(|id| (id, 0)));
                    }
                    Step::Deliver { through } => {
                        if model.is_empty() {
                            continue;
                        }
                        let batch = rig.next().await;
                        let (through, again): (Vec<_>, Vec<_>) = batch
                            .into_iter()
                            .enumerate()
                            .partition(|(index, _)| through >> (index % 64) & 1 == 1);
                        let through: Vec<_> = through.into_iter().map(|(_, queued)| queued).collect();
                        let again: Vec<_> = again.into_iter().map(|(_, queued)| queued).collect();
                        for queued in &through {
                            let id = queued.record.event_id.to_string();
                            assert!(model.remove(&id).is_some() || done.contains(&id));
                            done.push(id);
                        }
                        for queued in &again {
                            *model.entry(queued.record.event_id.to_string()).or_default() = queued.meta.attempts + 1;
                        }
                        rig.finish(&through);
                        rig.put_back(again);
                    }
                    Step::Restart => {
                        rig.close().await;
                        rig = Rig::open(folder.path());
                        assert!(rig.buffer.found() >= model.len() as u64);
                    }
                    Step::Kill => {
                        rig.rest().await;
                        let copied = copy(folder.path());
                        rig.close().await;
                        folder = copied;
                        rig = Rig::open(folder.path());
                        assert!(rig.buffer.found() >= model.len() as u64);
                    }
                }
            }
            let left = rig.drain().await;
            for (id, attempts) in &model {
                let found = left.get(id);
                assert!(found.is_some_and(|found| found <= attempts), "{id}: {found:?}, {attempts}");
            }
            for id in left.keys() {
                assert!(model.contains_key(id) || done.contains(id), "{id} was never acknowledged");
            }
            let empty = Rig::open(folder.path());
            assert_eq!(empty.buffer.found(), 0);
            empty.close().await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_was_not_written_whole_is_cut_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    rig.push(&["first".to_owned()], 1_000).await;
    rig.push(&["second".to_owned()], 1_000).await;
    let whole = copy(folder.path());
    let copied = copy(folder.path());
    rig.close().await;
    let (store, inventory) = Store::open(whole.path(), Sync::Commit, MIN_LOG_BYTES).unwrap();
    assert_eq!((inventory.cut_bytes, inventory.events), (0, 2));
    drop(store);
    let log = copied.path().join("records.db-wal");
    let file = std::fs::OpenOptions::new().write(true).open(log).unwrap();
    let bytes = file.metadata().unwrap().len();
    file.set_len(bytes - 100).unwrap();
    let (store, inventory) = Store::open(copied.path(), Sync::Commit, MIN_LOG_BYTES).unwrap();
    assert!(inventory.cut_bytes > 0, "{inventory:?}");
    assert_eq!(inventory.events, 1);
    drop(store);
    let left = Rig::open(copied.path()).drain().await;
    assert_eq!(left.into_keys().collect::<Vec<_>>(), ["first"]);
}

#[test]
fn what_an_earlier_turn_of_the_log_has_left_is_no_torn_tail_and_hides_none() {
    const LOG_BYTES: u64 = 64 * PAGE_BYTES;
    const LAST: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), Sync::Commit, LOG_BYTES).unwrap();
    for id in 1..=LAST {
        let data = vec![b'x'; 3 * 16 * 1024];
        let row = Row {
            id,
            events: 1,
            data,
        };
        let change = Change {
            added: &[row],
            finished: &[id - 1],
            progress: &[],
            events: 1,
            next: id + 1,
        };
        store.commit(&change).unwrap();
    }
    let (whole, torn) = (copy(folder.path()), copy(folder.path()));
    let log = torn.path().join("records.db-wal");
    // No page of the whole turn is known to be whole yet.
    let turn_bytes = behind_whole_pages(&log, 0).unwrap();
    let length = log.metadata().unwrap().len();
    assert!(
        0 < turn_bytes && turn_bytes + PAGE_BYTES < length,
        "{turn_bytes} of {length}"
    );
    assert!(length < LOG_BYTES + LOG_BYTES / 2, "{length} bytes");
    let mut file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.seek(SeekFrom::Start(turn_bytes - 100)).unwrap();
    file.write_all(&[0; 100]).unwrap();
    drop(file);
    for (folder, last, is_torn) in [(whole, LAST, false), (torn, LAST - 1, true)] {
        let (store, inventory) = Store::open(folder.path(), Sync::Commit, LOG_BYTES).unwrap();
        assert_eq!((inventory.events, inventory.next), (1, last + 1));
        assert_eq!(inventory.cut_bytes > 0, is_torn, "{inventory:?}");
        let found = store.read_after(0).unwrap().expect("a chunk");
        assert_eq!(found.id, last);
        assert!(store.read_after(last).unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_is_set_aside_and_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    for id in ["one", "two", "three"] {
        rig.push(&[id.to_owned()], 1_000).await;
    }
    rig.close().await;
    let database = rusqlite::Connection::open(folder.path().join("records.db")).unwrap();
    let damaged = "UPDATE chunk SET data = zeroblob(500) WHERE id = 2";
    assert_eq!(database.execute(damaged, []).unwrap(), 1);
    drop(database);
    let rig = Rig::open(folder.path());
    let damaged = Arc::clone(&rig.damaged);
    let left = rig.drain().await;
    assert_eq!(left.into_keys().collect::<Vec<_>>(), ["one", "three"]);
    assert_eq!(damaged.load(Ordering::Relaxed), 1);
    assert!(folder.path().join("damaged-2.bin").exists());
    let again = Rig::open(folder.path());
    assert_eq!(again.buffer.found(), 0);
    again.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_has_it_and_another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    let second = Rig::try_open(folder.path(), MIN_DISK_BYTES, SMALL_BATCH)
        .err()
        .unwrap();
    assert!(matches!(second, DiskBufferError::InUse(_)), "{second}");
    rig.close().await;
    let database = folder.path().join("records.db");
    let change = |pragma: &str| {
        let database = rusqlite::Connection::open(&database).unwrap();
        database.execute_batch(pragma).unwrap();
    };
    change("PRAGMA user_version = 2");
    let newer = Rig::try_open(folder.path(), MIN_DISK_BYTES, SMALL_BATCH)
        .err()
        .unwrap();
    assert!(
        matches!(newer, DiskBufferError::Newer { found: 2, .. }),
        "{newer}"
    );
    change("PRAGMA user_version = 1; PRAGMA application_id = 7");
    let other = Rig::try_open(folder.path(), MIN_DISK_BYTES, SMALL_BATCH)
        .err()
        .unwrap();
    assert!(other.to_string().contains("another program"), "{other}");
    std::fs::write(&database, "this is no database, whatever its name says").unwrap();
    let garbage = Rig::try_open(folder.path(), MIN_DISK_BYTES, SMALL_BATCH)
        .err()
        .unwrap();
    assert!(
        garbage.to_string().contains("move the folder away"),
        "{garbage}"
    );
}

/// How many records of that size a test puts in at a time: no more than a piece.
fn at_once(bytes: usize) -> usize {
    (PIECE_BYTES / bytes).clamp(1, 20)
}

/// Fills a buffer in records of that size; says how many bytes of payload it took, and how many its files have.
async fn fill(rig: &Rig, folder: &Path, bytes: usize) -> (u64, u64) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut taken = 0;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let records = (0..at_once(bytes))
            .map(|index| queued(&format!("{bytes}-{number}-{index}"), bytes, Ack::none()));
        let is_at_rest = rig.buffer.shared.lock().pending == 0;
        let rest = rig.buffer.try_push(records.collect());
        tokio::task::yield_now().await;
        taken += ((at_once(bytes) - rest.len()) * bytes) as u64;
        if !rest.is_empty() && is_at_rest {
            break;
        }
    }
    let sizes = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len());
    (taken, sizes.sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_never_takes_more_of_the_disk_than_it_was_given_and_gives_space_back() {
    for bytes in [300, 20_000, 900_000] {
        let folder = tempfile::tempdir().unwrap();
        let max_bytes = 64 * MEBIBYTE;
        let rig = Rig::try_open(folder.path(), max_bytes, 1_000).unwrap();
        let (taken, used) = fill(&rig, folder.path(), bytes).await;
        assert!(
            used <= max_bytes + max_bytes / 100,
            "{used} of {max_bytes} bytes"
        );
        assert!(
            taken * 10 > max_bytes * 7,
            "only {taken} bytes in records of {bytes}"
        );
        let room = rig.buffer.reserve(at_once(bytes) * bytes, Instant::now());
        assert!(room.await.is_none(), "it is full");
        // Records that are done make room.
        let mut done = 0;
        while done * bytes as u64 * 4 < max_bytes {
            let batch = rig.next().await;
            rig.finish(&batch);
            done += batch.len() as u64;
        }
        let soon = Instant::now() + Duration::from_secs(20);
        let room = usize::try_from(max_bytes / 5).unwrap();
        assert!(rig.buffer.reserve(room, soon).await.is_some());
        let (again, used) = fill(&rig, folder.path(), bytes).await;
        assert!(again * 8 > max_bytes, "{again} bytes again");
        assert!(
            used <= max_bytes + max_bytes / 100,
            "{used} of {max_bytes} bytes"
        );
        rig.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buffer_that_is_made_smaller_has_a_smaller_log_too() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::try_open(folder.path(), 1024 * MEBIBYTE, 1_000).unwrap();
    rig.push(&["first".to_owned()], 1_000).await;
    let batch = BatchLimit {
        max_events: 1_000,
        max_bytes: 1024 * 1024,
        timeout: Duration::ZERO,
    };
    rig.buffer.set_limits(MIN_DISK_BYTES, batch);
    let (taken, used) = fill(&rig, folder.path(), 20_000).await;
    assert!(taken * 2 > MIN_DISK_BYTES, "only {taken} bytes");
    assert!(
        used <= MIN_DISK_BYTES + MIN_DISK_BYTES / 100,
        "{used} bytes"
    );
    rig.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_holds_a_bounded_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::try_open(folder.path(), 256 * MEBIBYTE, 1_000).unwrap();
    for number in 0..100 {
        let ids: Vec<_> = (0..100).map(|index| format!("{number}-{index}")).collect();
        rig.push(&ids, 10_000).await;
    }
    let (open, cached) = {
        let state = rig.buffer.shared.lock();
        (state.open.len(), state.cached_bytes)
    };
    assert!(cached <= CACHED_BYTES, "{cached}");
    assert!(
        open < 70,
        "{open} chunks of half a MiB in a window of 32 MiB"
    );
    assert_eq!(rig.drain().await.len(), 10_000);
}

#[tokio::test]
async fn a_writer_that_panics_is_told_about_and_keeps_no_caller_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    rig.push(&["first".to_owned()], 1_000).await;
    assert!(!rig.has_panicked.load(Ordering::SeqCst));
    // Somebody waits for more room than there is.
    let waiting = tokio::spawn({
        let buffer = Arc::clone(&rig.buffer);
        async move {
            let deadline = Instant::now() + Duration::from_secs(3_600);
            let room = buffer.reserve(1_000_000_000, deadline).await;
            room.is_some()
        }
    });
    rig.buffer.commands.send(Command::Panic).unwrap();
    let (ack, receipt) = Ack::until(AckLevel::Stored);
    let mut records: VecDeque<_> = [queued("second", 1_000, ack.clone())].into();
    let pushed = tokio::time::timeout(PATIENCE, rig.buffer.push(&mut records));
    pushed.await.unwrap();
    drop(records);
    ack.done();
    let status = tokio::time::timeout(PATIENCE, safe(receipt)).await;
    assert_eq!(status.unwrap(), AckStatus::GivenUp);
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(!waited.unwrap().unwrap(), "there is no room any more");
    assert!(rig.has_panicked.load(Ordering::SeqCst));
    rig.stop.drain();
    rig.feeder.await.unwrap();
    assert!(rig.buffer.close().is_empty());
    // What was acknowledged is there.
    assert_eq!(Rig::open(folder.path()).buffer.found(), 1);
}
