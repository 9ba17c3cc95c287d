//! A reader that writes out what is ready before it waits for more: a person may read this answer before typing the next
//! event.

use std::cell::RefCell;
use std::io::{self, Read, Write};

/// Flushes an output before each read.
#[derive(Debug)]
pub(super) struct FlushFirst<'o, R, W> {
    input: R,
    output: &'o RefCell<W>,
}

impl<'o, R, W> FlushFirst<'o, R, W> {
    pub(super) fn new(input: R, output: &'o RefCell<W>) -> Self {
        Self { input, output }
    }
}

impl<R: Read, W: Write> Read for FlushFirst<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.borrow_mut().flush()?;
        self.input.read(buffer)
    }
}
