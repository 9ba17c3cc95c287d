//! `pipeline dead-letters`: looks at what could not be delivered, sends it again, and deletes what is no longer needed.
//!
//! All but `replay` need the pipeline file for the places and names only: no token, no source and no destination. All work
//! beside a running pipeline.

use crate::context::Context;
use crate::failure::{FAILED, Failure};
use crate::output::{print, print_ending};
use crate::run::{readable, stop_on_signals};
use crate::signals::Signals;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use pipeline_core::{Clock as _, SystemClock};
use pipeline_host::config::{self, Pipeline, SinkPlan};
use pipeline_host::dead_letter::{DeadLetters, Filter, Summary};
use pipeline_host::replay::{self, Remap, Replaying, Selection};
use pipeline_host::telemetry::SinkSnapshot;
use pipeline_host::topology::Ending;
use pipeline_host::{StartOptions, report};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;

const ABOUT: &str =
    "Shows, replays and deletes dead letters: events that could not be delivered, with the reasons

They are kept in segments of the folder `data_dir/dead_letters/<sink>`, one JSON object a line. \
They hold what the destination would have seen, hashed; raw input is never written, but for copies that are sealed for a key, where `keep_raw` asks for them. \
These commands work beside a running pipeline.";

const EXAMPLES: &str = "Examples:
  pipeline dead-letters list --config pipeline.yaml
  pipeline dead-letters show --config pipeline.yaml --reason refused_invalid --limit 1
  pipeline dead-letters replay --config pipeline.yaml --reason held_at_shutdown
  pipeline dead-letters purge --config pipeline.yaml --reason too_old --older-than-days 30";

const REPLAY_EXAMPLES: &str = "Examples:
  pipeline dead-letters replay --config pipeline.yaml --dry-run
  pipeline dead-letters replay --config pipeline.yaml --sink meta --reason retries_exhausted --reason expired
  pipeline dead-letters replay --config pipeline.yaml --label Purchase --since 2h --limit 100
  pipeline dead-letters replay --config pipeline.yaml --remap --identity key.txt --dry-run

Options of several kinds mean the letters that fit all of them; an option that is given twice, those that fit either. \
What the destination would refuse stays where it is, with the reason; of the rest, constants, removed fields and a default \
currency of the options as they are now are applied. Event ids stay the same, so that nothing counts twice. An event that fails \
again is a dead letter again, with its history. Letters without a payload stay where they are. Interrupting a replay loses \
nothing, and what it has finished is not sent again.";

const SHOW_EXAMPLES: &str = "Examples:
  pipeline dead-letters show --config pipeline.yaml --sink meta --limit 10
  pipeline dead-letters show --config pipeline.yaml --reason expired | wc -l
  pipeline dead-letters show --config pipeline.yaml > letters.ndjson";

const PURGE_EXAMPLES: &str = "Examples:
  pipeline dead-letters purge --config pipeline.yaml --reason too_old
  pipeline dead-letters purge --config pipeline.yaml --older-than-days 30
  pipeline dead-letters purge --config pipeline.yaml --sink meta --all

What is purged is gone; `show` keeps a copy. What a replay is sending at the time is left to it.";

#[derive(Debug, Args)]
#[command(about = "Show, replay and delete what could not be delivered", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count them by reason: how many, from when until when, and one example
    List(Place),
    /// Print them as they are, one JSON object a line, the oldest first
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Send them again, and report what became of them
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Replay),
    /// Delete them for good
    #[command(after_help = PURGE_EXAMPLES)]
    Purge(Purge),
}

/// Whose letters are meant.
#[derive(Debug, Args)]
struct Place {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The sink, by its name in the pipeline file [default: all sinks]
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    place: Place,
    /// Only those of this reason, as `list` shows it
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// No more than this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
struct Replay {
    #[command(flatten)]
    place: Place,
    /// Only those of this reason, as `list` shows it
    #[arg(long, value_name = "CODE")]
    reason: Vec<String>,
    /// Only those of this event id
    #[arg(long, value_name = "ID")]
    event_id: Vec<String>,
    /// Only those of this kind of event: the label in the letter, or the name on one side of its arrow
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Only those that became dead letters at this time or later: RFC 3339, or an age such as `2h`
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    since: Option<PointInTime>,
    /// Only those that became dead letters before this time: RFC 3339, or an age such as `30m`
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    until: Option<PointInTime>,
    /// Send no more than this many of each sink, the oldest first
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Show what would be sent and what would stay, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Map the events anew, out of the sealed copies that `dead_letters.keep_raw` keeps in their letters, by the options as they are
    /// now; consent is asked again, and what is filtered now leaves the letters
    #[arg(long, requires = "identity")]
    remap: bool,
    /// The file with the secret key for the sealed copies, as `age-keygen` writes it; they are opened in memory only
    #[arg(long, value_name = "FILE", requires = "remap")]
    identity: Option<PathBuf>,
}

/// A time on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PointInTime {
    /// In milliseconds since the Unix epoch.
    At(i64),
    /// So many milliseconds ago.
    Ago(i64),
}

impl PointInTime {
    fn ms(self, now_ms: i64) -> i64 {
        match self {
            Self::At(ms) => ms,
            Self::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }
}

fn point_in_time(text: &str) -> Result<PointInTime, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(PointInTime::At(time.as_millisecond()));
    }
    let age = text.parse::<SignedDuration>().ok();
    let age = age.filter(|age| !age.is_negative());
    let millis = age.and_then(|age| i64::try_from(age.as_millis()).ok());
    millis.map(PointInTime::Ago).ok_or_else(|| {
        "expected a time with its offset, such as `2026-01-15T12:00:00Z`, or an age, such as `2h` or `30m`".to_owned()
    })
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
struct Purge {
    #[command(flatten)]
    place: Place,
    /// Those of this reason, as `list` shows it
    #[arg(long, value_name = "CODE", group = "which")]
    reason: Option<String>,
    /// Those that became dead letters more than this many days ago
    #[arg(long, value_name = "DAYS", group = "which", value_parser = clap::value_parser!(u32).range(..=36_500))]
    older_than_days: Option<u32>,
    /// All of them, and lines that cannot be read
    #[arg(long, group = "which", conflicts_with_all = ["reason", "older_than_days"])]
    all: bool,
}

pub(crate) async fn run(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::List(place) => list(&place.sinks()?),
        Command::Show(show) => show.run(&show.place.sinks()?),
        Command::Replay(replay) => replay.run(cx).await,
        Command::Purge(purge) => purge.run(&purge.place.sinks()?),
    }
}

type Sinks = Vec<(String, DeadLetters)>;

impl Place {
    fn sinks(&self) -> Result<Sinks, Failure> {
        let environment = |name: &str| std::env::var_os(name);
        let mut sinks = config::load_dead_letters(&self.config, &environment)?;
        let Some(wanted) = &self.sink else {
            return Ok(sinks);
        };
        let known: Vec<_> = sinks.iter().map(|(name, _)| name.as_str()).collect();
        let known = format!("`--sink` must be one of `{}`", known.join("`, `"));
        sinks.retain(|(name, _)| name == wanted);
        if sinks.is_empty() {
            return Err(Failure::Usage(known));
        }
        Ok(sinks)
    }
}

fn list(sinks: &Sinks) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    for (name, letters) in sinks {
        let summary = Summary::of(letters.letters()?);
        let (folder, percent_full) = (readable(letters.path()), letters.percent_full()?);
        report::dead_letters(&mut text, name, &folder, percent_full, &summary);
        if let Some(problem) = &summary.problem {
            let problems = summary.problems;
            tracing::warn!(sink = %name, problems, "not all could be read: {problem}");
        }
    }
    print(&text)
}

impl Replay {
    async fn run(&self, cx: &Context<'_>) -> Result<ExitCode, Failure> {
        // Says which sinks there are, where `--sink` names none of them.
        let sinks = self.place.sinks()?;
        if !self.reason.is_empty() {
            let summaries: Result<Vec<_>, Failure> = sinks
                .iter()
                .map(|(_, letters)| Ok(Summary::of(letters.letters()?)))
                .collect();
            replay::check_reasons(&self.reason, &summaries?)
                .map_err(|problem| Failure::Usage(format!("`--reason`: {problem}")))?;
        }
        let mut pipeline = cx.load(&self.place.config)?;
        let wanted = |plan: &SinkPlan| {
            self.place
                .sink
                .as_ref()
                .is_none_or(|name| plan.name == *name)
        };
        pipeline.sinks.retain(wanted);
        let remap = self.identity.as_deref().map(identities).transpose()?;
        let remap = remap.map(Arc::new);
        if let Some(remap) = &remap {
            self.check_keys(&pipeline, remap).await?;
        }
        if self.dry_run {
            self.survey(&pipeline, remap.as_ref()).await
        } else {
            self.send(pipeline, remap.as_ref()).await
        }
    }

    /// Refuses keys that open no copy, before anything is taken out.
    async fn check_keys(&self, pipeline: &Pipeline, remap: &Arc<Remap>) -> Result<(), Failure> {
        let (mut opened, mut closed) = (0, 0);
        for plan in &pipeline.sinks {
            let (selection, options) = (self.selection(Some(remap)), StartOptions::default());
            let survey = replay::survey(plan, &pipeline.data_dir, selection, &options).await?;
            opened += survey.opened;
            closed += survey.left.not_opened;
        }
        if opened == 0 && closed > 0 {
            return Err(Failure::Usage(format!(
                "`--identity` opens none of the {closed} sealed copies; expected the secret key that belongs to \
                 `dead_letters.keep_raw.public_key`; nothing was changed"
            )));
        }
        Ok(())
    }

    fn selection(&self, remap: Option<&Arc<Remap>>) -> Selection {
        let now_ms = SystemClock.now_ms();
        Selection {
            filter: Filter {
                reasons: self.reason.clone(),
                event_ids: self.event_id.clone(),
                labels: self.label.clone(),
                since_ms: self.since.map(|since| since.ms(now_ms)),
                before_ms: self.until.map(|until| until.ms(now_ms)),
                ..Filter::default()
            },
            limit: self.limit,
            remap: remap.cloned(),
        }
    }

    /// Shows what would be sent.
    async fn survey(
        &self,
        pipeline: &Pipeline,
        remap: Option<&Arc<Remap>>,
    ) -> Result<ExitCode, Failure> {
        let (mut text, options) = (String::new(), StartOptions::default());
        for plan in &pipeline.sinks {
            let selection = self.selection(remap);
            let survey = replay::survey(plan, &pipeline.data_dir, selection, &options).await?;
            report::replay_survey(&mut text, &plan.name, &survey);
            if let Some(problem) = &survey.summary.problem {
                let problems = survey.summary.problems;
                tracing::warn!(sink = %plan.name, problems, "not all could be read: {problem}");
            }
        }
        print(&text)
    }

    async fn send(
        &self,
        pipeline: Pipeline,
        remap: Option<&Arc<Remap>>,
    ) -> Result<ExitCode, Failure> {
        let (mut ending, mut left) = (Ending::default(), String::new());
        for plan in pipeline.sinks {
            let name = plan.name.clone();
            let (selection, options) = (self.selection(remap), StartOptions::default());
            let limit = pipeline.shutdown_limit;
            let replaying =
                Replaying::new(plan, &pipeline.data_dir, selection, limit, &options).await?;
            let signals = Signals::new()?;
            let stopping = tokio::spawn(stop_on_signals(
                signals,
                replaying.stop_handle(),
                replaying.telemetry(),
            ));
            let replayed = replaying.run().await;
            stopping.abort();
            let replayed = replayed?;
            report::letters_left(&mut left, &name, &replayed.left);
            ending.dead_letters.insert(name, readable(&replayed.folder));
            ending.sinks.push(replayed.sink);
        }
        let mut text = report::closing(&ending);
        if !left.is_empty() {
            text.push('\n');
            text.push_str(&left);
        }
        // The fate of what is filtered now is known, too.
        let delivered =
            |sink: &SinkSnapshot| sink.delivered + sink.filtered_total() == sink.received;
        let code = if ending.sinks.iter().all(delivered) {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        };
        print_ending(&text, code)
    }
}

/// Reads an identity file; warns where others can read it, too.
fn identities(file: &Path) -> Result<Remap, Failure> {
    let shown = pipeline_core::shown(file).to_string();
    let failed =
        |problem: &dyn Display| Failure::Usage(format!("`--identity`: `{shown}` {problem}"));
    let unreadable = |error: io::Error| failed(&format!("cannot be read: {error}"));
    // Looked at before it is opened: a pipe would wait for whoever writes to it.
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(failed(&"is not a file"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&metadata) & 0o077 != 0 {
        tracing::warn!("others can read `{shown}`, which has a secret key; expected `chmod 600`");
    }
    let mut text = String::new();
    let most = replay::MAX_IDENTITY_FILE_BYTES as u64;
    let opened = File::open(file).map_err(unreadable)?;
    opened
        .take(most + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > most {
        return Err(failed(&"is too large for an identity file"));
    }
    Remap::parse(&text).map_err(|problem| failed(&problem))
}

impl Show {
    fn run(&self, sinks: &Sinks) -> Result<ExitCode, Failure> {
        let filter = Filter {
            reasons: self.reason.clone().into_iter().collect(),
            ..Filter::default()
        };
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut output = io::BufWriter::new(io::stdout().lock());
        for (name, letters) in sinks {
            for letter in letters.letters()? {
                if left == 0 {
                    break;
                }
                match letter {
                    Ok(letter) if filter.fits(&letter) => {
                        output.write_all(&letter.line)?;
                        output.write_all(b"\n")?;
                        left -= 1;
                    }
                    Ok(_) => {}
                    Err(problem) => tracing::warn!(sink = %name, "{problem}"),
                }
            }
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Purge {
    fn run(&self, sinks: &Sinks) -> Result<ExitCode, Failure> {
        let now_ms = SystemClock.now_ms();
        let filter = Filter {
            reasons: self.reason.clone().into_iter().collect(),
            before_ms: self
                .older_than_days
                .map(|days| now_ms - i64::from(days) * MS_PER_DAY),
            ..Filter::default()
        };
        for (name, letters) in sinks {
            let purged = letters.purge(&filter)?;
            let (deleted, kept) = (purged.deleted, purged.kept);
            // Said sink by sink: what is deleted is deleted, whatever happens with the next one.
            let text = format!("{name}: {deleted} deleted, {kept} kept\n");
            print_ending(&text, ExitCode::SUCCESS)?;
            if purged.left_to_replay {
                tracing::warn!(sink = %name, "what a replay is sending was left to it");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_with_its_offset_or_an_age() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", Some(PointInTime::At(1_000))),
            ("1970-01-01T01:00:01+01:00", Some(PointInTime::At(1_000))),
            ("2h", Some(PointInTime::Ago(7_200_000))),
            ("1h 30m", Some(PointInTime::Ago(5_400_000))),
            ("PT5S", Some(PointInTime::Ago(5_000))),
            ("-2h", None),
            ("2", None),
            ("", None),
            ("yesterday", None),
            ("1970-01-01", None),
            ("1970-01-01T00:00:01", None),
        ] {
            assert_eq!(point_in_time(text).ok(), expected, "{text}");
        }
        assert_eq!(PointInTime::Ago(5).ms(7), 2);
        assert_eq!(PointInTime::Ago(i64::MAX).ms(-5), i64::MIN);
    }
}
