//! Random pipeline files and edits: what is written is read as what was wanted, and nothing else changed; or nothing is written.

use super::*;
use pipeline_core::Registry;
use pipeline_host::config::{LoadContext, parse_text};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Number, json};
use std::cell::Cell;
use std::fmt::Write as _;
use std::path::Path;

/// As the loader reads a file.
fn parse(text: &str) -> Option<Value> {
    let registry = Registry::default();
    let cx = LoadContext {
        registry: &registry,
        environment: &|_| None,
        sections: &[],
    };
    parse_text(text, Path::new("pipeline.yaml"), cx).ok()
}

/// Texts that are awkward in YAML, and plain ones.
fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,8}",
        1 => prop::sample::select(vec![
            "", "no", "yes", "null", "~", "0042", "1_0", "0o17", "1e3", ".5", "-", "- a", "a: b", "a #b", "#a", "'", "\"", "{a}",
            "[a]", "*a", "&a", "!a", "%a", "@a", "`a`", "|", ">", "?", "${NAME}", "${NAME:-x y}", " a ", "a\nb", "a\n", "\ta", "ünï",
            "2026-11-27", "true", "=", "<<", "---", "...", "Order Completed", "a,b", "\u{7f}", "\u{2028}", "🛒", "(secret)",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => "[a-z_]{1,6}",
        1 => prop::sample::select(vec!["Order Completed", "a.b", "a: b", "no", "1", "ü", "x#y", "$a", "items[]", "-", "a'b"])
            .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000..1000_i64).prop_map(Value::from),
        prop::sample::select(vec![0.5, 1.25, 3600.0, 1e-7])
            .prop_map(|float| Number::from_f64(float).map_or(Value::Null, Value::Number)),
        awkward().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn table() -> impl Strategy<Value = Value> {
    prop::collection::vec((key(), value()), 1..5)
        .prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

/// How a value is written: block or flow, with comments and empty lines, decided by the bits of a number.
struct Writer {
    text: String,
    bits: u64,
    comments: usize,
}

impl Writer {
    fn flip(&mut self, one_in: u64) -> bool {
        // A linear congruential generator is random enough for a layout.
        self.bits = self
            .bits
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.bits >> 33).is_multiple_of(one_in)
    }

    fn comment(&mut self, indent: usize) {
        if self.flip(4) {
            self.comments += 1;
            let number = self.comments;
            writeln!(self.text, "{:indent$}# comment {number}", "").unwrap();
        }
        if self.flip(8) {
            self.text.push('\n');
        }
    }

    fn scalar(&mut self, text: &str) -> String {
        let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && parse(&format!("a: {text}")) == Some(json!({"a": text}));
        match (
            is_plain && !self.flip(3),
            text.contains(|c: char| c.is_control() || c == '\'' || c == '\u{2028}'),
        ) {
            (true, _) => text.to_owned(),
            (false, false) if self.flip(2) => format!("'{text}'"),
            _ => Value::from(text).to_string(),
        }
    }

    fn end_line(&mut self) {
        if self.flip(6) {
            self.comments += 1;
            let number = self.comments;
            write!(self.text, " # comment {number}").unwrap();
        }
        self.text.push('\n');
    }

    fn table(&mut self, map: &Map<String, Value>, indent: usize) {
        for (key, value) in map {
            self.comment(indent);
            let key = self.scalar(key);
            write!(self.text, "{:indent$}{key}:", "").unwrap();
            self.value(value, indent);
        }
    }

    fn value(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() && !self.flip(4) => {
                self.end_line();
                self.table(map, indent + 2);
            }
            Value::Array(items) if !items.is_empty() && !self.flip(3) => {
                self.end_line();
                for item in items {
                    self.comment(indent + 2);
                    write!(self.text, "{:1$}-", "", indent + 2).unwrap();
                    self.value(item, indent + 2);
                }
            }
            Value::String(text) => {
                let text = self.scalar(text);
                write!(self.text, " {text}").unwrap();
                self.end_line();
            }
            other => {
                write!(self.text, " {other}").unwrap();
                self.end_line();
            }
        }
    }
}

fn written(tree: &Value, bits: u64) -> String {
    let mut writer = Writer {
        text: String::new(),
        bits,
        comments: 0,
    };
    writer.table(tree.as_object().unwrap(), 0);
    match bits % 7 {
        0 => format!("\u{feff}{}", writer.text),
        1 => writer.text.replace('\n', "\r\n"),
        _ => writer.text,
    }
}

/// The options of a sink with some of them changed, added or removed.
fn edited(options: &Value, edits: &[(usize, String, Option<Value>)]) -> Value {
    let mut options = options.clone();
    for (at, new_key, value) in edits {
        let mut map = options.as_object_mut().unwrap();
        // Sometimes one table deeper.
        let inner: Vec<String> = map
            .iter()
            .filter(|(_, it)| it.is_object())
            .map(|(key, _)| key.clone())
            .collect();
        if at % 2 == 1
            && let Some(key) = inner.first()
        {
            map = map[key.as_str()].as_object_mut().unwrap();
        }
        let keys: Vec<_> = map.keys().cloned().collect();
        let key = keys.get(at % (keys.len() + 1)).unwrap_or(new_key).clone();
        match value {
            Some(value) => drop(map.insert(key, value.clone())),
            None => drop(map.shift_remove(&key)),
        }
    }
    options
}

#[test]
fn what_is_written_is_read_as_what_was_wanted_or_nothing_is_written() {
    const CASES: u32 = 250;
    let strategy = (
        (table(), table(), table(), any::<u64>()),
        prop::collection::vec(
            (0..8_usize, key(), prop::option::weighted(0.8, value())),
            1..4,
        ),
    );
    let (tried, done) = (Cell::new(0_u32), Cell::new(0_u32));
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(CASES)
    };
    let mut runner = TestRunner::new(config);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.yaml");
    let result = runner.run(&strategy, |((one, two, other, bits), edits)| {
        let tree = json!({"before": other, "sinks": {"one": one, "two": two}, "x-after": other});
        let text = written(&tree, bits);
        // What the loader reads of it is what counts.
        let Some(old) = parse(&text).filter(|old| old["sinks"]["one"].is_object()) else {
            return Ok(());
        };
        let mut new = old.clone();
        new["sinks"]["one"] = edited(&old["sinks"]["one"], &edits);
        tried.set(tried.get() + 1);
        std::fs::write(&file, &text).unwrap();
        let wanted = yaml::edit(&text, "one", &old, &new);
        let wanted = wanted.filter(|text| parse(text).as_ref() == Some(&new));
        if let Some(wanted) = &wanted {
            file::replace(&file, &text, wanted).unwrap();
            done.set(done.get() + 1);
        }
        let found = std::fs::read_to_string(&file).unwrap();
        if wanted.is_none() {
            prop_assert_eq!(&found, &text);
            return Ok(());
        }
        prop_assert_eq!(parse(&found), Some(new));
        let tail = |text: &str| text.find("x-after").map(|at| text[at..].to_owned());
        prop_assert_eq!(tail(&found), tail(&text));
        let head = |text: &str| text.find("sinks").map(|at| text[..at].to_owned());
        prop_assert_eq!(head(&found), head(&text));
        Ok(())
    });
    result.unwrap();
    // Refusing everything would be right, and of no use.
    let (tried, done) = (tried.get(), done.get());
    assert!(
        tried > CASES / 2 && done * 10 > tried * 9,
        "{done} of {tried}"
    );
}

#[test]
fn a_common_edit_keeps_every_comment_and_quote() {
    let text = "\
# The shop.
sources:
  web: { type: http_server } # here
sinks:
  meta: # the pixel
    type: meta_conversions
    inputs: [web]
    # Never sent in tests.
    access_token: \"${META_ACCESS_TOKEN}\"
    batch: { max_events: 100 }

  # The other one.
  other:
    type: 'x'
";
    let old = parse(text).unwrap();
    let mut new = old.clone();
    new["sinks"]["meta"]["batch"]["max_events"] = json!(50);
    new["sinks"]["meta"]["event_mappings"] = json!({"Order Completed": "Lead"});
    let edited = yaml::edit(text, "meta", &old, &new).unwrap();
    assert_eq!(parse(&edited), Some(new));
    for kept in [
        "# The shop.",
        "# here",
        "# the pixel",
        "# Never sent in tests.",
        "\"${META_ACCESS_TOKEN}\"",
        "# The other one.",
        "'x'",
    ] {
        assert!(edited.contains(kept), "{kept} in {edited}");
    }
}

#[test]
fn a_sink_is_added_behind_the_others() {
    let text = "sinks:\n  one: { a: 1 } # one\n# end\nx-y: 1\n";
    let old = parse(text).unwrap();
    let mut new = old.clone();
    new["sinks"]["two"] = json!({"type": "x", "inputs": ["web"], "token": "${T}"});
    let edited = yaml::edit(text, "two", &old, &new).unwrap();
    assert_eq!(parse(&edited), Some(new), "{edited}");
    assert!(edited.contains("# one") && edited.contains("# end\nx-y: 1\n"));
}

#[test]
fn an_alias_or_a_merged_key_is_not_edited_through() {
    for text in [
        "x-a: &a { k: 1 }\nsinks:\n  one: *a\n",
        "x-a: &a { k: 1 }\nsinks:\n  one:\n    <<: *a\n    l: 2\n",
    ] {
        let old = parse(text).unwrap();
        let mut new = old.clone();
        new["sinks"]["one"].as_object_mut().unwrap().remove("k");
        let edited = yaml::edit(text, "one", &old, &new);
        let edited = edited.filter(|text| parse(text).as_ref() == Some(&new));
        assert_eq!(edited, None, "{text}");
    }
}

#[test]
fn hidden_values_of_a_text_come_back_at_their_own_places() {
    let old = "a: (x)\ntoken: s1 # one\nb:\n  token: s2\n";
    let shown = "a: (x)\ntoken: (secret) # one\nb:\n  token: (secret)\n";
    let text = "a: y\ntoken: (secret) # one\nb:\n  token: (secret)\nc: 1\n";
    let wanted = json!({"a": "y", "token": "s1", "b": {"token": "s2"}, "c": 1});
    let parse: masked::Parse<'_> = &|text| parse(text);
    let restored = with_old_lines(text, shown, old, &wanted, parse).unwrap();
    assert_eq!(restored, "a: y\ntoken: s1 # one\nb:\n  token: s2\nc: 1\n");
    // Without the lines it is found by trying.
    let again = by_trying(text, &parse(text).unwrap(), &wanted, parse).unwrap();
    assert_eq!(again, restored);
}
