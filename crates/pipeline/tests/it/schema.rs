//! The schema of a pipeline file, for editors, and the pipeline files that come with the project.
//!
//! `UPDATE_EXPECT=1 cargo test -p pipeline --test it schema` writes the schema anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCHEMA: &str = "schema/pipeline.schema.json";

/// The folder of the workspace.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap().to_owned()
}

fn pipeline(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
    command.args(arguments).current_dir(root());
    // Files that come with the project are good as they are, whatever the environment fills in elsewhere.
    command.env_remove("SANDBOX_ADDRESS");
    command.env_remove("META_ACCESS_TOKEN");
    command.output().unwrap()
}

/// The YAML files below a folder that are pipeline files, relative to the workspace.
fn pipeline_files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        let is_made = matches!(&*name, "target" | "data" | "node_modules") || name.starts_with('.');
        if path.is_dir() && !is_made {
            pipeline_files(&path, found);
        } else if path.is_file() && (name.ends_with(".yaml") || name.ends_with(".yml")) {
            let text = fs::read_to_string(&path).unwrap();
            let has = |section: &str| text.lines().any(|line| line.starts_with(section));
            if has("sources:") && has("sinks:") {
                let relative = path.strip_prefix(root()).unwrap();
                found.push(relative.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
}

#[test]
fn the_schema_file_is_what_the_command_prints() {
    let printed = pipeline(&["schema"]);
    assert!(printed.status.success());
    let printed = String::from_utf8(printed.stdout).unwrap();
    let file = root().join(SCHEMA);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, &printed).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap();
    assert!(
        written == printed,
        "{SCHEMA} is not what the code says; run the tests once with UPDATE_EXPECT=1"
    );
}

#[test]
fn every_pipeline_file_of_the_project_is_valid_and_tells_editors_its_schema() {
    let mut files = Vec::new();
    pipeline_files(&root(), &mut files);
    assert!(
        files.iter().any(|file| file == "fixtures/quickstart.yaml"),
        "{files:?}"
    );
    for file in files {
        let up = "../".repeat(file.matches('/').count());
        let expected = format!("# yaml-language-server: $schema={up}{SCHEMA}");
        let text = fs::read_to_string(root().join(&file)).unwrap();
        assert_eq!(text.lines().next(), Some(&*expected), "{file}");
        let output = pipeline(&["validate", "--deny-notes", &file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}: {said}");
    }
}
