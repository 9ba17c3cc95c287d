//! Mistakes as people make them, in each format: place, kind, and what to do.

use super::*;

fn known() -> Vec<String> {
    [
        "sources",
        "sinks",
        "type",
        "preset",
        "pixel_id",
        "access_token",
        "inputs",
    ]
    .map(str::to_owned)
    .into()
}

/// One mistake: a text, the place, the kind, what to do.
type Case = (&'static str, (usize, usize), &'static str, &'static str);

fn check(format: Format, cases: &[Case]) {
    let mut wrong = Vec::new();
    for (text, place, problem, expected) in cases {
        let fault = format.read(text, known).expect_err(text);
        let found = (fault.line, fault.column);
        if (found, &*fault.problem, &*fault.expected) != (*place, *problem, *expected) {
            wrong.push(format!(
                "{text}\n{place:?} {problem}; {expected}\n{fault}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const OPEN: &str = "the text that begins here has no closing quote";
const ODD: &str = "the line is not indented like those beside it";
const DEEP: &str = "the line is indented deeper than the one before, which has a value already";
const NO_COMMENTS: (&str, &str) = ("JSON has no comments", "no comment, or a YAML or TOML file");
const INDENT: &str = "the same indentation as the keys that belong together";
const QUOTES: &str = "quotes around the whole text";
const VALUE: &str = "text in quotes, a number, `true`, `false`, a list or a table";
const JSON_VALUE: &str =
    "text in double quotes, a number, `true`, `false`, `null`, a list or a table";

const YAML: &[Case] = &[
    // Tabs.
    (
        "sinks:\n  m:\n    type: x\n\tpreset: retail\n    b: 1\n",
        (4, 1),
        "a tab cannot indent a line",
        "spaces",
    ),
    (
        "sinks:\n\tm: 1\n",
        (2, 1),
        "a tab cannot indent a line",
        "spaces",
    ),
    (
        "sinks:\n  m: 1\n  \tn: 2\n",
        (3, 3),
        "a tab cannot indent a line",
        "spaces",
    ),
    // Keys.
    (
        "a: 1\nsinks:\n  preset: 1\n  b: 2\n  preset: 3\n",
        (5, 3),
        "the key `preset` is given twice",
        "each key once",
    ),
    (
        "a: {secret: 1, secret: 2}\n",
        (1, 16),
        "a key is given twice",
        "each key once",
    ),
    (
        "a:\n  \"preset\": 1\n  'preset': 2\n",
        (3, 3),
        "the key `preset` is given twice",
        "each key once",
    ),
    (
        "a: 1\nbcd\ne: 2\n",
        (2, 1),
        "a line has no `: `",
        "`key: value`",
    ),
    (
        "a:1\nb: 2\n",
        (1, 2),
        "no space follows the colon",
        "`key: value`",
    ),
    // Quotes.
    (
        "a:\n  b: \"open\n  c: 2\n",
        (2, 6),
        OPEN,
        "a quote at its end",
    ),
    (
        "a:\n  b: \"open\n  c: \"x\"\n  d: 3\n",
        (2, 6),
        OPEN,
        "a quote at its end",
    ),
    ("a: 'open\nb: it's\n", (1, 4), OPEN, "a quote at its end"),
    (
        "a: \"x\" y\n",
        (1, 8),
        "something follows the closing quote",
        QUOTES,
    ),
    (
        "a: \"C:\\path\"\n",
        (1, 4),
        "a `\\` in double quotes begins no known escape",
        "single quotes, or `\\\\` for one backslash",
    ),
    ("a: @x\n", (1, 4), "a text begins with `@`", QUOTES),
    ("a: %X%\n", (1, 4), "a text begins with `%`", QUOTES),
    ("a: `x`\n", (1, 4), "a text begins with a backtick", QUOTES),
    (
        "a: *x\n",
        (1, 4),
        "`*` refers to an anchor that does not exist",
        "an anchor `&name` before it, or quotes around the text",
    ),
    (
        "a: b: c\n",
        (1, 5),
        "a text without quotes holds a second `: `",
        QUOTES,
    ),
    (
        "a: {{ x }}\n",
        (1, 5),
        "a list or a table is where a key or a text has to be",
        "quotes around text that begins with a bracket",
    ),
    (
        "a: \u{0}x\n",
        (1, 4),
        "there is a character that YAML does not allow",
        QUOTES,
    ),
    // Brackets and commas.
    (
        "a:\n  b: { x: 1, y: 2\n  c: 3\n",
        (2, 6),
        "the `{` here has no `}`",
        "`}` at the end of the table",
    ),
    (
        "a:\n  b: [x, y\n  c: 3\n",
        (2, 6),
        "the `[` here has no `]`",
        "`]` at the end of the list",
    ),
    (
        "a: {x: 1 y: 2}\n",
        (1, 9),
        "a comma is missing",
        "`,` between two entries",
    ),
    (
        "a: {\n  x: 1\n  y: 2\n}\n",
        (2, 7),
        "a comma is missing",
        "`,` between two entries",
    ),
    (
        "a: [x]]\n",
        (1, 7),
        "a bracket is closed that was not opened",
        QUOTES,
    ),
    (
        "a: [\nb: }\n",
        (1, 4),
        "a bracket is closed by one of the other kind",
        "`[ ]` or `{ }`",
    ),
    // Indentation.
    ("a:\n  b: 1\n   c: 2\nd: 1\n", (3, 4), DEEP, INDENT),
    ("a:\n  b:\n    c: 1\n   d: 2\n", (4, 4), ODD, INDENT),
    ("a:\n    b: 1\n  c: 2\n", (3, 3), ODD, INDENT),
    (
        "a:\n  - b\n  c: 1\n",
        (3, 3),
        "a key is among the entries of a list",
        "`- ` before each entry, or another indentation",
    ),
    // The file.
    (
        "a: 1\n---\nb: 2\n",
        (3, 1),
        "a second document begins",
        "one document, without another `---`",
    ),
];

#[test]
fn yaml_with_a_mistake_says_which_and_where() {
    check(Format::Yaml, YAML);
}

const TOML: &[Case] = &[
    (
        "preset = 1\nb = 2\npreset = 3\n",
        (3, 1),
        "the key `preset` is given twice",
        "each key once",
    ),
    (
        "[sinks]\na = 1\n[sinks]\nb = 2\n",
        (3, 2),
        "the key `sinks` is given twice",
        "each key once",
    ),
    (
        "a = 1\n[a.b]\nc = 1\n",
        (2, 2),
        "something that has a value already is used as a table",
        "a name of its own",
    ),
    ("a = retail\n", (1, 5), "a text has no quotes", VALUE),
    ("a = ${X}\n", (1, 5), "a text has no quotes", VALUE),
    (
        "a = null\nb = 1\n",
        (1, 5),
        "TOML has no `null`",
        "the option left out, or a YAML or JSON file",
    ),
    (
        "a = ~\n",
        (1, 5),
        "TOML has no `null`",
        "the option left out, or a YAML or JSON file",
    ),
    (
        "a = True\n",
        (1, 5),
        "`true` and `false` are in lower case",
        "`true` or `false`",
    ),
    ("a =\nb = 1\n", (1, 4), "the key has no value", VALUE),
    ("a = \"open\nb = 1\n", (1, 5), OPEN, "a quote at its end"),
    ("a = \"open\nb", (1, 5), OPEN, "a quote at its end"),
    ("a = 'open\nb = 1\n", (1, 5), OPEN, "a quote at its end"),
    ("a = 1\nb = \"\"\"x\n", (2, 5), OPEN, "a quote at its end"),
    (
        "a = \"C:\\path\"\n",
        (1, 9),
        "a `\\` in double quotes begins no known escape",
        "single quotes, or `\\\\` for one backslash",
    ),
    (
        "a\nb = 1\n",
        (1, 1),
        "a line has no `=`",
        "`key = value`, or `[name]` of a table",
    ),
    (
        "a: 1\n",
        (1, 2),
        "a key is followed by `:`",
        "`key = value`",
    ),
    (
        "a = [1 2]\n",
        (1, 7),
        "a comma is missing",
        "`,` between two entries",
    ),
    (
        "a = { b = 1\nc = 2\n",
        (1, 5),
        "the `{` here has no `}`",
        "`}` at the end of the table",
    ),
    (
        "a = [1,\nb = 2\n",
        (1, 5),
        "the `[` here has no `]`",
        "`]` at the end of the list",
    ),
    (
        "a = { b: 1 }\n",
        (1, 10),
        "a key is not followed by `=`",
        "`{ key = value }`",
    ),
    (
        "[a\nb = 1\n",
        (1, 3),
        "the header of a table has no `]`",
        "`[name]`",
    ),
    (
        "// x\na = 1",
        (1, 1),
        "a comment begins with `/`",
        "`#` before a comment",
    ),
    (
        "a = 012\n",
        (1, 5),
        "a number begins with a zero",
        "quotes around digits that are no amount",
    ),
    (
        "a = 1 b = 2\n",
        (1, 7),
        "something follows the value",
        "a new line",
    ),
    (
        "a = \"x\" b = 2\n",
        (1, 9),
        "something follows the value",
        "a new line",
    ),
];

#[test]
fn toml_with_a_mistake_says_which_and_where() {
    check(Format::Toml, TOML);
}

const JSON: &[Case] = &[
    (
        "{\"preset\": 1,\n \"b\": 2,\n  \"preset\": 3}",
        (3, 3),
        "the key `preset` is given twice",
        "each key once",
    ),
    (
        "{\"a\": {\"secret\": 1, \"secret\": 3}}",
        (1, 21),
        "a key is given twice",
        "each key once",
    ),
    (
        "{\n  // c\n  \"a\": 1\n}",
        (2, 3),
        NO_COMMENTS.0,
        NO_COMMENTS.1,
    ),
    ("{ /* c */ \"a\": 1}", (1, 3), NO_COMMENTS.0, NO_COMMENTS.1),
    ("{\"a\": 1 # c\n}", (1, 9), NO_COMMENTS.0, NO_COMMENTS.1),
    (
        "{\"a\": 1,\n}",
        (1, 8),
        "a comma has no entry behind it",
        "commas between entries only",
    ),
    (
        "[1,\n]",
        (1, 3),
        "a comma has no entry behind it",
        "commas between entries only",
    ),
    (
        "{\"a\": 1,, \"b\": 2}",
        (1, 8),
        "a comma has no entry behind it",
        "commas between entries only",
    ),
    (
        "{\"a\": 1\n \"b\": 2}",
        (1, 8),
        "a comma is missing",
        "`,` between two entries",
    ),
    (
        "[1 2]",
        (1, 3),
        "a comma is missing",
        "`,` between two entries",
    ),
    (
        "{\"a\": {\"b\": 1}\n",
        (1, 1),
        "the `{` here has no `}`",
        "`}` at the end of the table",
    ),
    (
        "{\"a\": [1, 2\n",
        (1, 7),
        "the `[` here has no `]`",
        "`]` at the end of the list",
    ),
    (
        "{\"a\": [1}",
        (1, 9),
        "a bracket is closed by one of the other kind",
        "`[ ]` or `{ }`",
    ),
    ("{\"a\": \"x\n}", (1, 7), OPEN, "a quote at its end"),
    ("{\"a\": \"x", (1, 7), OPEN, "a quote at its end"),
    (
        "{\"a\": \"x\ty\"}",
        (1, 9),
        "a tab is in a text",
        "`\\t` for a tab",
    ),
    (
        "{\"a\": \"C:\\path\"}",
        (1, 11),
        "a `\\` begins no known escape",
        "`\\\\` for one backslash",
    ),
    (
        "{a: 1}",
        (1, 2),
        "a key has no quotes",
        "double quotes around every key",
    ),
    (
        "{'a': 1}",
        (1, 2),
        "a text is in other quotes",
        "double quotes: `\"`",
    ),
    (
        "{\"a\": 'x'}",
        (1, 7),
        "a text is in other quotes",
        "double quotes: `\"`",
    ),
    (
        "{\"a\": \u{201c}x\u{201d}}",
        (1, 7),
        "a text is in other quotes",
        "double quotes: `\"`",
    ),
    (
        "{\"a\": retail}",
        (1, 7),
        "a word has no quotes",
        JSON_VALUE,
    ),
    ("{\"a\": True}", (1, 7), "a word has no quotes", JSON_VALUE),
    ("{\"a\": NaN}", (1, 7), "a word has no quotes", JSON_VALUE),
    ("{\"a\": ${X}}", (1, 7), "a word has no quotes", JSON_VALUE),
    (
        "{\"a\" = 1}",
        (1, 6),
        "a key is not followed by `:`",
        "`\"key\": value`",
    ),
    ("{\"a\": }", (1, 7), "the value is missing", JSON_VALUE),
    (
        "{\"a\": 012}",
        (1, 8),
        "a number is written in a form that JSON does not have",
        "quotes around digits that are no amount",
    ),
    (
        "{\"a\": 1e999}",
        (1, 11),
        "a number is written in a form that JSON does not have",
        "quotes around digits that are no amount",
    ),
    (
        "{}}",
        (1, 3),
        "something follows the last bracket",
        "one table",
    ),
    ("", (1, 1), "the file is empty", "a table of options"),
];

#[test]
fn json_with_a_mistake_says_which_and_where() {
    check(Format::Json, JSON);
}

#[test]
fn a_fault_shows_two_lines_without_their_values() {
    let text = "sinks:\n  meta:\n    access_token: \"EAAB-secret\n    preset: retail\n";
    let fault = Format::Yaml.read(text, known).expect_err("an open quote");
    assert_eq!(
        fault.to_string(),
        "is not valid YAML: line 3, column 19: the text that begins here has no closing quote; expected a quote at its end\n     \
         2 |   …:\n     3 |     access_token: …"
    );
}

#[test]
fn no_broken_text_is_a_panic_and_none_is_quoted() {
    let good =
        "sinks:\n  secret: { type: secret, inputs: [secret], preset: \"secret\" }\n  # secret é\n";
    let toml = "[sinks.secret]\ntype = \"secret\"\ninputs = [\"secret\", 'secret']\n# secret é\n";
    let json = "{\"sinks\": {\"secret\": {\"type\": \"secret\", \"inputs\": [\"secret\", 12, null]}, \"é\": 1}}";
    for (format, good) in [
        (Format::Yaml, good),
        (Format::Toml, toml),
        (Format::Json, json),
    ] {
        assert!(format.read(good, known).is_ok(), "{good}");
        let places = good.char_indices().map(|(at, _)| at);
        for at in places {
            for change in [
                "", "\"", "'", "{", "]", ":", ",", "\t", "\n", "\\", "@", "#", "é",
            ] {
                let rest = good[at..].chars().next().map_or(0, char::len_utf8);
                for skipped in [0, rest] {
                    let broken = format!("{}{change}{}", &good[..at], &good[at + skipped..]);
                    let Err(fault) = format.read(&broken, known) else {
                        continue;
                    };
                    let shown = fault.to_string();
                    assert!(!shown.contains("ecre"), "{broken}\n{shown}");
                    let lines = broken.lines().count().max(1);
                    assert!((1..=lines + 1).contains(&fault.line), "{broken}\n{shown}");
                }
            }
        }
    }
}

#[test]
fn what_is_written_without_quotes_in_yaml_arrives_as_it_is_written() {
    let text = "
a: 0042
b: 02139
c: 12345678901234567890123
d: 0o17
e: 1_0
f: no
g: NO
h: 0x1F
i: [007, 0b11, On, y, 1_234_567]
j: &x { zip: 01234, n: 7 }
k: { <<: *x, m: 0123456789012345 }
l: +5
m: 1e3
n: 18446744073709551615
o: -3
p: 2.50
q: true
r: ~
s: 2026-01-15
u: '0042'
12: 3
";
    let value = Format::Yaml.read(text, Vec::new).expect("good YAML");
    let expected = serde_json::json!({
        "a": "0042", "b": "02139", "c": "12345678901234567890123", "d": "0o17", "e": "1_0", "f": "no", "g": "NO", "h": "0x1F",
        "i": ["007", "0b11", "On", "y", "1_234_567"],
        "j": { "zip": "01234", "n": 7 },
        "k": { "zip": "01234", "n": 7, "m": "0123456789012345" },
        "l": "+5", "m": 1e3, "n": u64::MAX, "o": -3, "p": 2.5, "q": true, "r": null, "s": "2026-01-15",
        "u": "0042", "12": 3,
    });
    assert_eq!(value, expected);
    for number in [".inf", "-.inf", "1e999", ".nan"] {
        let fault = Format::Yaml.read(&format!("a: {number}\n"), Vec::new);
        let fault = fault.expect_err(number);
        assert_eq!(
            fault.problem, "a number is infinite or too large",
            "{number}"
        );
    }
}
