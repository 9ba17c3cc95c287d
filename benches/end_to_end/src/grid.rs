//! A file to its end: by buffer, by size of a batch, by batches on their way at the same time.

use crate::rig::{RUN_HEADS, Rig, Setup};

/// Events of one batch, and of a run with such batches.
const BATCHES: [(u64, u64); 3] = [(1, 20_000), (100, 200_000), (1000, 200_000)];
const IN_FLIGHT: [u64; 4] = [1, 2, 4, 8];
/// Runs of each; that of median speed is shown.
const ROUNDS: usize = 3;

/// The usual set-up alone where `quick`, else all of them.
pub(crate) fn measure(rig: &Rig, quick: bool) {
    let (batches, in_flights) = if quick {
        (&BATCHES[2..], &IN_FLIGHT[2..3])
    } else {
        (&BATCHES[..], &IN_FLIGHT[..])
    };
    println!("\n| buffer | batch | in flight | {RUN_HEADS} |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for &(batch, events) in batches {
        let file = rig.write_events("grid.ndjson", events);
        for buffer in ["memory", "disk"] {
            for &in_flight in in_flights {
                let setup = Setup {
                    buffer,
                    batch,
                    in_flight,
                };
                let mut runs = [(); ROUNDS].map(|()| rig.run_file(&file, events, setup));
                runs.sort_by_key(|run| run.time);
                println!(
                    "| {buffer} | {batch} | {in_flight} | {} |",
                    runs[ROUNDS / 2]
                );
            }
        }
    }
}
