//! What was sent against what arrived: the books that the tests of bad days keep, and a process whose every word is kept.

use crate::destination::dead_letters;
use graph_sandbox::{Fault, Sandbox, SandboxOptions};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::callsite::rebuild_interest_cache;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::set_global_default;

pub(crate) const TOKEN: &str = "EAABtheTokenOfBadDays";
/// The longest anything may take before a test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// What [`personal`] events hold in the clear, in lower case. None of it may stand anywhere but in the input.
const SECRETS: [&str; 6] = [
    "ottilie",
    "quandt",
    "15112345678",
    "1511 2345678",
    "lindenallee",
    "elmshorn",
];

/// An event of a person, with what must never reach the disk.
pub(crate) fn personal(id: &str) -> Value {
    json!({
        "type": "track", "event": "Product Added", "messageId": id, "userId": "u",
        "properties": {"product_id": "p", "price": 5, "currency": "EUR"},
        "traits": {
            "email": format!("Ottilie.Quandt+{id}@example.org"), "phone": "+49 1511 2345678",
            "firstName": "Ottilie", "lastName": "Quandt",
            "address": {"street": "Lindenallee 1", "city": "Elmshorn", "country": "DE"},
        },
        "context": {
            "consent": {"marketing": true},
            "page": {"url": "https://shop.example/?email=Ottilie.Quandt@example.org"},
        },
    })
}

/// A number from the environment, for longer runs by hand.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect(variable))
}

/// Waits until something is so, or fails with what `so_far` says.
pub(crate) async fn eventually(condition: impl Fn() -> bool, so_far: impl Fn() -> String) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "{}", so_far());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Holds trouble up for so many seconds, while it has to be so that events wait.
pub(crate) async fn lasts(secs: u64, waits: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(secs);
    while Instant::now() < end {
        assert!(waits(), "events were accepted while they had to wait");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a program is installed that tests need; where it is not, they say so, or fail where `CI` is set.
pub(crate) fn is_installed(command: &str, needed_by: &str) -> bool {
    let found = std::process::Command::new(command)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "`{command}` is needed by {needed_by}"
    );
    print(&format!("left out: {needed_by} need `{command}`"));
    false
}

/// Runs a command with this standard input to its end.
pub(crate) fn fed(
    command: &mut std::process::Command,
    input: impl AsRef<[u8]>,
) -> std::process::Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    // A command that does not read its input closes it; one that writes much meanwhile is read meanwhile.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

/// An address where nothing listens, for what comes back where it is known.
pub(crate) fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// A port where nothing listens, each one once. The system gives ports as low as this to no connection, so that none of
/// the other tests takes it before the test that asked for it; test programs that run side by side begin elsewhere.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const LAST: u16 = 32_000;
    static ASKED: AtomicU16 = AtomicU16::new(0);
    let own = std::process::id() * 8 % u32::from(LAST - FIRST);
    let own = u16::try_from(own).unwrap();
    loop {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        assert!(asked < 1_000, "no port is free");
        let port = FIRST + (own + asked) % (LAST - FIRST);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The events that were filtered, as the closing table of a run with one sink says.
pub(crate) fn filtered(said: &str) -> usize {
    let mut rows = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("filtered "));
    let last = rows.next_back().map(str::trim);
    last.map_or(0, |number| number.parse().unwrap())
}

/// Says figures that the runner of tests does not swallow.
pub(crate) fn print(figures: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "{figures}").unwrap();
}

/// A folder with a pipeline file, and a destination that outlives every run.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) sandbox: Sandbox,
    pub(crate) pipeline: Value,
}

/// How the events of a bench ended, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    pub(crate) accepted: HashSet<String>,
    /// Acceptances of what had been accepted before.
    pub(crate) duplicates: usize,
    /// The reasons of the dead letters, by id.
    pub(crate) dead: BTreeMap<String, String>,
    /// Lines of the dead letters that a kill has cut.
    pub(crate) cut_letters: usize,
}

impl Fates {
    pub(crate) fn know(&self, id: &str) -> bool {
        self.accepted.contains(id) || self.dead.contains_key(id)
    }

    /// The ids that ended nowhere.
    pub(crate) fn lost<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
        ids.into_iter().filter(|id| !self.know(id)).collect()
    }

    /// The ids that no client has sent.
    pub(crate) fn invented(&self, sent: &HashSet<String>) -> BTreeSet<&String> {
        let known = self.accepted.iter().chain(self.dead.keys());
        known.filter(|id| !sent.contains(*id)).collect()
    }
}

impl Bench {
    pub(crate) async fn new(source: &Value) -> Self {
        Self::with(source, SandboxOptions::default()).await
    }

    /// With a destination of other options; it takes no token but its own.
    pub(crate) async fn with(source: &Value, options: SandboxOptions) -> Self {
        let options = SandboxOptions {
            access_tokens: vec![TOKEN.to_owned()],
            ..options
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let pipeline = json!({
            "sources": {"in": source},
            "sinks": {"meta": {
                "type": "meta_conversions", "inputs": ["in"], "preset": "retail", "pixel_id": "1234567890123456",
                "access_token": TOKEN, "endpoint": sandbox.url(), "batch": {"timeout_secs": 0.01},
                "buffer": {"type": "disk", "max_bytes": 33_554_432},
                "retry": {"initial_backoff_secs": 0.01, "max_backoff_secs": 0.01},
            }},
        });
        Self {
            folder: tempfile::tempdir().unwrap(),
            sandbox,
            pipeline,
        }
    }

    /// Options of the sink, laid over the others.
    pub(crate) fn sink(&mut self, options: &Value) {
        let sink = self.pipeline["sinks"]["meta"].as_object_mut().unwrap();
        sink.extend(options.as_object().unwrap().clone());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self) -> String {
        let file = self.path("pipeline.json");
        std::fs::write(&file, self.pipeline.to_string()).unwrap();
        file.display().to_string()
    }

    /// Starts a run in a new process.
    pub(crate) fn start(&self) -> Recorded {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command.args(["run", &self.write()]);
        Recorded::start(command)
    }

    /// What stands in the dead letters: reasons by id, and lines that are no letter.
    pub(crate) fn letters(&self) -> (BTreeMap<String, String>, usize) {
        let (mut letters, mut cut) = (BTreeMap::new(), 0);
        for line in dead_letters(self.folder.path(), "meta").lines() {
            let letter: Value = serde_json::from_str(line).unwrap_or_default();
            match (letter["event_id"].as_str(), letter["reason"].as_str()) {
                (Some(id), Some(reason)) => {
                    letters.insert(id.to_owned(), reason.to_owned());
                }
                _ => cut += 1,
            }
        }
        (letters, cut)
    }

    pub(crate) fn fates(&self) -> Fates {
        let (dead, cut_letters) = self.letters();
        let mut fates = Fates {
            dead,
            cut_letters,
            ..Fates::default()
        };
        for event in self.sandbox.accepted() {
            let event: Value = serde_json::from_str(&event).unwrap();
            let id = event["event_id"].as_str().unwrap();
            if !fates.accepted.insert(id.to_owned()) {
                fates.duplicates += 1;
            }
        }
        fates
    }

    /// Waits until so many different events have met their fate.
    pub(crate) async fn settle(&self, events: usize) {
        let settled = || {
            let accepted = usize::try_from(self.sandbox.summary().unique).unwrap();
            accepted + self.letters().0.len() >= events
        };
        let so_far = || {
            let letters = self.letters().0.len();
            format!("{events}: {:?}, {letters} letters", self.sandbox.summary())
        };
        eventually(settled, so_far).await;
    }

    /// Looks for what is personal, and for the token, in everything that runs left behind and said.
    pub(crate) fn keeps_secrets(&self, said: &str) {
        let files = files_of(&self.path("data"));
        assert!(!files.is_empty());
        let files = String::from_utf8_lossy(&files).to_lowercase();
        for (place, text) in [("a file", files), ("the output", said.to_lowercase())] {
            for secret in SECRETS.iter().chain([&TOKEN.to_lowercase().as_str()]) {
                assert!(!text.contains(secret), "`{secret}` stands in {place}");
            }
        }
    }
}

/// What a disk buffer reserves is empty, and too much to be searched again and again.
const EMPTY_PAGE: [u8; 4096] = [0; 4096];

/// What stands in all files of a folder but the pipeline file, which is input.
pub(crate) fn files_of(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files_of(&path));
        } else if path.file_name().is_some_and(|name| name != "pipeline.json") {
            let bytes = std::fs::read(&path).unwrap();
            let pages = bytes.chunks(EMPTY_PAGE.len());
            let filled: Vec<_> = pages.filter(|page| *page != EMPTY_PAGE).collect();
            all.extend(filled.concat());
        }
    }
    all
}

/// A fault that passes, from the whole range of what the sandbox knows.
pub(crate) fn passing_fault(random: &mut fastrand::Rng) -> Fault {
    let faults = passing_faults();
    faults[random.usize(..faults.len())].clone()
}

/// Trouble of the destination's own.
pub(crate) fn server_error() -> Fault {
    Fault::GraphError {
        status: 500,
        code: 2,
        subcode: None,
        is_transient: true,
        message: None,
    }
}

/// Every fault that passes, each short enough for a test.
pub(crate) fn passing_faults() -> Vec<Fault> {
    vec![
        server_error(),
        Fault::Throttle {
            status: 400,
            code: 80_004,
            business_use_case_minutes: None,
            ad_account_reset_seconds: Some(0),
        },
        Fault::Delay { millis: 20 },
        Fault::DropBeforeAccept,
        Fault::DropAfterAccept,
        Fault::TruncatedAnswer,
        Fault::HtmlAnswer { status: 502 },
        Fault::FewerReceived { missing: 3 },
    ]
}

/// Keeps what is logged on the thread that made it, from then on.
pub(crate) struct Log(());

thread_local! {
    static LOGGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

impl Log {
    pub(crate) fn of_this_thread() -> Self {
        static LISTENING: Once = Once::new();
        // For all threads: what one without a subscriber meets first would be off for the others as well.
        LISTENING.call_once(|| {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_ansi(false)
                .with_writer(|| ThisThread);
            set_global_default(subscriber.finish()).unwrap();
            rebuild_interest_cache();
        });
        LOGGED.set(Some(Vec::new()));
        Self(())
    }

    pub(crate) fn text(&self) -> String {
        let Self(()) = self;
        let logged = LOGGED.with_borrow(Clone::clone);
        String::from_utf8(logged.unwrap()).unwrap()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LOGGED.set(None);
    }
}

struct ThisThread;

impl std::io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| {
            if let Some(logged) = logged {
                logged.extend(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A running `pipeline`, whose output is kept whole.
pub(crate) struct Recorded {
    child: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Recorded {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = Arc::<Mutex<String>>::default();
        let readers = vec![
            listen(child.stdout.take().unwrap(), Arc::clone(&said)),
            listen(child.stderr.take().unwrap(), Arc::clone(&said)),
        ];
        Self {
            child,
            said,
            readers,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// What follows `word`, up to the next space or semicolon, where it has been said.
    pub(crate) fn heard(&self, word: &str) -> Option<String> {
        let said = self.said.lock().unwrap();
        let (_, behind) = said.split_once(word)?;
        // All of a line is said at once.
        let end = behind.find([';', ' ', '\n'])?;
        Some(behind[..end].to_owned())
    }

    /// Waits until a word has been said; returns what follows it.
    pub(crate) async fn says(&self, word: &str) -> String {
        let so_far = || format!("no `{word}` in {}", self.said());
        eventually(|| self.heard(word).is_some(), so_far).await;
        self.heard(word).unwrap_or_default()
    }

    pub(crate) fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.id());
        let status = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(status.unwrap().success());
    }

    /// Ends it with SIGKILL, as nothing else can be sure to; returns all that it said.
    pub(crate) async fn kill(mut self) -> String {
        self.child.kill().await.unwrap();
        self.rest().await
    }

    /// Waits for its end; returns how it ended and all that it said.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let status = ended.expect("it ends").unwrap();
        (status, self.rest().await)
    }

    async fn rest(self) -> String {
        for reader in self.readers {
            reader.await.unwrap();
        }
        let said = self.said.lock().unwrap();
        said.clone()
    }
}

pub(crate) fn events_url(address: &str) -> String {
    format!("http://{address}/v1/events")
}

fn listen(
    stream: impl AsyncRead + Unpin + Send + 'static,
    said: Arc<Mutex<String>>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    })
}
