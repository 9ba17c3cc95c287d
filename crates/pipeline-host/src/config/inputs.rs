//! What reads what: every input names something, nothing is read in a circle, and every source is read.

use pipeline_core::options::{Problem, join, nearest};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Checks the inputs of all transforms and sinks. `options` is what is good of the file, `written` the file.
pub(super) fn check(options: &Value, written: &Value, problems: &mut Vec<Problem>) {
    for section in ["sources", "sinks"] {
        if written[section].as_object().is_some_and(Map::is_empty) {
            problems.push(Problem::new(section, "is empty", "at least one entry"));
        }
    }
    // Names as written: a source with a problem of its own is still a source.
    let names = |section: &str| -> Vec<String> {
        let section = written[section].as_object().into_iter();
        section.flat_map(Map::keys).cloned().collect()
    };
    let (sources, transforms) = (names("sources"), names("transforms"));
    let sinks = names("sinks");
    for name in transforms.iter().filter(|name| sources.contains(name)) {
        let problem = "has the name of a source";
        let expected = "a name of its own, because `inputs` refer to it";
        problems.push(Problem::new(join("transforms", name), problem, expected));
    }
    let mut read = BTreeSet::new();
    for section in ["transforms", "sinks"] {
        for (name, component) in options[section].as_object().into_iter().flatten() {
            let place = join(section, name);
            let known: Vec<&str> = sources
                .iter()
                .chain(&transforms)
                .filter(|input| section == "sinks" || *input != name)
                .map(String::as_str)
                .collect();
            let names = Names {
                known: &known,
                sinks: &sinks,
                has_transforms: !transforms.is_empty(),
            };
            check_one(&place, component, names, &mut read, problems);
        }
    }
    for (section, names) in [("sources", &sources), ("transforms", &transforms)] {
        for name in names.iter().filter(|name| !read.contains(*name)) {
            let expected = "its name in the `inputs` of a sink";
            problems.push(Problem::new(
                join(section, name),
                "is read by no sink",
                expected,
            ));
        }
    }
    check_circles(options, &transforms, problems);
}

/// What `inputs` can name, and what they cannot.
#[derive(Clone, Copy)]
struct Names<'a> {
    known: &'a [&'a str],
    sinks: &'a [String],
    has_transforms: bool,
}

impl Names<'_> {
    /// What is wrong with an input that names nothing known.
    fn unknown(self, input: &str) -> String {
        if self.sinks.iter().any(|sink| sink == input) {
            return "names a sink, which nothing can read".to_owned();
        }
        let hint = nearest(input, self.known.iter().copied())
            .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        if self.has_transforms {
            format!("names no source and no transform{hint}")
        } else {
            format!("names no source{hint}")
        }
    }
}

fn check_one(
    place: &str,
    component: &Value,
    names: Names<'_>,
    read: &mut BTreeSet<String>,
    problems: &mut Vec<Problem>,
) {
    let mut own = BTreeSet::new();
    let inputs = component["inputs"].as_array().into_iter().flatten();
    for (index, input) in inputs.enumerate() {
        let Some(input) = input.as_str() else {
            continue;
        };
        let place = format!("{place}.inputs[{index}]");
        if !names.known.contains(&input) {
            let expected = format!("one of `{}`", names.known.join("`, `"));
            problems.push(Problem::new(place, names.unknown(input), expected));
        } else if own.insert(input) {
            read.insert(input.to_owned());
        } else {
            let problem = "names a source twice";
            problems.push(Problem::new(place, problem, "each source once"));
        }
    }
}

/// The transforms in an order in which each comes after all that it reads; those that read each other are left out.
pub(super) fn ordered(options: &Value, names: &[String]) -> Vec<String> {
    let mut left: Vec<&String> = names.iter().collect();
    let mut done: Vec<String> = Vec::new();
    loop {
        let is_ready = |name: &&&String| {
            let inputs = options["transforms"][name.as_str()]["inputs"].as_array();
            let mut inputs = inputs.into_iter().flatten().filter_map(Value::as_str);
            inputs.all(|input| {
                done.iter().any(|done| done == input) || !names.iter().any(|name| name == input)
            })
        };
        let Some(next) = left.iter().find(is_ready).map(|name| (*name).clone()) else {
            return done;
        };
        left.retain(|name| **name != next);
        done.push(next);
    }
}

fn check_circles(options: &Value, transforms: &[String], problems: &mut Vec<Problem>) {
    let ordered = ordered(options, transforms);
    for name in transforms.iter().filter(|name| !ordered.contains(name)) {
        let place = format!("{}.inputs", join("transforms", name));
        let problem = "reads itself through other transforms";
        let expected = "inputs that lead back to sources";
        problems.push(Problem::new(place, problem, expected));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(written: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        check(written, written, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_input_names_something_and_everything_is_read() {
        let good = json!({
            "sources": {"a": {}, "b": {}},
            "transforms": {"t": {"inputs": ["a"]}, "u": {"inputs": ["t", "b"]}},
            "sinks": {"s": {"inputs": ["u", "a"]}},
        });
        assert_eq!(shown(&good), [] as [&str; 0]);
        let bad = json!({
            "sources": {"a": {}, "b": {}},
            "transforms": {"a": {"inputs": ["b"]}, "t": {"inputs": ["t"]}},
            "sinks": {"s": {"inputs": ["tt", "a", "a"]}},
        });
        assert_eq!(
            shown(&bad),
            [
                "transforms.a: has the name of a source; expected a name of its own, because `inputs` refer to it",
                "transforms.t.inputs[0]: names no source and no transform; expected one of `a`, `b`, `a`",
                "sinks.s.inputs[0]: names no source and no transform; did you mean `t`?; expected one of `a`, `b`, `a`, `t`",
                "sinks.s.inputs[2]: names a source twice; expected each source once",
                "transforms.t: is read by no sink; expected its name in the `inputs` of a sink",
                "transforms.t.inputs: reads itself through other transforms; expected inputs that lead back to sources",
            ]
        );
    }

    #[test]
    fn an_input_that_names_a_sink_is_told_so() {
        let written = json!({
            "sources": {"a": {}},
            "sinks": {"s": {"inputs": ["a", "s"]}, "t": {"inputs": ["s"]}, "u": {"inputs": ["aa"]}},
        });
        assert_eq!(
            shown(&written),
            [
                "sinks.s.inputs[1]: names a sink, which nothing can read; expected one of `a`",
                "sinks.t.inputs[0]: names a sink, which nothing can read; expected one of `a`",
                "sinks.u.inputs[0]: names no source; did you mean `a`?; expected one of `a`",
            ]
        );
    }

    #[test]
    fn a_circle_of_transforms_is_refused_and_an_order_is_found_otherwise() {
        let circle = json!({
            "sources": {"a": {}},
            "transforms": {"t": {"inputs": ["u", "a"]}, "u": {"inputs": ["t"]}},
            "sinks": {"s": {"inputs": ["u"]}},
        });
        assert_eq!(shown(&circle).len(), 2, "{:?}", shown(&circle));
        let options = json!({"transforms": {
            "c": {"inputs": ["b"]}, "a": {"inputs": ["s"]}, "b": {"inputs": ["a", "s"]}
        }});
        let names = ["c", "a", "b"].map(str::to_owned);
        assert_eq!(ordered(&options, &names), ["a", "b", "c"]);
    }
}
