//! `pipeline validate` on the mistakes that people make, as a whole program: the text of a file, and what is said of it.

use crate::process::Process;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const TOKEN: &str = "EAAB-secret-of-this-test";

/// A good pipeline file, but for what replaces its parts.
const GOOD: &str = r#"sources:
  web: { type: stdin }
sinks:
  meta:
    type: meta_conversions
    inputs: [web]
    preset: retail
    pixel_id: "1234567890123456"
    access_token: EAAB-secret-of-this-test
"#;

/// Runs `validate` on a file of this name and content.
fn validate(name: &str, content: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
    command.arg("validate").arg(&path).args(arguments);
    command.current_dir(folder.path()).env_remove("NOPE");
    command.envs(environment.iter().copied());
    let output = command.output().unwrap();
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left behind");
    output
}

fn said(output: &Output) -> String {
    let (out, err) = (output.stdout.clone(), output.stderr.clone());
    String::from_utf8([out, err].concat()).unwrap()
}

/// Checks that a line of the answer has this place and these words, and that the answer has no secret.
fn expect(content: &str, output: &Output, code: i32, place: &str, words: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{content}\n{said}");
    let is_it = |line: &str| line.trim_start().starts_with(place) && line.contains(words);
    assert!(
        said.lines().any(is_it),
        "no `{place}` with `{words}`:\n{content}\n{said}"
    );
    assert!(!said.contains(TOKEN), "{said}");
}

/// The good file with further options of the sink.
fn with(options: &str) -> String {
    let lines = options.lines().map(|line| format!("    {line}\n"));
    format!("{GOOD}{}", lines.collect::<String>())
}

/// The good file with one part replaced.
fn replaced(part: &str, by: &str) -> String {
    assert!(GOOD.contains(part), "{part}");
    GOOD.replace(part, by)
}

/// Errors: `place: words`.
fn refused(content: &str, place: &str, words: &str) {
    expect(
        content,
        &validate("p.yaml", content, &[], &[]),
        78,
        &format!("{place}:"),
        words,
    );
}

/// Notes: `note: place: words`, good otherwise, and refused where notes are.
fn noted(content: &str, place: &str, words: &str) {
    let place = format!("note: {place}:");
    expect(
        content,
        &validate("p.yaml", content, &[], &[]),
        0,
        &place,
        words,
    );
    expect(
        content,
        &validate("p.yaml", content, &["--deny-notes"], &[]),
        78,
        &place,
        words,
    );
}

#[test]
fn a_good_file_has_neither_problem_nor_note() {
    let output = validate("p.yaml", GOOD, &["--deny-notes"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(said(&output), "meta (meta_conversions): ok\n");
}

#[test]
fn names_that_are_all_but_metas_are_noted() {
    let mapping = |to: &str| with(&format!("event_mappings: {{ Quote Requested: {to} }}"));
    let place = "sinks.meta.event_mappings[\"Quote Requested\"]";
    for (to, meant) in [
        ("lead", "Lead"),
        ("Purchse", "Purchase"),
        ("purchase", "Purchase"),
    ] {
        noted(&mapping(to), place, &format!("did you mean `{meant}`?"));
    }
    let field = |name: &str| {
        with(&format!(
            "field_mappings: {{ custom_data.{name}: properties.x }}"
        ))
    };
    for (name, meant) in [
        ("valu", "value"),
        ("contentname", "content_name"),
        ("Order-ID", "order_id"),
    ] {
        let place = format!("sinks.meta.field_mappings[\"custom_data.{name}\"]");
        noted(
            &field(name),
            &place,
            &format!("did you mean `custom_data.{meant}`?"),
        );
    }
}

#[test]
fn paths_of_other_languages_are_refused_and_unknown_beginnings_noted() {
    let place = "sinks.meta.field_mappings[\"custom_data.value\"]";
    let path = |path: &str| with(&format!("field_mappings:\n  custom_data.value: \"{path}\""));
    for (written, words) in [
        ("properties.total / 100", "has an operator"),
        ("{{ properties.order_id }}", "is a template"),
        ("$.properties.total", "root sign of JSONPath"),
        ("props[*]", "wildcard"),
        ("properties..total", "empty or broken step"),
    ] {
        refused(&path(written), place, words);
    }
    noted(&path("props.total"), place, "did you mean `properties`?");
    let odd = path("properties.Order Total");
    assert_eq!(
        validate("p.yaml", &odd, &["--deny-notes"], &[])
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn constants_that_cannot_be_meant_are_refused() {
    for (name, table, words) in [
        (
            "user_data.em",
            "{ value: a@b.example }",
            "every visitor the same identity",
        ),
        (
            "user_data.ph",
            "{ paths: [traits.phone], default: \"1\" }",
            "the same identity",
        ),
        (
            "custom_data.delivery_category",
            "{ value: drone }",
            "expected one of `in_store`",
        ),
        (
            "custom_data.content_type",
            "{ value: products }",
            "that is never sent",
        ),
        ("custom_data.currency", "{ value: EURO }", "ISO 4217"),
        (
            "custom_data.value",
            "{ value: abc }",
            "cannot be read as an amount",
        ),
        (
            "custom_data.value",
            "{ paths: [properties.total], default: abc }",
            "`default` that is never sent",
        ),
        (
            "custom_data.order_id",
            "{ paths: [properties.id], value: x }",
            "has `paths` beside `value`",
        ),
    ] {
        let content = with(&format!("field_mappings: {{ {name}: {table} }}"));
        refused(
            &content,
            &format!("sinks.meta.field_mappings[\"{name}\"]"),
            words,
        );
    }
    let country = with("field_mappings: { user_data.country: { value: de } }");
    noted(
        &country,
        "sinks.meta.field_mappings[\"user_data.country\"]",
        "in one country",
    );
}

#[test]
fn mappings_that_can_never_match_are_told() {
    for (name, words) in [
        ("identify", "never matches a call of type `identify`"),
        ("group", "never matches a call of type `group`"),
        ("alias", "never matches a call of type `alias`"),
        ("screen", "never matches a call of type `screen`"),
        ("Pricing", "every `page` call is mapped as `page`"),
    ] {
        let content = with(&format!("event_mappings: {{ {name}: ViewContent }}"));
        noted(
            &content,
            &format!("sinks.meta.event_mappings.{name}"),
            words,
        );
    }
    let content = with("event_mappings: { checkout_step_*: InitiateCheckout }");
    refused(
        &content,
        "sinks.meta.event_mappings[\"checkout_step_*\"]",
        "patterns are not supported",
    );
    let content = with("event_mappings: { Order Completed: Purchase, order_completed: Lead }");
    refused(
        &content,
        "sinks.meta.event_mappings.order_completed",
        "is the same event as `Order Completed`",
    );
    let content = with("event_mappings: { Product Viewed: false }");
    refused(
        &content,
        "sinks.meta.event_mappings[\"Product Viewed\"]",
        "`null` drops the event",
    );
}

#[test]
fn an_endpoint_is_a_host_and_nothing_behind_it() {
    for (endpoint, words) in [
        ("https://graph.facebook.com/v25.0", "has a path"),
        ("https://graph.facebook.com?x=1", "has a query"),
        ("https://graph.facebook.com#x", "has a fragment"),
    ] {
        refused(
            &with(&format!("endpoint: \"{endpoint}\"")),
            "sinks.meta.endpoint",
            words,
        );
    }
    let good = with("endpoint: https://graph.facebook.com/");
    assert_eq!(validate("p.yaml", &good, &[], &[]).status.code(), Some(0));
}

#[test]
fn a_variable_that_is_not_filled_in_is_told() {
    let token = |text: &str| replaced(TOKEN, text);
    for text in [
        "$META_ACCESS_TOKEN",
        "\"%META_ACCESS_TOKEN%\"",
        "\"<token>\"",
        "$${META_ACCESS_TOKEN}",
    ] {
        refused(
            &token(text),
            "sinks.meta.access_token",
            "is a variable that is not filled in",
        );
    }
    let pixel = |text: &str| replaced("\"1234567890123456\"", text);
    for text in ["$PIXEL_ID", "\"%PIXEL_ID%\"", "\"{{ pixel }}\""] {
        refused(
            &pixel(text),
            "sinks.meta.pixel_id",
            "is a variable that is not filled in",
        );
    }
    let data = format!("data_dir: ./$HOSTNAME\n{GOOD}");
    refused(&data, "data_dir", "expected `${NAME}`");
    let shop = with("field_mappings: { custom_data.shop: { value: $SHOP } }");
    refused(
        &shop,
        "sinks.meta.field_mappings[\"custom_data.shop\"].value",
        "is not filled in",
    );
    // A value of the environment is taken as it is.
    let output = validate(
        "p.yaml",
        &token("${T}"),
        &["--deny-notes"],
        &[("T", "ab$CD${X}$$e")],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn ids_and_codes_without_quotes_are_what_is_written() {
    let pixel = |text: &str| replaced("\"1234567890123456\"", text);
    for text in ["0o17", "1_234_567", "0x1F"] {
        refused(
            &pixel(text),
            "sinks.meta.pixel_id",
            "has characters other than digits",
        );
    }
    for text in [
        "0123456789012345",
        "123456789012345678901234",
        "1234567890123456",
    ] {
        let output = validate("p.yaml", &pixel(text), &[], &[]);
        assert_eq!(output.status.code(), Some(0), "{text}: {}", said(&output));
    }
    for good in [
        "default_country: NO",
        "generate_fbp: no",
        "generate_fbp: \"off\"",
    ] {
        let output = validate("p.yaml", &with(good), &[], &[]);
        assert_eq!(output.status.code(), Some(0), "{good}: {}", said(&output));
    }
    refused(
        &with("api_version: 25.0"),
        "sinks.meta.api_version",
        "put it in quotes",
    );
}

#[test]
fn keys_for_anchors_are_allowed_at_the_top_only() {
    let shared = format!("x-shared: &shared {{ timeout_secs: 5 }}\n{GOOD}    <<: *shared\n");
    let output = validate("p.yaml", &shared, &["--deny-notes"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    refused(
        &with("x-note: 1"),
        "sinks.meta.x-note",
        "is not a known option",
    );
    let near = format!("xshared: 1\n{GOOD}");
    refused(&near, "xshared", "is not a known option");
}

#[test]
fn what_may_be_a_token_at_a_wrong_place_is_not_repeated() {
    let token = "EAABsbCS1iHgBAKZCq2xZB0ZAexample0ZBqZAfexample0abcdef";
    for content in [
        with(&format!("{token}: 1")),
        with(&format!("event_mappings: {{ {token}: [5] }}")),
        replaced(TOKEN, &format!("\"${{{token}}}\"")),
        format!("{token}: 1\n{GOOD}"),
    ] {
        let output = validate("p.yaml", &content, &[], &[]);
        assert_eq!(output.status.code(), Some(78), "{content}");
        assert!(!said(&output).contains(token), "{}", said(&output));
    }
}

#[test]
fn variables_of_the_environment_say_what_is_wrong_with_them() {
    let content = replaced(TOKEN, "${T}");
    for (value, words) in [
        ("", "is missing (the environment variable `T` is empty)"),
        ("two words", "has a space or a line break"),
        ("\"quoted\"", "has quotation marks"),
        ("line\n", "has a space or a line break"),
    ] {
        let output = validate("p.yaml", &content, &[], &[("T", value)]);
        expect(&content, &output, 78, "sinks.meta.access_token:", words);
    }
    let token = |text: &str| replaced(TOKEN, text);
    let place = "sinks.meta.access_token";
    refused(
        &token("${NOPE:?set it}"),
        place,
        "`NOPE`, which is not set: set it; expected `NOPE`",
    );
    refused(&token("${NOPE}"), place, "`NOPE`, which is not set");
    refused(&token("${NOPE:=x}"), place, "is not understood");
    for (text, value) in [("${T:=x}", "set"), ("${T!}", "set")] {
        let content = token(text);
        expect(
            &content,
            &validate("p.yaml", &content, &[], &[("T", value)]),
            78,
            place,
            "is not understood",
        );
    }
    let nested = token("${NOPE:-${T:-x}}");
    assert_eq!(
        validate("p.yaml", &nested, &["--deny-notes"], &[("T", "tok")])
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn the_same_key_twice_is_refused_in_every_format() {
    let yaml = format!("{GOOD}    pixel_id: \"2\"\n");
    let toml = "[sources.web]\ntype = \"stdin\"\n[sinks.a]\ntype = \"x\"\ntype = \"y\"\n";
    let json = "{\"sources\": {},\n \"sinks\": {\"a\": {},\n  \"a\": {}}}";
    for (name, content, place, words) in [
        (
            "p.yaml",
            yaml.as_str(),
            "line 10, column 5",
            "the key `pixel_id` is given twice",
        ),
        (
            "p.toml",
            toml,
            "line 5, column 1",
            "the key `type` is given twice",
        ),
        ("p.json", json, "line 3, column 3", "a key is given twice"),
    ] {
        let output = validate(name, content, &[], &[]);
        expect(
            content,
            &output,
            78,
            "error: `",
            &format!("{place}: {words}"),
        );
    }
}

/// Texts that cannot be parsed, each with what is said of it.
fn unparsable(name: &str, cases: &[(&str, &str)]) {
    for (content, words) in cases {
        let output = validate(name, content, &[], &[]);
        expect(content, &output, 78, "error: `", words);
        let said = said(&output);
        assert!(said.contains(" | ") && !said.contains("retail"), "{said}");
    }
}

#[test]
fn yaml_that_cannot_be_parsed_says_why_and_shows_two_lines() {
    let with = |part: &str, by: &str| replaced(part, by);
    for (content, words) in [
        (
            with("    preset", "\tpreset"),
            "line 7, column 1: a tab cannot indent a line",
        ),
        (
            with("    preset", "     preset"),
            "line 7, column 6: the line is not indented like",
        ),
        (
            with("    preset", "   preset"),
            "line 7, column 4: the line is not indented like",
        ),
        (
            with("    pixel_id", "     pixel_id"),
            "line 8, column 6: the line is indented deeper",
        ),
        (
            with("3456\"", "3456"),
            "line 8, column 15: the text that begins here has no closing quote",
        ),
        (
            with("stdin }", "stdin"),
            "line 2, column 8: the `{` here has no `}`",
        ),
        (
            with("preset: retail", "preset retail"),
            "line 7, column 5: a line has no `: `",
        ),
    ] {
        unparsable("p.yaml", &[(&content, words)]);
    }
    let output = validate("p.yaml", &replaced("retail", "\"retail"), &[], &[]);
    let said = said(&output);
    let lines = "\n     6 |     inputs: […]\n     7 |     preset: …\n";
    assert!(said.contains(lines), "{said}");
}

#[test]
fn toml_and_json_that_cannot_be_parsed_say_why_and_show_two_lines() {
    unparsable(
        "p.toml",
        &[
            (
                "[sinks.a]\npreset = retail\n",
                "line 2, column 10: a text has no quotes",
            ),
            (
                "[sinks.a]\npreset = null\n",
                "line 2, column 10: TOML has no `null`",
            ),
            (
                "[sinks]\n[sinks]\n",
                "line 2, column 2: the key `sinks` is given twice",
            ),
        ],
    );
    unparsable(
        "p.json",
        &[
            (
                "{\"sinks\": {}\n \"sources\": {}}",
                "line 1, column 13: a comma is missing",
            ),
            (
                "{\n // the shop\n \"sinks\": {}}",
                "line 2, column 2: JSON has no comments",
            ),
            (
                "{\"sinks\": {\n \"a\": {}\n",
                "line 1, column 11: the `{` here has no `}`",
            ),
        ],
    );
}

#[test]
fn two_that_listen_on_one_port_are_refused() {
    let two = |first: &str, second: &str, more: &str| {
        let source = |name: &str, address: &str| {
            format!(
                "  {name}: {{ type: http_server, address: \"{address}\", allow_non_loopback: true, \
                 secret: {{ value: a-secret-of-a-test }} }}\n"
            )
        };
        let sources = [source("a", first), source("b", second)].concat();
        let content = replaced("  web: { type: stdin }\n", &sources);
        content.replace("[web]", "[a, b]") + more
    };
    refused(
        &two("127.0.0.1:8080", "127.0.0.1:8080", ""),
        "sources.b",
        "listens on 127.0.0.1:8080, as `sources.a` does",
    );
    refused(
        &two("127.0.0.1:8080", "0.0.0.0:8080", ""),
        "sources.b",
        "listens on 0.0.0.0:8080, and `sources.a` on 127.0.0.1:8080",
    );
    refused(
        &two("[::]:8080", "127.0.0.1:8080", ""),
        "sources.b",
        "and `sources.a` on [::]:8080",
    );
    // The program's own section listens as well.
    let sandbox = "sandbox: { address: \"127.0.0.1:8081\" }\n";
    refused(
        &two("127.0.0.1:8080", "127.0.0.1:8081", sandbox),
        "sandbox",
        "listens on 127.0.0.1:8081, as `sources.b` does",
    );
    refused(
        &two("127.0.0.1:8080", "0.0.0.0:8917", "sandbox: {}\n"),
        "sandbox",
        "and `sources.b` on 0.0.0.0:8917",
    );
    for (first, second) in [
        ("127.0.0.1:8080", "127.0.0.1:8081"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:8080", "127.0.0.2:8080"),
    ] {
        let good = two(first, second, sandbox.replace("8081", "8082").as_str());
        let output = validate("p.yaml", &good, &["--deny-notes"], &[]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
}

#[test]
fn a_data_folder_that_cannot_be_written_is_a_problem_before_the_first_event() {
    // A folder below a file: no user can make it.
    let content = format!("data_dir: p.yaml/data\n{GOOD}");
    refused(&content, "data_dir", "cannot be made");
    refused(
        &format!("data_dir: p.yaml\n{GOOD}"),
        "data_dir",
        "cannot be written",
    );
    let output = validate("p.yaml", &content, &["--no-environment"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    fs::write(&path, &content).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .arg("run")
        .arg(&path)
        .output()
        .unwrap();
    expect(&content, &run, 78, "data_dir:", "cannot be made");
    // One of the folders in it.
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/dead_letters"), "").unwrap();
    fs::write(&path, GOOD).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .arg("run")
        .arg(&path)
        .output()
        .unwrap();
    expect(
        GOOD,
        &run,
        78,
        "data_dir:",
        "dead_letters/meta` cannot be made",
    );
}

#[test]
fn what_is_missing_or_misspelt_is_told_what_it_can_be() {
    let presets = "expected one of `automotive`, `b2b_saas`, `meta_capi`, `retail`, `travel`, or `{ file: … }`";
    refused(
        &replaced("    preset: retail\n", ""),
        "sinks.meta.preset",
        &format!("is missing; {presets}"),
    );
    refused(&replaced("retail", "shop"), "sinks.meta.preset", presets);
    refused(
        &replaced("retail", "Retail"),
        "sinks.meta.preset",
        "did you mean `retail`?",
    );
    refused(
        &with("default_currency: €"),
        "sinks.meta.default_currency",
        "is not an ISO 4217 code",
    );
    refused(
        &with("default_currency: EURO"),
        "sinks.meta.default_currency",
        "is not an ISO 4217 code",
    );
    refused(
        &replaced("[web]", "[meta]"),
        "sinks.meta.inputs[0]",
        "names a sink",
    );
    refused(
        &replaced("[web]", "[wbe]"),
        "sinks.meta.inputs[0]",
        "did you mean `web`?",
    );
    let source = |kind: &str| replaced("type: stdin", &format!("type: {kind}"));
    refused(
        &source("kafka"),
        "sources.web.type",
        "the type of a linked source: `file`, `http_server`,",
    );
    refused(
        &source("http"),
        "sources.web.type",
        "did you mean `http_server`?",
    );
    let transform = format!("{GOOD}transforms:\n  t: {{ type: remap, inputs: [web] }}\n");
    refused(
        &transform,
        "transforms.t.type",
        "no transform, because this program has none",
    );
    let batch = |events: &str| with(&format!("batch: {{ max_events: {events} }}"));
    refused(
        &batch("-1"),
        "sinks.meta.batch.max_events",
        "is out of range",
    );
    refused(
        &batch("5000"),
        "sinks.meta.batch.max_events",
        "at most 1000, which is what the destination takes",
    );
}

#[test]
fn notes_are_shown_beside_errors_and_do_not_count_as_such() {
    let content = with("test_event_code: TEST1\nevent_mappings: { Quote: lead }\npixelid: \"1\"");
    let output = validate("p.yaml", &content, &[], &[]);
    expect(
        &content,
        &output,
        78,
        "error:",
        "1 problem in the configuration",
    );
    expect(
        &content,
        &output,
        78,
        "note: sinks.meta.event_mappings.Quote:",
        "did you mean `Lead`?",
    );
    expect(
        &content,
        &output,
        78,
        "note: sinks.meta.test_event_code:",
        "is set",
    );
    let content = with("test_event_code: TEST1");
    let output = validate("p.yaml", &content, &["--deny-notes"], &[]);
    expect(
        &content,
        &output,
        78,
        "error:",
        "1 note in the configuration, which `--deny-notes` does not allow",
    );
}

#[tokio::test]
async fn a_run_logs_each_note_once_also_those_that_a_reload_brings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    let source = "{ type: http_server, address: \"127.0.0.1:0\" }";
    let content = with("event_mappings: { Quote: lead }").replace("{ type: stdin }", source);
    fs::write(&path, &content).unwrap();
    let mut run = Process::start(&["run", &path.display().to_string()]);
    let first = run.says("note: ").await;
    let place = "note: sinks.meta.event_mappings.Quote: is not a standard event";
    assert!(first.contains("WARN") && first.contains(place), "{first}");
    run.says("listening").await;
    fs::write(&path, format!("{content}    test_event_code: TEST1\n")).unwrap();
    run.signal("HUP");
    run.says("reloaded sink meta").await;
    let second = run.says("note: ").await;
    assert!(
        second.contains("note: sinks.meta.test_event_code: is set"),
        "{second}"
    );
    run.terminate();
    let (status, _, rest) = run.end().await;
    assert_eq!(status.code(), Some(0), "{rest}");
    assert!(!rest.contains("note: "), "{rest}");
}

fn object(output: &Output) -> Value {
    assert_eq!(
        said(output),
        String::from_utf8(output.stdout.clone()).unwrap()
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_result_is_one_json_object_for_good_and_bad_files_alike() {
    let json = |content: &str, more: &[&str]| {
        let output = validate(
            "p.yaml",
            content,
            &[&["--format", "json"], more].concat(),
            &[],
        );
        let mut object = object(&output);
        let file = object["file"].take();
        assert!(
            Path::new(file.as_str().unwrap()).ends_with("p.yaml"),
            "{file}"
        );
        (output.status.code(), object)
    };
    let note = json!({
        "level": "note",
        "place": "sinks.meta.event_mappings.Quote",
        "problem": "is not a standard event of Meta's, so a custom event is sent; did you mean `Lead`?",
        "expected": "`Lead`, or a name of your own that is not all but the same",
    });
    let noted = with("event_mappings: { Quote: lead }");
    let mut expected = json!({
        "ok": true, "file": null, "problems": [note], "unchecked": [], "transforms": [],
        "sources": [{"name": "web", "type": "stdin"}],
        "sinks": [{"name": "meta", "type": "meta_conversions"}],
    });
    assert_eq!(json(&noted, &[]), (Some(0), expected.clone()));
    assert_eq!(
        json(&noted, &["--no-environment"]),
        (Some(0), expected.clone())
    );
    for list in ["sources", "sinks"] {
        expected[list] = json!([]);
    }
    expected["ok"] = json!(false);
    assert_eq!(
        json(&noted, &["--deny-notes"]),
        (Some(78), expected.clone())
    );
    let error = json!({
        "level": "error", "place": "sinks.meta.inputs[0]",
        "problem": "names no source; did you mean `web`?", "expected": "one of `web`",
    });
    let unread = json!({
        "level": "error", "place": "sources.web",
        "problem": "is read by no sink", "expected": "its name in the `inputs` of a sink",
    });
    expected["problems"] = json!([note, error, unread]);
    assert_eq!(
        json(&noted.replace("[web]", "[wbe]"), &[]),
        (Some(78), expected.clone())
    );
    expected["problems"] = json!([{
        "level": "error", "place": "line 2, column 1", "line": 2, "column": 1,
        "problem": "is not valid YAML: a tab cannot indent a line", "expected": "spaces",
    }]);
    assert_eq!(
        json("sinks:\n\tmeta: 1\n", &[]),
        (Some(78), expected.clone())
    );
    let missing = Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .args(["validate", "/nowhere/p.yaml", "--format", "json"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(78));
    assert_eq!(object(&missing)["ok"], false);
}

/// An example of a page as a pipeline file: options of a sink get a sink.
fn whole(example: &str) -> String {
    const SINK: &str = "sources:\n  in: { type: stdin }\nsinks:\n  meta:\n    type: meta_conversions\n    inputs: [in]\n    preset: retail\n    pixel_id: \"1\"\n    access_token: \"${META_ACCESS_TOKEN}\"\n";
    if example.contains("sinks:") {
        return example.to_owned();
    }
    let options = example.lines().map(|line| format!("    {line}\n"));
    options.fold(SINK.to_owned(), |file, option| file + &option)
}

#[test]
fn the_examples_of_the_readme_validate_without_notes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let mut seen = 0;
    for page in ["README.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let example = whole(block.split("```").next().unwrap());
            let token = ("META_ACCESS_TOKEN", "EAAB");
            let output = validate("p.yaml", &example, &[], &[token]);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(0), "{said}");
            // The one note that the example explains itself.
            let notes: Vec<_> = said
                .lines()
                .filter(|line| line.starts_with("note:"))
                .collect();
            let unexpected = notes
                .iter()
                .filter(|note| !note.contains("test_event_code"));
            assert_eq!(unexpected.count(), 0, "{said}");
            seen += 1;
        }
    }
    assert!(seen > 0);
    let quickstart = Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .args(["validate", "--deny-notes", "fixtures/quickstart.yaml"])
        .current_dir(root)
        .output()
        .unwrap();
    assert_eq!(quickstart.status.code(), Some(0), "{}", said(&quickstart));
}
