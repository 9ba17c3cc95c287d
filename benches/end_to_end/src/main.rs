//! What the whole way of an event costs: a source, a buffer, and the delivery to a stand-in for Meta's Graph API.
//!
//! ```text
//! cargo build --release && cargo run --release -p end-to-end             prints the tables
//! cargo build --release && cargo run --release -p end-to-end -- --plot   and draws them into benches/end_to_end.svg
//! … -- grid | http | sources | console | growth | start                    one part alone
//! … -- grid --quick                                                        the usual set-up alone
//! … -- growth --long                                                      up to ten million events
//! ```
//!
//! With `PIPELINE=PATH`, another build of the program is measured.
//!
//! It runs the program `pipeline` that people run, twice: as host and, in a process of its own, as sandbox, so that the
//! processor time of the two is told apart. The system counts: time, memory and bytes written are those of `/proc`.
//! Everything stays on the loopback interface and in a temporary folder, and every part has an end.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints, and stops when its set-up is wrong"
)]

mod client;
mod closed_loop;
mod console;
mod floor;
mod grid;
mod growth;
mod idle;
mod load;
mod plot;
mod process;
#[path = "../../encode/reference.rs"]
mod reference;
#[path = "../../encode/retail.rs"]
mod retail;
mod rig;
mod start;

use rig::Rig;
use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == floor::NAME) {
        return floor::serve();
    }
    let parts = ["start", "grid", "http", "sources", "console", "growth"];
    let is_asked_for = |part: &str| arguments.iter().any(|argument| argument == part);
    let all = !parts.into_iter().any(is_asked_for);
    let rig = Rig::new();
    if all || is_asked_for("start") {
        start::measure(&rig);
    }
    if all || is_asked_for("grid") {
        grid::measure(&rig, is_asked_for("--quick"));
    }
    if all || is_asked_for("http") {
        load::measure(&rig);
    }
    if all || is_asked_for("sources") {
        closed_loop::measure(&rig);
        load::measure_segment(&rig);
        idle::measure(&rig);
    }
    if all || is_asked_for("console") {
        console::measure(&rig);
    }
    if all || is_asked_for("growth") {
        let points = growth::measure(&rig, is_asked_for("--long"));
        if is_asked_for("--plot") {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../end_to_end.svg");
            plot::draw(&points, &path).expect("a writable file");
        }
    }
}
