//! Any bytes as a pipeline file, in each of its three formats.
//!
//! What must hold: no panic; every problem is one line of a bounded length, and holds no control character.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meta_conversions as _;
use pipeline_core::Registry;
use pipeline_host::config::{self, ConfigError, Environment, LoadContext};
use pipeline_sources as _;
use std::sync::LazyLock;

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a folder"));
static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::linked().expect("no name twice"));

fuzz_target!(|bytes: &[u8]| {
    for format in ["yaml", "toml", "json"] {
        let path = FOLDER.path().join("pipeline").with_extension(format);
        std::fs::write(&path, bytes).expect("a writable folder");
        let environment: Environment<'_> = &|_| None;
        let cx = LoadContext {
            registry: &REGISTRY,
            environment,
            sections: &[],
        };
        if let Err(ConfigError::Invalid(problems)) = config::load(&path, cx) {
            for problem in problems {
                let text = problem.to_string();
                assert!(
                    !text.chars().any(|c| c.is_control() && c != '\n'),
                    "{text:?}"
                );
                assert!(text.len() <= 64 * 1_024, "a problem is a sentence");
            }
        }
    }
});
