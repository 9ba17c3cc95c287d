//! `pipeline console FILE`: runs a pipeline with the api, and keeps it running after the end of its input.
//!
//! In: a pipeline file with or without the section `api`. Out: the same run with the section completed.
//!
//! Invariant: a token that was made is shown on a terminal, and nowhere else; where no terminal could show it, none is made, and
//! nothing can be changed over HTTP.

use crate::options::SECTION;
use async_trait::async_trait;
use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};
use pipeline_cli::{Extension, Failure, Overlay, RunOrder, When, print_line};
use pipeline_core::SensitiveString;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Random bytes of a token that is made.
const TOKEN_BYTES: usize = 32;

#[derive(Debug, clap::Args)]
struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    file: PathBuf,
    /// The address to listen on [default: `api.address` of the file, else 127.0.0.1:8686]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// When to show progress on standard error, once a second
    #[arg(long, value_enum, default_value = "never")]
    progress: When,
    /// Reload the pipeline file when it changes, as SIGHUP does
    #[arg(long)]
    watch_config: bool,
}

/// Adds the command `console`.
#[derive(Debug)]
pub struct ConsoleExtension;

#[async_trait]
impl Extension for ConsoleExtension {
    fn command(&self) -> Option<Command> {
        let command = Arguments::augment_args(Command::new("console"));
        Some(command.about(
            "Run a pipeline and show it over HTTP, also after the end of its input, until interrupted",
        ))
    }

    fn run_order(&self, matches: &ArgMatches) -> Result<Option<RunOrder>, Failure> {
        let arguments = Arguments::from_arg_matches(matches)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let token = if io::stderr().is_terminal() {
            Some(fresh_token()?)
        } else {
            None
        };
        let listen = arguments.listen;
        Ok(Some(RunOrder {
            file: arguments.file,
            progress: arguments.progress,
            watch_config: arguments.watch_config,
            overlay: Overlay::new(SECTION, move |written| {
                completed(written, listen, token.as_ref())
            }),
        }))
    }
}

/// The section as the command runs it.
fn completed(
    written: Option<&Value>,
    listen: Option<SocketAddr>,
    token: Option<&SensitiveString>,
) -> Value {
    let mut section = written
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_else(Map::new);
    let has = |key: &str| {
        let value = section.get(key).and_then(Value::as_str);
        value.is_some_and(|value| !value.is_empty())
    };
    let token = token.filter(|_| !has("token") && !has("token_file"));
    if let Some(token) = token {
        section.insert("token".to_owned(), token.expose().into());
    }
    if let Some(address) = listen {
        section.insert("address".to_owned(), address.to_string().into());
    }
    section.insert("stay".to_owned(), true.into());
    section.insert("console".to_owned(), token.is_some().into());
    Value::Object(section)
}

/// Tells where the api listens; with this token, if one was made, for a person who reads a terminal.
pub(crate) fn announce(address: SocketAddr, fresh: Option<&SensitiveString>) {
    let token = fresh.filter(|_| io::stderr().is_terminal());
    let fragment = token.map_or_else(String::new, |token| format!("#token={}", token.expose()));
    print_line(&format!(
        "open http://{address}/{fragment} (stop with Ctrl-C)"
    ));
}

/// A token that cannot be guessed.
fn fresh_token() -> io::Result<SensitiveString> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut token = String::with_capacity(2 * TOKEN_BYTES);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(token, "{byte:02x}");
    }
    Ok(SensitiveString::from(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Settings;
    use serde_json::json;

    #[test]
    fn a_section_without_a_token_gets_one_where_it_can_be_shown_and_keeps_its_own_otherwise() {
        let fresh = fresh_token().unwrap();
        assert_eq!(fresh.expose().len(), 2 * TOKEN_BYTES);
        assert_ne!(fresh, fresh_token().unwrap());
        let own = "a-token-of-the-file-0123";
        for (written, expected) in [
            (None, Some(fresh.expose())),
            (Some(json!({"address": "[::1]:1"})), Some(fresh.expose())),
            (
                Some(json!({"token": null, "stay": false})),
                Some(fresh.expose()),
            ),
            (Some(json!({"token": own})), Some(own)),
            (Some(json!({"token_file": "/run/x"})), None),
        ] {
            let section = completed(written.as_ref(), None, Some(&fresh));
            assert_eq!(section["token"].as_str(), expected, "{written:?}");
            assert_eq!(section["stay"], true);
            let settings = Settings::read(&section).unwrap();
            assert!(settings.stay);
            assert_eq!(settings.console, Some(expected == Some(fresh.expose())));
        }
        let section = completed(None, Some(([127, 0, 0, 1], 9).into()), None);
        assert_eq!(section["address"], "127.0.0.1:9");
        assert_eq!(section.get("token"), None);
    }

    #[test]
    fn an_address_that_others_can_reach_still_needs_a_word_about_the_connection() {
        let fresh = fresh_token().unwrap();
        let section = completed(None, Some(([0, 0, 0, 0], 9).into()), Some(&fresh));
        assert!(Settings::read(&section).is_err());
    }
}
