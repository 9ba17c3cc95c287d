//! The disk buffer against a simple model, crashes included, and at its limits.

use super::store::{Change, PAGE_BYTES, Row};
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
            failures: 0,
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

/// Bytes of a log up to the first frame with other salts than its header: those of this turn.
fn turn_bytes(log: &Path) -> u64 {
    let bytes = std::fs::read(log).unwrap();
    let frame_bytes = 24 + usize::try_from(PAGE_BYTES).unwrap();
    let frames = bytes[32..].chunks(frame_bytes);
    let of_turn = frames.take_while(|frame| frame.get(8..16) == Some(&bytes[16..24]));
    (32 + of_turn.count() * frame_bytes) as u64
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
    let turn_bytes = turn_bytes(&log);
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
        let found = store.read_after(0, u64::MAX).unwrap().expect("a chunk");
        assert_eq!(found.id, last);
        assert!(store.read_after(last, u64::MAX).unwrap().is_none());
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

/// Why a buffer is refused.
fn refusal(folder: &Path) -> String {
    let refused = Store::open(folder, Sync::Commit, MIN_LOG_BYTES);
    let error = refused.expect_err("it is refused");
    error.to_string()
}

fn notices(folder: &Path) -> String {
    let (_, inventory) = Store::open(folder, Sync::Commit, MIN_LOG_BYTES).unwrap();
    inventory.notices.join("\n")
}

/// What happens to the bytes of a file.
type Damage = Box<dyn Fn(&mut Vec<u8>)>;

/// Files that were set aside, of this kind.
fn aside(folder: &Path, kind: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let wanted = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("damaged-") && path.extension().is_some_and(|found| found == kind)
    };
    paths.filter(wanted).collect()
}

/// The files of a killed process with this many records in the log.
async fn killed(records: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    for number in 0..records {
        rig.push(&[format!("{number}")], 1_000).await;
    }
    rig.rest().await;
    let copied = copy(folder.path());
    rig.close().await;
    copied
}

#[test]
fn each_cause_from_outside_has_its_own_sentence_and_never_costs_the_buffer() {
    use std::io::Error;
    let cases = [
        (28, "the disk is full; free some space"),
        (122, "the disk is full; free some space"),
        (30, "the file system is read-only"),
        (24, "no file descriptor is left"),
        (23, "no file descriptor is left"),
        (13, "permission denied"),
        (1, "permission denied"),
        (5, "Input/output error"),
    ];
    for (code, expected) in cases {
        let cause = Cause::of(&Error::from_raw_os_error(code));
        let folder = "/var/lib/buffer".into();
        let said = DiskBufferError::Closed { folder, cause }.to_string();
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("is not lost"), "{said}");
        assert!(!said.contains("move the folder away"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_has_locked_is_said_to_be_locked() {
    let folder = killed(2).await;
    let other = rusqlite::Connection::open(folder.path().join("records.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let said = refusal(folder.path());
    assert!(said.contains("another program has locked"), "{said}");
    assert!(!said.contains("move the folder away"), "{said}");
    drop(other);
    assert_eq!(Rig::open(folder.path()).drain().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_to_move_the_folder_says_how_much_is_in_it() {
    let folder = killed(3).await;
    let database = folder.path().join("records.db");
    let bytes = std::fs::metadata(&database).unwrap().len();
    std::fs::write(&database, vec![b'x'; usize::try_from(bytes).unwrap()]).unwrap();
    let said = refusal(folder.path());
    assert!(said.contains("move the folder away"), "{said}");
    assert!(said.contains("bytes") && said.contains("keep it"), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn its_files_are_for_their_owner_only_whatever_they_were() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = killed(1).await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let open = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(file.unwrap().path(), open).unwrap();
    }
    let fresh = tempfile::tempdir().unwrap();
    let fresh = fresh.path().join("data/buffer/meta");
    for folder in [folder.path(), &fresh] {
        let rig = Rig::open(folder);
        rig.push(&["one".to_owned()], 1_000).await;
        for name in ["records.db", "records.db-wal", "lock", "reserve"] {
            assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
        }
        rig.close().await;
    }
    for folder in fresh.ancestors().take(3) {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_a_file_is_refused_and_its_target_is_untouched() {
    let victim = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(victim.path(), "precious").unwrap();
    for name in ["lock", "records.db", "records.db-wal"] {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(victim.path(), folder.path().join(name)).unwrap();
        let said = refusal(folder.path());
        let expected = format!("`{name}` is a symbolic link");
        assert!(said.contains(&expected), "{said}");
    }
    // A reserve only holds room: the buffer does without.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(victim.path(), folder.path().join("reserve")).unwrap();
    Rig::open(folder.path()).close().await;
    assert_eq!(std::fs::read_to_string(victim.path()).unwrap(), "precious");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_others_can_use_or_own_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("buffer/meta");
    assert_eq!(notices(&folder), "");
    let set = |folder: &Path, mode| {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&folder, 0o755);
    assert!(notices(&folder).contains("chmod 700"));
    set(&folder, 0o700);
    set(data.path(), 0o777);
    assert!(notices(&folder).contains("chmod go-w"));
    set(data.path(), 0o755);
    assert_eq!(notices(&folder), "");
    // Only the superuser may give a folder away.
    if std::os::unix::fs::chown(&folder, Some(12_345), None).is_ok() {
        assert!(notices(&folder).contains("belongs to another user (id 12345)"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_empty_database_beside_what_was_used_is_told() {
    for is_empty in [false, true] {
        for left in ["lock", "reserve"] {
            let folder = tempfile::tempdir().unwrap();
            let rig = Rig::open(folder.path());
            rig.push(&["one".to_owned()], 1_000).await;
            rig.close().await;
            let database = folder.path().join("records.db");
            if is_empty {
                std::fs::write(&database, "").unwrap();
            } else {
                std::fs::remove_file(&database).unwrap();
            }
            let other = if left == "lock" { "reserve" } else { "lock" };
            std::fs::remove_file(folder.path().join(other)).unwrap();
            let said = notices(folder.path());
            assert!(said.contains("its database is gone or empty"), "{said}");
            let again = notices(folder.path());
            assert!(!again.contains("gone or empty"), "told once: {again}");
        }
    }
    let fresh = tempfile::tempdir().unwrap();
    assert_eq!(notices(&fresh.path().join("new")), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_damage_is_copied_before_it_is_cut_and_one_without_is_not() {
    const FRAME_BYTES: usize = 24 + 16 * 1024;
    // In the header, in the first frame, in a salt, in the checksum of a commit.
    let in_log = |at: usize| move |log: &mut Vec<u8>| log[at] ^= 1;
    let cases: Vec<Damage> = vec![
        Box::new(in_log(3)),
        Box::new(in_log(20)),
        Box::new(in_log(32 + 100)),
        Box::new(in_log(32 + FRAME_BYTES + 8)),
        Box::new(|log| log.fill(b'x')),
        Box::new(|log| {
            let last = log.len() - 1;
            log[last] ^= 1;
        }),
    ];
    for (number, damage) in cases.iter().enumerate() {
        let folder = killed(4).await;
        let log = folder.path().join("records.db-wal");
        let mut bytes = std::fs::read(&log).unwrap();
        assert!(bytes.len() > 2 * FRAME_BYTES);
        damage(&mut bytes);
        std::fs::write(&log, &bytes).unwrap();
        // Without the database, or with the part of it that is there.
        let opened = Store::open(folder.path(), Sync::Commit, MIN_LOG_BYTES);
        let kept = aside(folder.path(), "log");
        assert_eq!(kept.len(), 1, "{number}: {opened:?}");
        assert!(std::fs::read(&kept[0]).unwrap() == bytes, "{number}");
        let (_, inventory) = opened.unwrap();
        let said = inventory.notices.join("");
        assert!(said.contains("the log was copied to"), "{number}: {said}");
    }
    let whole = killed(4).await;
    assert!(!notices(whole.path()).contains("damaged"));
    assert_eq!(aside(whole.path(), "log").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_or_moved_buffer_takes_no_more_until_it_is_back() {
    for is_moved in [true, false] {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("data/buffer/meta");
        let rig = Rig::open(&folder);
        rig.push(&["one".to_owned()], 1_000).await;
        let moved = data.path().join("moved");
        let whole = data.path().join("data");
        if is_moved {
            std::fs::rename(&whole, &moved).unwrap();
        } else {
            std::fs::remove_dir_all(&whole).unwrap();
        }
        let (ack, mut receipt) = Ack::until(AckLevel::Stored);
        let mut records: VecDeque<_> = [queued("two", 1_000, ack.clone())].into();
        rig.buffer.push(&mut records).await;
        ack.done();
        let gone = tokio::time::timeout(PATIENCE, async {
            while !rig.buffer.shared.lock().is_failing {
                tokio::task::yield_now().await;
            }
        });
        gone.await.unwrap();
        assert!(rig.buffer.reserve(1_000, Instant::now()).await.is_none());
        if is_moved {
            std::fs::rename(&moved, &whole).unwrap();
            let back = tokio::time::timeout(PATIENCE, receipt.settled());
            assert_eq!(back.await.unwrap(), AckStatus::Safe);
            assert_eq!(rig.drain().await.len(), 2);
        } else {
            rig.stop.quit();
            rig.feeder.await.unwrap();
            // It was never acknowledged, and whoever sent it has to know.
            assert_eq!(rig.buffer.close().len(), 1);
            assert_ne!(receipt.settled().await, AckStatus::Safe);
        }
    }
}

/// The first byte of a page that has the rows of a table (SQLite, "B-tree Pages").
const LEAF: u8 = 13;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_page_is_damaged_costs_only_what_is_in_it_and_is_counted() {
    const EVENTS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    for number in 0..EVENTS {
        rig.push(&[format!("{number}")], 20_000).await;
    }
    rig.close().await;
    let database = std::fs::read(folder.path().join("records.db")).unwrap();
    let page_bytes = usize::try_from(PAGE_BYTES).unwrap();
    let pages = database.len() / page_bytes;
    let (mut delivered_all, mut lost_some) = (0, 0);
    // The first page, the map of pages and the roots of the tables are what nothing can be read without.
    for page in (8..pages).step_by(7).chain([pages - 1]) {
        for filler in [0, b'x'] {
            let copied = copy(folder.path());
            let mut bytes = database.clone();
            let is_leaf = bytes[page * page_bytes] == LEAF;
            bytes[page * page_bytes..(page + 1) * page_bytes].fill(filler);
            std::fs::write(copied.path().join("records.db"), bytes).unwrap();
            let rig = Rig::open(copied.path());
            rig.buffer.end_input();
            let mut left = Vec::new();
            while let Some(batch) = rig.buffer.queue().next_batch().await {
                let records: Vec<_> = batch.into_queued().collect();
                left.extend(
                    records
                        .iter()
                        .map(|queued| queued.record.event_id.to_string()),
                );
                rig.finish(&records);
            }
            let damaged = rig.damaged.load(Ordering::Relaxed);
            assert_eq!(left.len() as u64 + damaged, EVENTS as u64, "page {page}");
            assert!(is_leaf || damaged <= 2, "page {page}: {damaged} lost");
            assert!(damaged < EVENTS as u64 / 2, "page {page}: {damaged} lost");
            if damaged == 0 {
                delivered_all += 1;
            } else {
                lost_some += 1;
            }
            rig.stop.quit();
            rig.feeder.await.unwrap();
            rig.buffer.close();
        }
    }
    assert!(lost_some > 0, "{delivered_all} copies lost nothing");
}

/// Whether a record is on the disk; false where the disk refuses.
async fn takes(rig: &Rig, id: &str) -> bool {
    let (ack, mut receipt) = Ack::until(AckLevel::Stored);
    let mut records: VecDeque<_> = [queued(id, 20_000, ack.clone())].into();
    let taken = async {
        rig.buffer.push(&mut records).await;
        ack.done();
        receipt.settled().await == AckStatus::Safe
    };
    tokio::time::timeout(PATIENCE, taken).await == Ok(true)
}

/// What comes out until nothing is left, finished.
async fn everything(rig: &Rig) -> Vec<String> {
    rig.buffer.end_input();
    let mut left = Vec::new();
    while let Some(batch) = rig.buffer.queue().next_batch().await {
        let records: Vec<_> = batch.into_queued().collect();
        let ids = records
            .iter()
            .map(|queued| queued.record.event_id.to_string());
        left.extend(ids);
        rig.finish(&records);
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_page_is_damaged_new_records_are_taken_and_what_is_done_leaves() {
    const EVENTS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    for number in 0..EVENTS {
        rig.push(&[format!("{number}")], 20_000).await;
    }
    // Some pages are free, and hold what is done.
    let mut done = 0;
    while done < EVENTS / 3 {
        let batch = rig.next().await;
        done += batch.len();
        rig.finish(&batch);
    }
    rig.rest().await;
    rig.close().await;
    let database = std::fs::read(folder.path().join("records.db")).unwrap();
    let page_bytes = usize::try_from(PAGE_BYTES).unwrap();
    let pages = database.len() / page_bytes;
    let (mut refused, mut rebuilt) = (0, 0);
    // The header, the map of pages, the roots, free pages, leaves, the last leaf, and what overflows from them.
    for page in (0..12)
        .chain((12..pages - 10).step_by(13))
        .chain(pages - 10..pages)
    {
        for filler in [0, b'x'] {
            let copied = copy(folder.path());
            let mut bytes = database.clone();
            bytes[page * page_bytes..(page + 1) * page_bytes].fill(filler);
            std::fs::write(copied.path().join("records.db"), bytes).unwrap();
            let Ok(rig) = Rig::try_open(copied.path(), MIN_DISK_BYTES, SMALL_BATCH) else {
                refused += 1;
                continue;
            };
            assert!(takes(&rig, "new").await, "page {page}");
            let mut left = everything(&rig).await;
            let damaged = usize::try_from(rig.damaged.load(Ordering::Relaxed)).unwrap();
            assert_eq!(left.len() + damaged, EVENTS - done + 1, "page {page}");
            left.sort();
            left.dedup();
            assert_eq!(left.len() + damaged, EVENTS - done + 1, "once: page {page}");
            assert!(left.contains(&"new".to_owned()), "page {page}");
            assert!(takes(&rig, "newer").await, "page {page}");
            assert!(!rig.buffer.shared.lock().is_failing, "page {page}");
            rig.stop.quit();
            rig.feeder.await.unwrap();
            assert!(rig.buffer.close().is_empty(), "page {page}");
            let is_rebuilt = !aside(copied.path(), "db").is_empty();
            rebuilt += usize::from(is_rebuilt);
            let rig = Rig::open(copied.path());
            assert_eq!(everything(&rig).await, ["newer"], "page {page}");
            if is_rebuilt {
                assert_eq!(
                    rig.damaged.load(Ordering::Relaxed),
                    0,
                    "told once: page {page}"
                );
            }
            rig.close().await;
        }
    }
    assert!(
        refused <= 4,
        "only the header and the count of all are needed to open it"
    );
    assert!(rebuilt > 10, "{rebuilt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_a_new_database_takes_its_place_loses_nothing() {
    let whole = tempfile::tempdir().unwrap();
    let rig = Rig::open(whole.path());
    rig.push(&["one".to_owned()], 100).await;
    rig.close().await;
    let database = std::fs::read(whole.path().join("records.db")).unwrap();
    // Nothing was done yet; the old database was set aside; its log as well.
    for is_left in [
        ["records.db", "records.db-wal"].as_slice(),
        &["records.db-wal"],
        &[],
    ] {
        let folder = killed(2).await;
        for name in ["records.db", "records.db-wal"] {
            if !is_left.contains(&name) {
                std::fs::remove_file(folder.path().join(name)).unwrap();
            }
        }
        let made = folder.path().join("rebuilt");
        std::fs::create_dir(&made).unwrap();
        std::fs::write(made.join("records.db"), &database).unwrap();
        let rig = Rig::open(folder.path());
        assert_eq!(everything(&rig).await, ["one"], "{is_left:?}");
        rig.close().await;
        assert!(!made.exists());
        assert_eq!(
            aside(folder.path(), "db").len(),
            usize::from(is_left.len() == 2)
        );
        assert_eq!(
            aside(folder.path(), "db-wal").len(),
            usize::from(!is_left.is_empty())
        );
    }
    // One that is not whole is no database.
    let folder = killed(2).await;
    let making = folder.path().join("rebuilding");
    std::fs::create_dir(&making).unwrap();
    std::fs::write(making.join("records.db"), &database).unwrap();
    let rig = Rig::open(folder.path());
    assert_eq!(everything(&rig).await.len(), 2);
    assert!(!making.exists());
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_database_is_salvaged_whatever_page_is_gone_and_the_old_one_is_kept() {
    const EVENTS: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    for number in 0..EVENTS {
        rig.push(&[format!("{number}")], 20_000).await;
    }
    rig.close().await;
    let whole = check(folder.path()).unwrap();
    assert!(whole.is_whole(), "{whole:?}");
    assert_eq!((whole.events, whole.expected), (EVENTS, Some(EVENTS)));
    let database = std::fs::read(folder.path().join("records.db")).unwrap();
    let page_bytes = usize::try_from(PAGE_BYTES).unwrap();
    let pages = database.len() / page_bytes;
    let mut lost_some = 0;
    // The header, the map of pages, the roots of all tables, leaves and what overflows from them.
    for page in (0..8).chain((8..pages).step_by(11)) {
        let copied = copy(folder.path());
        let mut bytes = database.clone();
        bytes[page * page_bytes..(page + 1) * page_bytes].fill(0);
        std::fs::write(copied.path().join("records.db"), &bytes).unwrap();
        let salvaged = salvage(copied.path()).unwrap();
        let found = salvaged.found.events;
        assert_eq!(
            std::fs::read(&salvaged.aside).unwrap(),
            bytes,
            "page {page}"
        );
        assert!(found > EVENTS / 2, "page {page}: {found}");
        lost_some += u64::from(found < EVENTS);
        let after = check(copied.path()).unwrap();
        assert!(after.is_whole(), "page {page}: {after:?}");
        assert_eq!(after.events, found);
        assert_eq!(Rig::open(copied.path()).drain().await.len() as u64, found);
    }
    assert!(lost_some > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_log_has_is_salvaged_from_a_database_without_a_header() {
    let folder = killed(9).await;
    let database = folder.path().join("records.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let end = bytes.len().min(100);
    bytes[..end].fill(b'x');
    std::fs::write(&database, bytes).unwrap();
    let salvaged = salvage(folder.path()).unwrap();
    assert_eq!(salvaged.found.events, 9, "{salvaged:?}");
    assert_eq!(Rig::open(folder.path()).drain().await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_done_are_not_salvaged_and_a_buffer_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path());
    let ids: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    rig.push(&ids, 100).await;
    let first = rig.next().await;
    rig.finish(&first);
    rig.rest().await;
    assert!(matches!(
        salvage(folder.path()),
        Err(DiskBufferError::InUse(_))
    ));
    assert!(matches!(
        check(folder.path()),
        Err(DiskBufferError::InUse(_))
    ));
    rig.close().await;
    let left = 20 - first.len() as u64;
    assert_eq!(salvage(folder.path()).unwrap().found.events, left);
    assert_eq!(Rig::open(folder.path()).drain().await.len() as u64, left);
}

#[tokio::test]
async fn who_looks_from_outside_sees_what_waits_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = folder.path().join("buffer").join("meta");
    assert_eq!(stored(folder.path(), "meta"), Stored::Nothing);
    let rig = Rig::open(&buffer);
    let ids: Vec<String> = (0..7).map(|id| id.to_string()).collect();
    rig.push(&ids, 100).await;
    assert_eq!(stored(folder.path(), "meta"), Stored::InUse);
    rig.close().await;
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(&buffer)
            .unwrap()
            .map(|file| file.unwrap())
            .map(|file| (file.file_name(), std::fs::read(file.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    assert_eq!(stored(folder.path(), "meta"), Stored::Events(7));
    assert!(before == files(), "a look has changed the folder");
    for file in std::fs::read_dir(&buffer).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap() != "lock" {
            std::fs::write(path, "not a database at all").unwrap();
        }
    }
    assert_eq!(stored(folder.path(), "meta"), Stored::Unreadable);
    let copied = killed(5).await;
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("buffer")).unwrap();
    std::fs::rename(copied.path(), data.path().join("buffer").join("meta")).unwrap();
    assert_eq!(stored(data.path(), "meta"), Stored::Events(5));
}
