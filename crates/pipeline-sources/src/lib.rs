//! The sources that every pipeline program has: `file`, `stdin` and `http_server`.
//!
//! Each registers itself as a [`Component`](pipeline_core::Component), so a program only has to link this crate
//! (`use pipeline_sources as _;`). They know the contract of `pipeline-core` and no host:
//!
//! ```text
//! file, stdin:   reader thread ─► bounded queue ─► Intake::send ─► Receipt ─► checkpoint committer (file only)
//! http_server,
//! segment:       request ─► body ─► events ─► Intake::offer ─► verdicts ─► answer, once the Receipt has settled
//! ```
//!
//! Invariant: events reach the intake in the order in which they were read, and no panic in a task or thread of a source
//! looks like the end of its input.

mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod http_server;
mod line;
mod reason_words;
mod segment;
mod stdin;
#[cfg(test)]
mod test_intake;
mod thread;

pub use http::{
    DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_BYTES_IN_FLIGHT, MAX_CONNECTIONS, MAX_EVENTS_PER_REQUEST,
};
pub use line::{Line, LineReader, MAX_LINE_BYTES, too_large};

#[cfg(test)]
mod tests {
    use pipeline_core::options::{KEYWORDS, check};
    use pipeline_core::{Component, ParseContext, Registry, Resource, SourceConfig};
    use serde_json::{Value, json};

    /// Reads options as a host does: against the schema first.
    fn parse(kind: &str, options: &Value) -> Result<Box<dyn SourceConfig>, Vec<String>> {
        let registry = Registry::linked().unwrap();
        let component = registry.source(kind).unwrap();
        let checked = check(&component.schema().to_value(), options);
        let cx = ParseContext::new("events", "/folder");
        let mut problems = checked.problems;
        let parsed = component.parse(&checked.options, &cx);
        let parsed = parsed.map_err(|found| problems.extend(found)).ok();
        match parsed {
            Some(parsed) if problems.is_empty() => Ok(parsed),
            _ => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn every_source_is_linked() {
        let registry = Registry::linked().unwrap();
        let names: Vec<_> = registry.sources().map(Component::name).collect();
        assert_eq!(names, ["file", "http_server", "segment", "stdin"]);
        for source in registry.sources() {
            assert!(!source.description().is_empty() && !source.plugin_version().is_empty());
        }
    }

    #[test]
    fn schemas_use_only_keywords_that_are_checked() {
        fn keywords(schema: &Value, found: &mut Vec<String>) {
            let Some(schema) = schema.as_object() else {
                return;
            };
            for (key, value) in schema {
                match key.as_str() {
                    "properties" | "$defs" => {
                        let schemas = value.as_object().unwrap().values();
                        schemas.for_each(|schema| keywords(schema, found));
                    }
                    "oneOf" | "anyOf" => {
                        let schemas = value.as_array().unwrap();
                        for schema in schemas {
                            keywords(schema, found);
                        }
                        found.push(key.clone());
                    }
                    "items" => keywords(value, found),
                    "$schema" | "title" | "description" | "default" | "format" | "writeOnly" => {}
                    _ => found.push(key.clone()),
                }
            }
        }
        for source in Registry::linked().unwrap().sources() {
            let mut found = Vec::new();
            keywords(&source.schema().to_value(), &mut found);
            found.retain(|keyword| !KEYWORDS.contains(&keyword.as_str()));
            assert!(found.is_empty(), "{}: {found:?}", source.name());
        }
    }

    #[test]
    fn problems_of_meaning_have_the_path_of_their_option() {
        let cases = [
            (
                "http_server",
                json!({"address": "localhost"}),
                "address: is not an address; expected an IP address and a port: `127.0.0.1:8080`",
            ),
            (
                "http_server",
                json!({"address": "0.0.0.0:80"}),
                "address: can be reached from other machines; expected a loopback address, or `allow_non_loopback: true` \
                 with a `secret`",
            ),
            (
                "http_server",
                json!({"path": "/health"}),
                "path: is not a path to listen on; expected letters, digits, `-`, `_`, `.` after a `/`, and not \
                 `/health`: `/v1/events`",
            ),
            (
                "http_server",
                json!({"proxy_protocol": true}),
                "proxy_protocol: needs to know whose word about clients is believed; expected the balancers in \
                 `trusted_proxies`: `[10.0.0.0/8]`",
            ),
            (
                "segment",
                json!({"proxy_protocol": true}),
                "proxy_protocol: needs to know whose word about clients is believed; expected the balancers in \
                 `trusted_proxies`: `[10.0.0.0/8]`",
            ),
            (
                "segment",
                json!({"trusted_proxies": ["10.0.0.0/8", "10.0.0.0/99"], "proxy_protocol": true}),
                "trusted_proxies[1]: is not a network; expected an address, or an address and the length of its prefix: \
                 `10.0.0.0/8`",
            ),
            (
                "file",
                json!({"path": "a", "follow": true, "shift_times": true}),
                "follow: does not go with `shift_times`, which needs to know the newest event; expected one of the two",
            ),
        ];
        for (kind, options, expected) in cases {
            let problems = parse(kind, &options).unwrap_err();
            assert_eq!(problems, [expected], "{options}");
        }
        let both = json!({"address": "0.0.0.0:80", "path": "events"});
        assert_eq!(parse("http_server", &both).unwrap_err().len(), 2);
    }

    #[test]
    fn a_source_with_a_checkpoint_needs_a_name_that_can_name_a_file() {
        let registry = Registry::linked().unwrap();
        let component = registry.source("file").unwrap();
        let problems = |name: &str, options: &Value| {
            let parsed = component.parse(options, &ParseContext::new(name, ""));
            parsed.err().unwrap_or_default()
        };
        let path = json!({"path": "a"});
        assert!(problems("events-1_a", &path).is_empty());
        for name in ["", "a/b", "..", "événements"] {
            let found = problems(name, &path);
            assert_eq!(
                (found[0].path.as_str(), found[0].problem.as_str()),
                ("", "is not a name for a source"),
                "{name}"
            );
            assert!(problems(name, &json!({"path": "a", "checkpoint": false})).is_empty());
            assert!(problems(name, &json!({"path": "a", "shift_times": true})).is_empty());
        }
    }

    #[test]
    fn a_source_names_what_it_needs_for_itself_alone() {
        let resources = |kind, options| parse(kind, &options).unwrap().resources();
        assert_eq!(resources("file", json!({"path": "a"})), []);
        assert_eq!(resources("stdin", json!({})), [Resource::Stdin]);
        let default = Resource::Listen(([127, 0, 0, 1], 8080).into());
        assert_eq!(resources("http_server", json!({})), [default]);
        let chosen = Resource::Listen(([127, 0, 0, 1], 0).into());
        let options = json!({"address": "127.0.0.1:0"});
        assert_eq!(resources("http_server", options), [chosen]);
    }
}
