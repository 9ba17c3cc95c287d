//! The end of a run: what became of every event, one column a sink, one row a figure, and where to look further.
//!
//! Invariant: in every column, read + resumed = delivered + filtered + rejected + dropped + held.

use super::grid::{Row, section, tables};
use super::{events, lines_each};
use crate::telemetry::SinkSnapshot;
use crate::topology::Ending;
use crate::wording::thousands;
use std::collections::BTreeSet;

/// The tables, the first rejected event of each reason, the folders of dead letters, and the events by name of every sink
/// that did not send some.
pub fn closing(ending: &Ending) -> String {
    let mut text = String::new();
    let names: Vec<_> = ending.sinks.iter().map(|sink| sink.name.as_str()).collect();
    tables(&mut text, "", &names, &rows(&ending.sinks));
    rejected(&mut text, &ending.sinks);
    let unread = ending.failures.iter().map(|error| [error.to_string()]);
    section(&mut text, "Not read to the end:", unread.collect());
    let letters = ending.sinks.iter().filter_map(|sink| {
        let path = ending.dead_letters.get(&sink.name)?;
        (sink.rejected_total() + sink.held - sink.kept > 0)
            .then(|| [sink.name.clone(), pipeline_core::shown(path).to_string()])
    });
    section(&mut text, "Dead letters:", letters.collect());
    let kept = ending
        .sinks
        .iter()
        .filter(|sink| sink.kept > 0)
        .map(|sink| {
            let place = if sink.is_on_disk {
                "on disk, and sent by the next run"
            } else {
                "read again by the next run"
            };
            [sink.name.clone(), thousands(sink.kept), place.to_owned()]
        });
    section(&mut text, "Queued, and not lost:", kept.collect());
    let max_names = lines_each(ending.sinks.len());
    for sink in &ending.sinks {
        if sink.delivered < sink.received + sink.resumed {
            events(&mut text, &sink.name, &sink.events, max_names);
        }
    }
    text
}

fn rows(sinks: &[SinkSnapshot]) -> Vec<Row> {
    let total = |label: &str, figure: &dyn Fn(&SinkSnapshot) -> u64| Row {
        label: format!("  {label}"),
        cells: sinks.iter().map(|sink| thousands(figure(sink))).collect(),
    };
    let reason = |code: &str, figure: &dyn Fn(&SinkSnapshot) -> Option<u64>| Row {
        label: format!("    {code}"),
        cells: sinks
            .iter()
            .map(|sink| figure(sink).map_or_else(String::new, thousands))
            .collect(),
    };
    let mut rows = vec![total("read", &|sink| sink.received)];
    if sinks.iter().any(|sink| sink.resumed > 0) {
        rows.push(total("resumed", &|sink| sink.resumed));
    }
    rows.extend([
        total("delivered", &|sink| sink.delivered),
        total("filtered", &SinkSnapshot::filtered_total),
    ]);
    let filtered: BTreeSet<_> = sinks.iter().flat_map(|sink| sink.filtered.keys()).collect();
    rows.extend(
        filtered
            .into_iter()
            .map(|code| reason(code, &|sink| sink.filtered.get(code).copied())),
    );
    rows.push(total("rejected", &SinkSnapshot::rejected_total));
    let rejected: BTreeSet<_> = sinks.iter().flat_map(|sink| sink.rejected.keys()).collect();
    rows.extend(rejected.into_iter().map(|code| {
        reason(code, &|sink| {
            sink.rejected.get(code).map(|first| first.count)
        })
    }));
    if sinks.iter().any(|sink| sink.unkept > 0) {
        rows.push(total("  only counted", &|sink| sink.unkept));
    }
    if sinks.iter().any(|sink| sink.dropped > 0) {
        rows.push(total("dropped", &|sink| sink.dropped));
    }
    rows.push(total("held", &|sink| sink.held));
    rows
}

fn rejected(text: &mut String, sinks: &[SinkSnapshot]) {
    let lines = sinks.iter().flat_map(|sink| {
        sink.rejected.iter().map(|(code, first)| {
            [
                sink.name.clone(),
                (*code).to_owned(),
                first.place.clone(),
                first.detail.clone(),
            ]
        })
    });
    section(text, "Rejected, the first of each reason:", lines.collect());
    let problems = sinks.iter().filter_map(|sink| {
        let problem = sink.letter_problem.clone()?;
        Some([sink.name.clone(), problem])
    });
    section(
        text,
        "Dead letters that could not be written:",
        problems.collect(),
    );
    let unkept = sinks.iter().filter(|sink| sink.unkept > 0).map(|sink| {
        let events = thousands(sink.unkept);
        [
            sink.name.clone(),
            events,
            "without a payload, and their part of the dead letters is full".to_owned(),
        ]
    });
    section(text, "Rejected and only counted:", unkept.collect());
}

#[cfg(test)]
mod tests {
    use super::super::grid::MAX_WIDTH;
    use super::*;
    use crate::event_counts::{EventCounts, Fate};
    use crate::telemetry::Rejections;
    use std::collections::BTreeMap;

    fn rejections(count: u64, place: &str, detail: &str) -> Rejections {
        Rejections {
            count,
            place: place.to_owned(),
            detail: detail.to_owned(),
        }
    }

    fn ending(sinks: Vec<SinkSnapshot>) -> Ending {
        let dead_letters = sinks.iter().map(|sink| {
            let path = format!("data/dead_letters/{}", sink.name);
            (sink.name.clone(), path.into())
        });
        Ending {
            dead_letters: dead_letters.collect(),
            sinks,
            ..Ending::default()
        }
    }

    fn shop() -> SinkSnapshot {
        SinkSnapshot {
            name: "shop".to_owned(),
            received: 1_234_567,
            delivered: 1_234_500,
            filtered: BTreeMap::from([("consent", 40), ("unmapped", 7)]),
            rejected: BTreeMap::from([
                (
                    "malformed_json",
                    rejections(2, "retail line 77", "line 1 column 9"),
                ),
                (
                    "too_old",
                    rejections(8, "retail line 1024", "older than 7 days"),
                ),
            ]),
            held: 10,
            ..SinkSnapshot::default()
        }
    }

    fn hotel() -> SinkSnapshot {
        SinkSnapshot {
            name: "hotel".to_owned(),
            received: 327,
            delivered: 203,
            filtered: BTreeMap::from([("consent", 124)]),
            ..SinkSnapshot::default()
        }
    }

    #[test]
    fn the_closing_report_reads_like_this() {
        let expected = "                          shop   hotel
  read               1,234,567     327
  delivered          1,234,500     203
  filtered                  47     124
    consent                 40     124
    unmapped                 7
  rejected                  10       0
    malformed_json           2
    too_old                  8
  held                      10       0

Rejected, the first of each reason:
  shop  malformed_json  retail line 77    line 1 column 9
  shop  too_old         retail line 1024  older than 7 days

Dead letters:
  shop  data/dead_letters/shop
";
        assert_eq!(closing(&ending(vec![shop(), hotel()])), expected);
    }

    #[test]
    fn letters_that_were_not_written_and_events_that_were_only_counted_are_told() {
        let sink = SinkSnapshot {
            unkept: 6,
            letter_problem: Some("the dead letters of sink `shop` are full".to_owned()),
            ..shop()
        };
        let text = closing(&ending(vec![sink]));
        for expected in [
            "\n    only counted             6\n",
            "\nRejected and only counted:\n  shop  6  without a payload, and their part of the dead letters is full\n",
            "\nDead letters that could not be written:\n  shop  the dead letters of sink `shop` are full\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_sink_that_did_not_send_everything_lists_its_events_by_name() {
        let mut counts = EventCounts::default();
        let mut add = |label: &str, fate, events| counts.add(Some(&label.into()), fate, events);
        add("Booking Completed → Purchase", Fate::Delivered, 203);
        add(
            "Booking Completed → Purchase",
            Fate::Filtered("consent"),
            100,
        );
        add("Listing Shared", Fate::Filtered("unmapped"), 24);
        let all_sent = SinkSnapshot {
            received: 203,
            filtered: BTreeMap::new(),
            events: counts.clone(),
            ..hotel()
        };
        let hotel = SinkSnapshot {
            filtered: BTreeMap::from([("consent", 100), ("unmapped", 24)]),
            events: counts,
            ..hotel()
        };
        let expected = "
hotel: events by name
  Booking Completed → Purchase  303  delivered 203, consent 100

hotel: names without a mapping
  Listing Shared  24  unmapped 24
";
        let text = closing(&ending(vec![hotel, all_sent]));
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(text.matches("events by name").count(), 1, "{text}");
    }

    #[test]
    fn what_was_dropped_has_a_row_where_there_is_any() {
        let mut sink = hotel();
        (sink.received, sink.dropped) = (330, 3);
        let expected = "              hotel
  read          330
  delivered     203
  filtered      124
    consent     124
  rejected        0
  dropped         3
  held            0
";
        assert_eq!(closing(&ending(vec![sink])), expected);
    }

    #[test]
    fn the_figures_of_every_column_add_up_and_no_table_is_too_wide() {
        let sinks = (0..40).map(|number| SinkSnapshot {
            name: format!("sink_number_{number}"),
            ..if number % 2 == 0 { shop() } else { hotel() }
        });
        let text = closing(&ending(sinks.collect()));
        let tables: Vec<_> = text
            .split("\n\n")
            .filter(|part| part.contains("  read"))
            .collect();
        let mut columns = 0;
        for table in &tables {
            assert!(table.lines().all(|line| line.len() <= MAX_WIDTH), "{table}");
            let row = |label: &str| -> Vec<u64> {
                let mut words = table
                    .lines()
                    .find_map(|line| line.trim().strip_prefix(label))
                    .unwrap()
                    .split_whitespace();
                let numbers = words
                    .by_ref()
                    .map(|word| word.replace(',', "").parse().unwrap());
                numbers.collect()
            };
            let parts = ["delivered", "filtered", "rejected", "held"].map(row);
            for (column, read) in row("read").into_iter().enumerate() {
                let sum: u64 = parts.iter().map(|part| part[column]).sum();
                assert_eq!(sum, read, "{table}");
                columns += 1;
            }
        }
        assert_eq!((columns, tables.len() > 1), (40, true), "{text}");
    }
}
