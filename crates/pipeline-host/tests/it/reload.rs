//! The pipeline that a program makes without a file.
