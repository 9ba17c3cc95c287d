//! The example of a program with a pipeline inside, run as it is.

#[path = "../examples/embed.rs"]
mod embed;

#[test]
fn a_program_with_a_pipeline_inside_delivers_what_it_sends() {
    let result = embed::main();
    assert!(result.is_ok(), "{result:?}");
}
